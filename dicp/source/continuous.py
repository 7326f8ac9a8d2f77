"""PPO with continuous actions for many instances of a task at once: the update of stable-baselines3, stacked as in `ppo`.

The policy is a diagonal Gaussian whose standard deviation no observation changes. The world clips what is drawn; the update
learns from what was drawn, the log keeps what was done.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dicp.checks import Each, Seed, Whole, at_least, checked, refuse
from dicp.config import SourceConfig
from dicp.source.limits import BYTES, check_finite, check_fits
from dicp.source.nets import Nets
from dicp.source.ppo import advantages
from dicp.types import Log

__all__ = ["World", "train_continuous_ppo"]


@runtime_checkable
class World(Protocol):
    """A batch of tasks with continuous actions, each with `n_streams` agents side by side (`dicp.envs.metaworld`).
    `step` returns the observation to act on next, the true `next_observation`, reward, success, and whether the episode is
    over (cut off at the horizon, and reset) in all of them."""

    n_streams: int
    horizon: int

    def reset(self) -> np.ndarray: ...

    def step(self, action: np.ndarray) -> Any: ...


class Experience(NamedTuple):
    """What one update learns from, for the policy nets and (the input alone: a copy) for the value nets."""

    input: Float[Tensor, "net transition input"]          # observations, and a one
    action: Float[Tensor, "task transition d_action"]     # as drawn
    old_logp: Float[Tensor, "task transition"]
    advantage: Float[Tensor, "task transition"]
    value_target: Float[Tensor, "task transition"]


def inputs_of(observation: np.ndarray) -> Float[Tensor, "net stream input"]:
    """Observations [task stream d_observation] as the policy nets read them, and once more for the value nets."""
    x = torch.from_numpy(observation).float()
    return torch.cat((x, torch.ones_like(x[..., :1])), dim=-1).repeat(2, 1, 1)


def check_given(name: str, values: Tensor, env_step: int) -> None:
    """Raise `ValueError` unless what the world gives is finite."""
    if not values.isfinite().all():
        what = f"The {name} that the world gives at env step {env_step}"
        raise ValueError(f"{what} is nan or infinite; allowed: finite numbers.")


def log_probability(z: Float[Tensor, "task row d_action"], log_std: Float[Tensor, "task d_action"]) -> Tensor:
    """Of an action `z` standard deviations from its mean, up to a constant."""
    return -(0.5 * z * z + log_std[:, None]).sum(-1)


def ppo_gradient(nets: Nets, batch: Experience) -> None:
    """Write the gradient of the clipped PPO loss and of `value_coef` times the squared error of the value, as `ppo_gradient`
    of `dicp.source.ppo` does for a choice among actions. The batch's advantages are normalised here."""
    n, source, (size, _) = nets.n_tasks, nets.source, batch.action.shape[1:]
    advantage = batch.advantage
    if size > 1:
        advantage = (advantage - advantage.mean(-1, keepdim=True)) / (advantage.std(-1, keepdim=True) + 1e-8)
    loss, log_std = advantage / -size, nets.layers[4]
    out, d_out, std = nets.forward(batch.input), nets.workspace(size)[-1], log_std.exp()[:, None]
    z = (batch.action - out[:n]) / std
    d_logp = (log_probability(z, log_std) - batch.old_logp).exp_().mul_(loss)
    d_logp.mul_(d_logp >= loss - source.clip_range * loss.abs())
    torch.mul(d_logp[..., None], z / std, out=d_out[:n])
    torch.sum(d_logp[..., None] * (z * z - 1), 1, out=nets.grads[4])
    torch.sub(out[n:, :, 0], batch.value_target, out=d_out[n:, :, 0]).mul_(2 * source.value_coef / size)
    nets.backward(batch.input, d_out)


def minibatches(data: Experience, order: Int[Tensor, "transition"], size: int) -> Iterator[Experience]:
    """One epoch in the given order."""
    shuffled = [x.index_select(1, order) for x in data]
    for start in range(0, len(order), size):
        yield Experience(*(x[:, start : start + size] for x in shuffled))


def empty_log(n_tasks: int, source: SourceConfig, horizon: int, n_seen: int) -> Log:
    """Room for what the first `keep_streams` streams of each task do."""
    steps = n_tasks, source.n_kept, source.env_steps
    observation, action, reward = torch.empty(*steps, n_seen), torch.empty(*steps, 4), torch.empty(steps)
    last = torch.empty(*steps[:2], source.env_steps // horizon, n_seen)
    return Log(observation, action, reward, last, torch.empty(steps, dtype=torch.uint8))


def act(
    nets: Nets, world: World, observation: np.ndarray, log: Log, start: int, seen: Sequence[int],
    generator: torch.Generator,
) -> tuple[np.ndarray, Experience]:
    """Take `n_steps` steps in every stream, from env step `start` on: (the observation after them, the experience). The
    log keeps its own first streams and, of an observation, the numbers `seen`."""
    n, source, kept = nets.n_tasks, nets.source, log.action.shape[1]
    log_std, records, done = nets.layers[4].clone(), [], []
    for t in range(start, start + source.n_steps):
        x = inputs_of(observation)
        check_given("observation", x, t)
        out = nets.forward(x)
        z = torch.randn(out[:n].shape, generator=generator)
        action, value = out[:n] + log_std.exp()[:, None] * z, out[n:, :, 0].clone()
        check_finite(start // source.n_steps, source, actions=action, values=value)
        step = world.step(action.clamp(-1, 1).double().numpy())
        reward = torch.from_numpy(step.reward).float()
        check_given("reward", reward, t)
        log.observation[:, :, t] = torch.from_numpy(observation[:, :kept, seen])
        log.action[:, :, t], log.reward[:, :, t] = action[:, :kept].clamp(-1, 1), reward[:, :kept]
        log.success[:, :, t] = torch.from_numpy(step.success[:, :kept])
        if step.done:           # cut off, not over: what would have come is worth what the value net says
            log.terminal_observation[:, :, t // world.horizon] = torch.from_numpy(step.next_observation[:, :kept, seen])
            reward = reward + source.gamma * nets.forward(inputs_of(step.next_observation))[n:, :, 0]
        records.append((x, action, log_probability(z, log_std), reward, value))
        done.append(step.done)
        observation = step.observation
    x, action, logp, reward, value = (torch.stack(parts, dim=2) for parts in zip(*records, strict=True))
    last_value = nets.forward(inputs_of(observation))[n:, :, 0]
    advantage = advantages(reward, value, last_value, done, source)
    flat = (part.flatten(1, 2) for part in (x, action, logp, advantage, advantage + value))
    return observation, Experience(*flat)


def learn(nets: Nets, data: Experience, generator: torch.Generator) -> None:
    """One update of PPO."""
    for _ in range(nets.source.n_epochs):
        for batch in minibatches(data, torch.randperm(data.action.shape[1], generator=generator), nets.source.batch_size):
            ppo_gradient(nets, batch)
            nets.adam_step()


@checked
def train_continuous_ppo(
    world: World, seen: Annotated[Sequence[int], Each(Whole(0))], source: SourceConfig, seed: Seed,
    on_update: Callable[[int], None] | None = None,
) -> Log:
    """Train one PPO agent a task of `world`, side by side, and log the transitions of the first `keep_streams` streams; of
    the observations, which the agents get whole, only the numbers `seen`.

    The paper's source algorithm (appendix): stable-baselines3's PPO with the settings in `SourceConfig`, episodes cut off at
    the horizon bootstrapped as there. The tasks share random numbers and the order of the minibatches, nothing else.
    `on_update(i)` is called after update i = 0, 1, ...

    `FloatingPointError` where weights, gradients or actions are not finite any more.
    """
    if world.n_streams != source.n_streams:
        raise refuse("world.n_streams", world.n_streams, f"source.n_streams, {source.n_streams}")
    generator, observation = torch.Generator().manual_seed(seed), world.reset()
    if getattr(observation, "ndim", 0) != 3:
        raise refuse("world.reset()", observation, "an array [task, stream, number]")
    n_tasks, _, n_observed = observation.shape
    at_least("number of tasks", n_tasks, 1)
    if not seen or max(seen) >= n_observed:
        raise refuse("seen", seen, f"numbers of an observation, from 0 to {n_observed - 1}")
    check_fits(source, n_tasks, n_observed, 4, bytes_per_step=BYTES * (len(seen) + 6))
    nets = Nets(n_observed, 4, n_tasks, source, generator, gaussian=True)
    log = empty_log(n_tasks, source, world.horizon, len(seen))
    for update, start in enumerate(range(0, source.env_steps, source.n_steps)):
        observation, data = act(nets, world, observation, log, start, seen, generator)
        learn(nets, data, generator)
        check_finite(update, source, gradients=nets.sum_of_norms, weights=nets.weights)
        if on_update is not None:
            on_update(update)
    return log
