"""What the library does, the plain way: no cache, and a token for the action. `speed.py` compares
the two."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dicp.config import Config, EnvConfig, ModelConfig
from dicp.models import HierarchicalModel, InContextModel
from dicp.models.categorical import cross_entropy
from dicp.planning import Imagined, Proposal
from dicp.training import Trainer
from dicp.types import Log, Tokens, Windows
from dicp.windows import without_past


@dataclass
class Memory:
    """What an agent remembers without a cache: the tokens of its last episodes [batch n], and the
    model's reading of the last one."""

    window: Tokens | None = None
    h: Tensor | None = None
    max_plan_depth = math.inf

    @property
    def n_transitions(self) -> int:
        return self.window.observation.shape[1] - 1


class Futures(NamedTuple):
    """A window for each imagined future [batch beam n]; the model's reading of its last token."""

    window: Tokens
    h: Tensor


def append(window: Tokens, new: Tokens) -> Tokens:
    """One more token at the end."""
    return Tokens(*(torch.cat((old, x[..., None]), -1) for old, x in zip(window, new, strict=True)))


class WholeWindows:
    """The same weights without a cache: at each step, real or imagined, the whole window is read
    again (once a future; all five actions are judged from that one reading). Imitators only."""

    def __init__(self, model: InContextModel):
        self.model, self.env, self.config = model, model.env, model.config

    @torch.no_grad()
    def read(self, window: Tokens) -> Tensor:
        """The model's vector at the last token of each window [*batch n]."""
        flat = Tokens(*(x.flatten(0, -2) for x in window))
        read = self.read_chunks if isinstance(self.model, HierarchicalModel) else self.model
        h = read(flat)
        return h[:, window.observation.shape[-1] - 1].view(*window.observation.shape[:-1], -1)

    def read_chunks(self, tokens: Tokens) -> Tensor:
        """IDT reads whole chunks: what is missing of the last one is filled up."""
        n = tokens.observation.shape[1]
        tokens = Tokens(*(F.pad(x, (0, -n % self.config.chunk)) for x in tokens))
        told = tokens.last_action, tokens.last_reward, tokens.outcome
        action, reward, next_cell = (F.pad(x[:, 1:], (0, 1)) for x in told)
        earned = tokens.last_reward.cumsum(1)
        before = torch.where(tokens.first == 1, earned, 0).cummax(1).values
        # the same for all
        asked = self.model.prompt if self.model.asked is None else self.model.asked[:1]
        ahead = asked - (earned - before)
        windows = Windows(tokens, action, reward, next_cell, reward, action, ahead)
        return self.model.read(windows)

    @property
    def can_plan(self) -> bool:
        return self.model.can_plan

    def begin(
        self, batch: int, context_length: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Memory:
        return Memory()

    def observe(self, context: Memory, tokens: Tokens) -> Tensor:
        window = without_past(Tokens(*(x[:, None] for x in tokens)), self.env, 1)
        if context.window is not None:
            window = append(context.window, tokens)
        if window.observation.shape[1] > self.config.context_length:
            n_left = self.config.context_length + 1 - self.env.horizon
            window = without_past(window, self.env, n_left)
        context.window, context.h = window, self.read(window)
        return self.model.policy_head(context.h)

    def root(self, context: Memory) -> Futures:
        return Futures(Tokens(*(x[:, None] for x in context.window)), context.h[:, None])

    def propose(
        self, state: Futures, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        return self.model.policy.propose(self.model.policy_head(state.h), n, generator)

    def imagine(
        self, state: Futures, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        predicted = self.model.world_model_head(state.h)
        next_cell = predicted.next_x.argmax(-1) * self.model.env.size + predicted.next_y.argmax(-1)
        return Imagined.of_chances(predicted.reward.softmax(-1)[..., 1], next_cell)

    def advance(self, state: Futures, action: Tensor, reward: Tensor, next_cell: Tensor) -> Futures:
        new = Tokens(next_cell, action, reward, next_cell, torch.zeros_like(action))
        window = append(state.window, new)
        return Futures(window, self.read(window))

    def fork(self, state: Futures, beam: Tensor) -> Futures:
        row = torch.arange(len(beam))[:, None]
        return Futures(Tokens(*(x[row, beam] for x in state.window)), state.h[row, beam])


class TwoTokenModel(InContextModel):
    """The usual layout: a token for what is observed, then one for the action. The policy is read
    off the first, the world model off the second. The Transformer and the heads are ours; the
    sequence is twice as long."""

    def __init__(self, env: EnvConfig, config: ModelConfig):
        super().__init__(env, config)
        self.embed_action = nn.Embedding(env.n_actions, config.d_model)

    def read(self, windows: Windows) -> tuple[Tensor, Tensor]:
        """The Transformer's vectors [batch n d_model] at the observations, and at the actions."""
        none = torch.full_like(windows.action, self.env.n_actions)
        observed = windows.tokens._replace(last_action=none)
        both = torch.stack((self.embed(observed), self.embed_action(windows.action)), dim=2)
        h = self.transformer(both.flatten(1, 2))
        return h[:, 0::2], h[:, 1::2]


class TwoTokenTrainer(Trainer):
    """Training of the two-token model: the same windows, the same losses at every step, the same
    optimiser."""

    def __init__(self, config: Config, histories: Log):
        super().__init__(config, histories)
        self.model = TwoTokenModel(config.env, config.model)
        rate = config.train.learning_rate
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate, fused=True)

    def step(self) -> None:
        train, size = self.config.train, self.config.train.batch_size
        n_episodes = self.config.model.context_length // self.config.env.horizon
        windows = self.sampler.history(size, n_episodes, train.max_stride, self.generator)
        h_obs, h_action = self.model.read(windows)
        terms = {"policy": cross_entropy(self.model.policy_head(h_obs), windows.action)}
        terms |= self.model.world_model_head(h_action, windows.action).loss_terms(windows)
        self.optimizer.zero_grad()
        sum(terms.values()).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.max_grad_norm)
        self.optimizer.step()
        self.update += 1
        losses = {name: term.item() for name, term in terms.items()}
        self.rows.append({"update": self.update, **losses})
