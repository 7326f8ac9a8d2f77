"""Algorithm Distillation and DPT, with or without a world model on the same Transformer
(DICP-AD, DICP-DPT).

The policy head imitates the source's actions (AD; Paper: Eq. 1) or the optimal ones (DPT), the
world model predicts what an action leads to (Eq. 2). DPT differs in its labels alone: its query,
the present observation, comes last, behind the history that it is asked about, so that both act
with the same key-value cache.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from dicp.checks import Count, checked
from dicp.config import ModelConfig, WorldConfig
from dicp.domain import domain_of
from dicp.models.categorical import Predictions
from dicp.models.context import Context, EpisodicContext, flat_index, grown
from dicp.models.gaussian import GaussianPredictions
from dicp.models.heads import heads_of
from dicp.models.transformer import Transformer
from dicp.planning import Imagined, Proposal
from dicp.policies import PolicyHead, policy_of
from dicp.selection import log_counts
from dicp.types import Tokens, Windows


class BeamState(NamedTuple):
    """Where each imagined future stands. A row's beams share its context; `imagined` holds each
    beam's own keys and values of what it has added, `beams` says which of them these are since a
    fork (None: all)."""

    context: Context
    h: Float[Tensor, "batch beam d_model"]
    observation: Shaped[Tensor, "batch beam ..."]
    reward_before: Shaped[Tensor, "batch beam"]         # the last one of the episode
    imagined: Float[Tensor, "n batch*old_beam memory"]
    beams: Int[Tensor, "batch*beam"] | None = None


class InContextModel(nn.Module):
    """A policy and, if the config says so, a world model, both read off one causal Transformer."""

    def __init__(self, env: WorldConfig, config: ModelConfig):
        super().__init__()
        self.env, self.config, self.domain = env, config, domain_of(env)
        heads = heads_of(self.domain)
        self.embed = heads.embedding(self.domain, config.d_model)
        self.transformer = Transformer(config)
        self.policy = policy_of(self.domain.action)
        self.policy_head = PolicyHead(self.policy, config.d_model)
        if config.world_model != "none":
            # what is made after it starts the same with and without it
            with torch.random.fork_rng([]):
                self.world_model_head = heads.world_model(self.domain, config)

    @property
    def can_plan(self) -> bool:
        return self.config.world_model != "none"

    @property
    def device(self) -> torch.device:
        return self.policy_head.weight.device

    # ---- training: whole windows -----------------------------------------------------------------

    def forward(
        self, tokens: Tokens, log_count: Float[Tensor, "batch n"] | None = None
    ) -> Float[Tensor, "batch n d_model"]:
        """The Transformer's vector at every position; the heads turn it into predictions.
        `log_count`: how often each token counts (`dicp.models.transformer.counted_mask`)."""
        return self.transformer(self.embed(tokens), log_count=log_count)

    def read(self, windows: Windows) -> Float[Tensor, "batch n d_model"]:
        """The same for a batch of training windows; it takes only their tokens."""
        return self(windows.tokens)

    def predict(
        self, windows: Windows, generator: torch.Generator | None = None, most_repeats: int = 1
    ) -> Predictions | GaussianPredictions:
        """What the world model says at every position of the action taken there. `generator`:
        tokens count up to `most_repeats` times, as in the training of a world model alone
        (`log_counts`)."""
        if generator is None or most_repeats == 1:
            return self.world_model_head(self.read(windows), windows.action)
        log_count = log_counts(windows.tokens, self.env, most_repeats, generator)
        return self.world_model_head(self(windows.tokens, log_count), windows.action)

    # ---- acting: one real token at a time --------------------------------------------------------

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> EpisodicContext:
        """An empty context for each of `batch` agents, of at most the transitions that the model
        was trained with."""
        return EpisodicContext(self.env, self.config, batch, context_length, self.device)

    @torch.no_grad()
    def observe(
        self, context: EpisodicContext, tokens: Tokens
    ) -> Float[Tensor, "batch n_parameters"]:
        """Append one real token of each agent (fields [batch ...]) to its context; returns the
        policy's parameters: logits, or mean and log standard deviation."""
        if context.is_full:
            self.transformer(self.embed(context.forget()), context.cache)
        context.h = self.transformer.append(self.embed(context.note(tokens)), context.cache)
        return self.policy_head(context.h)

    # ---- planning: the WorldModel protocol of dicp.planning --------------------------------------

    def root(self, context: Context) -> BeamState:
        """One beam a row: nothing imagined yet."""
        memory = 2 * self.config.n_layers * self.config.d_model
        nothing = context.h.new_zeros(0, len(context.h), memory)
        parts = context.h, context.observation, context.reward_before
        return BeamState(context, *(x[:, None] for x in parts), nothing)

    @torch.no_grad()
    def propose(
        self, state: BeamState, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        """Actions of the policy at the (imagined) present."""
        return self.policy.propose(self.policy_head(state.h), n, generator)

    @torch.no_grad()
    def imagine(
        self, state: BeamState, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        """What each of the actions would lead to."""
        return self.world_model_head.imagined(state, action, return_to_go, uncertainty)

    @torch.no_grad()
    def advance(
        self, state: BeamState, action: Tensor, reward: Tensor, next_observation: Tensor
    ) -> BeamState:
        """Append one imagined transition to each beam (all arguments [batch beam ...])."""
        no = torch.zeros_like(reward, dtype=torch.long)
        moved = state.observation, next_observation
        outcome = self.domain.outcome(*moved, reward, state.reward_before)
        tokens = Tokens(next_observation, action, reward, outcome, no)
        x, imagined = self.embed_imagined(state, tokens), grown(state.imagined, state.beams)
        h = self.transformer.branch(x, state.context.cache, imagined)
        return BeamState(state.context, h, next_observation, reward, imagined)

    def embed_imagined(
        self, state: BeamState, tokens: Tokens
    ) -> Float[Tensor, "batch beam d_model"]:
        """One more token a beam, embedded."""
        return self.embed(tokens)

    def fork(self, state: BeamState, beam: Int[Tensor, "batch new_beam"]) -> BeamState:
        """Keep the given beams of each row."""
        flat = flat_index(beam, state.h.shape[1])
        beams = flat if state.beams is None else state.beams[flat]
        each_beam = state.h, state.observation, state.reward_before
        moved = (x.flatten(0, 1)[flat].unflatten(0, beam.shape) for x in each_beam)
        return BeamState(state.context, *moved, state.imagined, beams)
