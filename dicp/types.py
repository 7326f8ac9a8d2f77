"""The data that one stage hands to the next: plain tuples of tensors."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

import dicp.processes  # noqa: F401 (one thread)

__all__ = ["Log", "Space", "Step", "Tokens", "Windows"]


class Space(NamedTuple):
    """What an observation, an action or a reward is: one of `n` things, or (`n` None) real numbers
    of some shape, each from `low` to `high`.

    coordinates_below: where a number stands for several, as a cell for its x and y, the bound of
    each; the last one counts fastest. values: of rewards, what each of the `n` is worth, in rising
    order, where it is not 0, 1, 2, ...
    """

    n: int | None = None
    shape: tuple[int, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    coordinates_below: tuple[int, ...] = ()
    values: tuple[float, ...] = ()

    @property
    def is_discrete(self) -> bool:
        return self.n is not None

    @property
    def is_whole(self) -> bool:
        """Whether it is told by the whole numbers from 0 to `n` - 1."""
        return self.is_discrete and not self.values

    @property
    def dtype(self) -> torch.dtype:
        """As agents read it."""
        return torch.int64 if self.is_whole else torch.float32

    @property
    def stored_as(self) -> torch.dtype:
        """As rollouts and histories keep it: in one byte, where that is enough (255 is kept for
        what is missing)."""
        if not self.is_whole:
            return torch.float32
        return torch.uint8 if self.n <= 255 else torch.int32

    @property
    def n_bytes(self) -> int:
        """Of one, as a rollout keeps it."""
        return self.stored_as.itemsize * math.prod(self.shape)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value."""
        if self.values:
            return self.values[0], self.values[-1]
        return (self.low, self.high) if self.n is None else (0, self.n - 1)

    def check(self, what: str, value: Shaped[Tensor, "*batch"]) -> None:
        """Raise `ValueError` unless every value is one of this space."""
        low, high = self.bounds
        fits = value.dtype == self.dtype and bool((value >= low).all() and (value <= high).all())
        if self.values and fits:
            fits = bool(torch.isin(value, self.table()).all())
        if not fits:
            told = f"from {value.min():g} to {value.max():g}, {value.dtype}"
            allowed = self.values or f"from {low:g} to {high:g}"
            raise ValueError(f"{what} is {told}; allowed: {allowed}, {self.dtype}.")

    def table(self) -> Float[Tensor, "n"]:
        """What each of `n` rewards is worth."""
        return torch.tensor(self.values or range(self.n), dtype=torch.float32)

    def index(self, value: Shaped[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """Which of `n` rewards it is: the nearest."""
        if self.is_whole:
            return value
        table = self.table().to(value.device)
        return torch.bucketize(value.contiguous(), (table[1:] + table[:-1]) / 2)

    @property
    def factors(self) -> tuple[int, ...]:
        """The bound of each coordinate of one of `n` things; of what has none, `n`."""
        return self.coordinates_below or (self.n,)

    def coordinates(self, index: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch k"]:
        """Of one of `n` things."""
        parts = []
        for factor in reversed(self.factors):
            parts.append(index % factor)
            index = index // factor
        return torch.stack(parts[::-1], dim=-1)

    def numbers(self, value: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
        """As a network reads it that takes numbers: the coordinates of one of `n` things."""
        return self.coordinates(value).float() if self.is_discrete else value

    @property
    def number_bounds(self) -> tuple[list[float], list[float]]:
        """The least and the largest of these numbers, each."""
        if self.is_discrete:
            return [0.0] * len(self.factors), [factor - 1.0 for factor in self.factors]
        n = math.prod(self.shape)
        return [self.low] * n, [self.high] * n

    def joined(self, coordinates: Int[Tensor, "*batch k"]) -> Int[Tensor, "*batch"]:
        """The one of `n` things that has these coordinates."""
        index = coordinates[..., 0]
        for factor, part in zip(self.factors[1:], coordinates.unbind(-1)[1:], strict=True):
            index = index * factor + part
        return index

    def full(self, batch: int, value: float) -> Shaped[Tensor, "batch ..."]:
        """The same value so many times."""
        return torch.full((batch, *self.shape), value, dtype=self.dtype)


class Step(NamedTuple):
    """One transition of every agent. `next_observation` is the true outcome; `observation` is what
    the agent sees next (the first of a new episode after the last step of one)."""

    reward: Shaped[Tensor, "task stream"]
    next_observation: Shaped[Tensor, "task stream ..."]
    observation: Shaped[Tensor, "task stream ..."]
    done: bool
    success: Bool[Tensor, "task stream"] | None = None      # where the world says it at every step


class Log(NamedTuple):
    """Learning histories in memory: what a source algorithm did, in order, in several tasks or (all
    but the first axis) in one."""

    observation: Shaped[Tensor, "task stream step ..."]                # before the action
    action: Shaped[Tensor, "task stream step ..."]                     # as executed
    reward: Shaped[Tensor, "task stream step"]
    # the true last one of each episode, before the reset
    terminal_observation: Shaped[Tensor, "task stream episode ..."]
    success: UInt8[Tensor, "task stream step"] | None = None           # where the world says it

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """(name, values) of the fields; of `success` only where it is there."""
        pairs = zip(self._fields, self, strict=True)
        return ((name, x) for name, x in pairs if name != "success" or x is not None)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Log":
        """The same change of every field that is there."""
        return Log(**{name: change(values) for name, values in self.items()})

    @classmethod
    def concat(cls, parts: Sequence["Log"]) -> "Log":
        """The tasks of several logs in one."""
        names = [name for name, _ in parts[0].items()]
        return cls(**{name: torch.cat([getattr(log, name) for log in parts]) for name in names})

    @property
    def n_episodes(self) -> int:
        """Of each stream."""
        return self.terminal_observation.shape[self.reward.ndim - 1]

    @property
    def next_observation(self) -> Shaped[Tensor, "..."]:
        """What each action led to: the observation that follows, and at the end of an episode the
        true one, not the next start."""
        step = self.reward.ndim - 1
        shifted = self.observation.unflatten(step, (self.n_episodes, -1)).roll(-1, dims=step + 1)
        shifted.select(step + 1, -1).copy_(self.terminal_observation)
        return shifted.flatten(step, step + 1)

    @property
    def episode_returns(self) -> Shaped[Tensor, "*task stream episode"]:
        """The sum of the rewards of each episode: the source's learning curves."""
        return self.reward.unflatten(-1, (self.n_episodes, -1)).sum(-1)


class Tokens(NamedTuple):
    """What the Transformer reads, one token a step: the observation, and what the last action did.

    In the grids an observation is a cell, all fields are whole numbers [*batch]. In Meta-World
    observations [*batch n_observed], actions [*batch 4] and rewards are floats. At the first token
    of a rollout there is no last action (`Domain.no_transition`). `outcome` is what the last action
    led to (`Domain.outcome`), a cell in the grids; it differs from `observation` at the first step
    of an episode (a reset in between).
    """

    observation: Shaped[Tensor, "..."]
    last_action: Shaped[Tensor, "..."]
    last_reward: Shaped[Tensor, "*batch"]
    outcome: Shaped[Tensor, "..."]
    first: Int[Tensor, "*batch"]          # 1 at the first step of an episode

    @property
    def reward_before(self) -> Shaped[Tensor, "*batch"]:
        """The last reward of this episode; 0 as it begins."""
        return self.last_reward * (1 - self.first)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Tokens":
        """The same change of every field."""
        return Tokens(*(change(field) for field in self))

    def at(self, step: int) -> "Tokens":
        """One step of windows: fields [batch n ...] become [batch ...]."""
        return self.map(lambda field: field[:, step])

    def last_steps(self, n: int) -> "Tokens":
        """The last `n` steps of windows, or all where there are fewer."""
        return self.map(lambda field: field[:, max(field.shape[1] - n, 0) :])

    def rows(self, index: Int[Tensor, "row"]) -> "Tokens":
        """Some of the batch, in the order of `index`."""
        return self.map(lambda field: field[index])

    @classmethod
    def stack(cls, steps: Iterable["Tokens"]) -> "Tokens":
        """Steps [batch ...], in order, as windows [batch n ...]."""
        return cls(*(torch.stack(fields, dim=1) for fields in zip(*steps, strict=True)))

    @classmethod
    def concat(cls, parts: Sequence["Tokens"], dim: int = 0) -> "Tokens":
        """Several batches as one; with `dim` 1, windows one after the other."""
        return cls(*(torch.cat(fields, dim) for fields in zip(*parts, strict=True)))


class Windows(NamedTuple):
    """A batch of training windows: the tokens, and at each of them what happened next."""

    tokens: Tokens
    action: Shaped[Tensor, "batch n ..."]
    reward: Shaped[Tensor, "batch n"]
    next_observation: Shaped[Tensor, "batch n ..."]
    return_to_go: Shaped[Tensor, "batch n"]
    # the action to imitate: the one taken, or the optimal one
    label: Shaped[Tensor, "batch n ..."]
    # the return-to-go if the episode had been the stream's best (IDT's relabelling)
    desired_return: Shaped[Tensor, "batch n"]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Windows":
        """The same change of every field, those of the tokens among them."""
        tokens, *rest = self
        return Windows(tokens.map(change), *(change(field) for field in rest))

    def to(self, device: torch.device | str) -> "Windows":
        return self.map(lambda field: field.to(device))

    def rows(self, index: Int[Tensor, "row"]) -> "Windows":
        """Some of the windows, in the order of `index`."""
        return self.map(lambda field: field[index])

    def last_steps(self, n: int) -> "Windows":
        """The last `n` steps of each window, or all where there are fewer."""
        return self.map(lambda field: field[:, max(field.shape[1] - n, 0) :])

    @classmethod
    def concat(cls, parts: Sequence["Windows"]) -> "Windows":
        """Several batches as one."""
        tokens, *rest = zip(*parts, strict=True)
        return cls(Tokens.concat(tokens), *(torch.cat(fields) for fields in rest))
