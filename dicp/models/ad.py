"""Algorithm Distillation and DPT, with or without a world model on the same Transformer (DICP-AD, DICP-DPT).

The policy head imitates the source's actions (AD; Paper: Eq. 1) or the optimal ones (DPT), the world model predicts what an
action leads to (Eq. 2). DPT differs in its labels alone: its query, the present observation, comes last, behind the history
that it is asked about, so that both act with the same key-value cache.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.config import EnvConfig, ModelConfig
from dicp.models.context import Context, EpisodicContext, flat_index, grown
from dicp.models.heads import Predictions, TokenEmbedding, WorldModelHead, imagined_of
from dicp.models.transformer import Transformer
from dicp.planning import Imagined
from dicp.windows import Tokens, Windows


class BeamState(NamedTuple):
    """Where each imagined future stands. A row's beams share its context; `imagined` holds each beam's own keys and values
    of what it has added, `kept` says which of them the beams are since a fork (None: all)."""

    context: Context
    h: Float[Tensor, "batch beam d_model"]
    imagined: Float[Tensor, "n batch*old_beam memory"]
    kept: Int[Tensor, "batch*beam"] | None = None


class InContextModel(nn.Module):
    """A policy and, if the config says so, a world model, both read off one causal Transformer."""

    def __init__(self, env: EnvConfig, config: ModelConfig):
        super().__init__()
        self.env, self.config = env, config
        self.embed = TokenEmbedding(env, config.d_model)
        self.transformer = Transformer(config)
        self.policy_head = nn.Linear(config.d_model, env.n_actions)
        if config.world_model != "none":
            with torch.random.fork_rng([]):                  # what is made after it starts the same with and without it
                self.world_model_head = WorldModelHead(env, config)

    @property
    def can_plan(self) -> bool:
        return self.config.world_model != "none"

    @property
    def device(self) -> torch.device:
        return self.embed.weight.device

    # ---- training: whole windows -----------------------------------------------------------------------------------

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch n d_model"]:
        """The Transformer's vector at every position; the heads turn it into predictions."""
        return self.transformer(self.embed(tokens))

    def read(self, windows: Windows) -> Float[Tensor, "batch n d_model"]:
        """The same for a batch of training windows; it takes only their tokens."""
        return self(windows.tokens)

    def predict(self, windows: Windows) -> Predictions:
        """The world model's logits at every position, for the action taken there."""
        return self.world_model_head(self.read(windows), windows.action)

    # ---- acting: one real token at a time --------------------------------------------------------------------------

    def begin(self, batch: int, context_length: int | None = None, generator: torch.Generator | None = None) -> EpisodicContext:
        """An empty context for each of `batch` agents, of at most the transitions that the model was trained with."""
        return EpisodicContext(self.env, self.config, batch, context_length, self.device)

    @torch.no_grad()
    def observe(self, context: EpisodicContext, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        """Append one real token of each agent (fields [batch]) to its context; returns the policy's logits."""
        if context.is_full:
            self.transformer(self.embed(context.forget()), context.cache)
        context.h = self.transformer.append(self.embed(context.note(tokens)), context.cache)
        return self.policy_head(context.h)

    # ---- planning: the WorldModel protocol of dicp.planning --------------------------------------------------------

    def root(self, context: Context) -> BeamState:
        """One beam a row: nothing imagined yet."""
        h = context.h[:, None]
        return BeamState(context, h, h.new_zeros(0, len(h), 2 * self.config.n_layers * self.config.d_model))

    def propose(self, state: BeamState) -> Float[Tensor, "batch beam n_actions"]:
        """Log-probabilities of the policy head at the (imagined) present."""
        return self.policy_head(state.h).log_softmax(-1)

    def imagine(self, state: BeamState, return_to_go: bool = False, doubts: bool = False) -> Imagined:
        """What each action would lead to."""
        return imagined_of(self.world_model_head(state.h), return_to_go, doubts)

    def advance(self, state: BeamState, action: Tensor, reward: Tensor, next_observation: Tensor) -> BeamState:
        """Append one imagined transition to each beam (all arguments [batch beam])."""
        x = self.embed(Tokens(next_observation, action, reward, next_observation, torch.zeros_like(action)))
        return self.branch(state, x)

    @torch.no_grad()
    def branch(self, state: BeamState, x: Float[Tensor, "batch beam d_model"]) -> BeamState:
        """Append one embedded token to each beam."""
        imagined = grown(state.imagined, state.kept)
        return BeamState(state.context, self.transformer.branch(x, state.context.cache, imagined), imagined)

    def fork(self, state: BeamState, beam: Int[Tensor, "batch new_beam"]) -> BeamState:
        """Keep the given beams of each row."""
        flat = flat_index(beam, state.h.shape[1])
        kept = flat if state.kept is None else state.kept[flat]
        return state._replace(h=state.h.flatten(0, 1)[flat].view(*beam.shape, -1), kept=kept)
