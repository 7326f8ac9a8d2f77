"""How much memory a model and its contexts ask for, told from the configs alone: what cannot fit is
refused before it is made.

The numbers are estimates. They grow with every size in the configs, and are within a factor of two
of the truth.
"""

import math
from functools import cache

import torch

from dicp.checks import fits_memory
from dicp.config import Config, ModelConfig, WorldConfig
from dicp.domain import Domain, domain_of
from dicp.models.heads import heads_of

FLOAT, LONG = 4, 8
MODULES = 30_000         # bytes of Python objects a layer of a Transformer
TUPLES = 150             # bytes a cell of the table of the cells' places, while it is made


def model_bytes(env: WorldConfig, config: ModelConfig) -> int:
    """Of an untrained model."""
    d, domain = config.d_model, domain_of(env)
    heads = heads_of(domain)
    n_transformers, n_embeddings = (2, 3) if config.target == "idt" else (1, 1)
    n_layers = config.n_layers * n_transformers + (2 if config.target == "idt" else 0)
    layer = 4 * d * d + 3 * d * config.d_ff + 2 * d
    decisions = 6 * d * config.d_decision if config.target == "idt" else 0
    embeddings = n_embeddings * heads.embedding.n_rows(domain)
    n_parameters = n_layers * layer + embeddings * d + head_parameters(env, config)
    table = (domain.observation.n or 0) * TUPLES * n_embeddings
    return FLOAT * (n_parameters + decisions) + n_layers * MODULES + table


def head_parameters(env: WorldConfig, config: ModelConfig) -> int:
    """Of the world model beside its Transformer."""
    d, hidden, domain = config.d_model, config.d_head_hidden, domain_of(env)
    heads = heads_of(domain)
    if config.world_model == "none":
        return 0
    if config.world_model in ("queries", "table"):
        moves = d if domain.moves_are_hidden else domain.observation.n * domain.action.n
        return hidden * (moves + d + env.horizon + 8) + d * (heads.embedding.n_rows(domain) + 8)
    return heads.world_model.n_parameters(domain, config)


def context_bytes(env: WorldConfig, config: ModelConfig, context_length: int) -> int:
    """Of one agent's context: the tokens, keys and values of each."""
    n_tokens = context_length
    if config.target == "idt":
        n_tokens = context_length // config.chunk + config.chunk
    memory = 2 * config.n_layers * config.d_model * FLOAT
    return n_tokens * (memory + token_bytes(env))


def token_bytes(env: WorldConfig) -> int:
    """Of one token."""
    return _token_bytes(domain_of(env))


@cache
def _token_bytes(domain: Domain) -> int:
    tokens = domain.first_tokens(domain.observation.full(1, 0))
    return sum(field.nbytes for field in tokens)


def window_bytes(env: WorldConfig) -> int:
    """Of one position of a training window: a token, and what is said of the step besides."""
    domain = domain_of(env)
    spaces = domain.observation, domain.action, domain.action, *[domain.reward] * 3
    n_numbers = sum(math.prod(space.shape) for space in spaces)
    return token_bytes(env) + LONG * n_numbers


def layer_bytes(config: ModelConfig) -> int:
    """Of what the layers compute at one position and keep for the gradient."""
    return FLOAT * config.n_layers * (8 * config.d_model + 3 * config.d_ff)


def check_model(env: WorldConfig, config: ModelConfig) -> None:
    """Raise `ValueError` where the parts do not fit each other, or the model and one context not
    fit the memory."""
    Config(env=env, model=config)
    names = ("d_model", "n_layers", "d_ff", "context_length")
    needs = model_bytes(env, config) + context_bytes(env, config, config.context_length)
    sizes = {name: getattr(config, name) for name in names}
    fits_memory(f"the model in {env.name}", sizes, needs, "sizes that fit the memory")


def check_context(
    env: WorldConfig, config: ModelConfig, batch: int, context_length: int, device: torch.device
) -> None:
    """Raise `ValueError` where the contexts of `batch` agents do not fit the memory (of a GPU:
    PyTorch itself says so)."""
    if device.type == "cpu":
        needs = batch * context_bytes(env, config, context_length)
        fits_memory("batch", batch, needs, "a number of agents whose contexts fit the memory")


def check_training(config: Config, device: torch.device) -> None:
    """Raise `ValueError` where a training step does not fit the memory (on a GPU: what it takes of
    the machine's)."""
    env, model, batch = config.env, config.model, config.train.batch_size
    needs = batch * model.context_length * window_bytes(env)
    if config.train.most_repeats > 1:    # a mask, and a draw for each cell and action
        domain = domain_of(env)
        n_pairs = domain.observation.n * domain.action.n
        needs += batch * FLOAT * (model.context_length**2 + 3 * n_pairs)
    if device.type == "cpu":
        needs += batch * model.context_length * layer_bytes(model)
        needs += 4 * model_bytes(env, model)             # weights, gradients, AdamW's two moments
    fits_memory("train.batch_size", batch, needs, "a number of windows that fits the memory")
