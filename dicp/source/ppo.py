"""PPO for many grid-world tasks at once: the update of stable-baselines3, with the weights of all tasks in one stack.

Networks this small are bound by the number of calls, not by arithmetic. What makes it fast:
1. Stack: policy and value networks of all tasks are one batch of matrices, one minibatch step of all is 50 calls.
2. Look up: an agent sees one of 81 cells. While it acts, its policy is a table, made once an update.
3. Merge: 50 transitions hold 30 different cells in the first update, 6 in the last. Evaluate each cell once and add up
   the gradients of the transitions that share it: the same gradient, to rounding, in 111 CPU-seconds instead of 191.
4. Write the gradient by hand, without autograd, into buffers that live as long as the run.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dicp.checks import Seed, at_least, checked
from dicp.config import EnvConfig, SourceConfig
from dicp.envs import GridWorld, Task, cell_to_xy
from dicp.source.limits import check_finite, check_fits
from dicp.source.nets import Nets
from dicp.types import Log, Space

__all__ = ["TASKS_PER_BLOCK", "train_ppo"]

# CPU-seconds of one thread for the 81 goals of Darkroom in blocks of 9, 14, 27, 41 and 81: 118, 107, 89, 96, 94
# (stable-baselines3: 46 a goal, 3,770 in all). Small blocks pay for calls, large ones for padding to the most cells.
TASKS_PER_BLOCK = 27


class Minibatch(NamedTuple):
    """A minibatch with its transitions merged by cell; `slot` numbers the different cells of a task's minibatch."""

    input: Float[Tensor, "net slot 3"]              # x, y, 1 of each different cell, for the policy and the value nets
    choice: Int[Tensor, "task transition"]          # slot * n_actions + action
    old_logp: Float[Tensor, "task transition"]
    loss: Float[Tensor, "task transition"]          # -advantage / batch_size; PPO lowers the sum of ratio * loss, ...
    floor: Float[Tensor, "task transition"]         # ... of which nothing below this floor counts
    count: Float[Tensor, "task slot"]               # share of the transitions that are in this cell
    value_target: Float[Tensor, "task slot"]        # sum of their value targets / batch_size


class GridNets(Nets):
    """The networks of the agents in a grid world, which see the coordinates of their cell."""

    def __init__(self, env: EnvConfig, n_tasks: int, source: SourceConfig, generator: torch.Generator):
        super().__init__(2, env.n_actions, n_tasks, source, generator)
        self.env, cells = env, torch.arange(env.n_cells)
        self.inputs = torch.cat([cell_to_xy(cells, env.size).float(), torch.ones(env.n_cells, 1)], dim=1)

    def tables(self) -> tuple[Float[Tensor, "task cell action"], Float[Tensor, "task cell"]]:
        """(log-probabilities, values) of every cell."""
        out = self.forward(self.inputs.expand(2 * self.n_tasks, -1, -1))
        return out[: self.n_tasks].log_softmax(-1), out[self.n_tasks :, :, 0].clone()


def ppo_gradient(nets: GridNets, batch: Minibatch) -> None:
    """Write the gradient of the clipped PPO loss and of `value_coef` times the squared error of the value.

    Schulman et al. 2017 (arXiv 1707.06347), equation 7. With A the advantage, min(ratio * A, clip(ratio) * A) equals
    min(ratio * A, A + clip_range * |A|), so a log-probability gets the gradient ratio * A, or none beyond that bound.
    """
    n, n_slots = nets.n_tasks, batch.input.shape[1]
    out, d_out = nets.forward(batch.input), nets.workspace(n_slots)[-1]
    logp = out[:n].log_softmax(-1)
    d_logp = logp.view(n, -1).gather(1, batch.choice).sub_(batch.old_logp).exp_().mul_(batch.loss)
    d_logp.mul_(d_logp >= batch.floor)
    d_policy = d_out[:n].zero_()                          # of a softmax: what an action got, less its share of the sum
    d_policy.view(n, -1).scatter_add_(1, batch.choice, d_logp)
    d_policy.sub_(logp.exp_().mul_(d_policy.sum(-1, keepdim=True)))
    d_value = torch.mul(out[n:, :, 0], batch.count, out=d_out[n:, :, 0])
    d_value.sub_(batch.value_target).mul_(2 * nets.source.value_coef)
    nets.backward(batch.input, d_out)


def minibatches(nets: GridNets, data: Sequence[Tensor], order: Int[Tensor, "transition"]) -> Iterator[Minibatch]:
    """One epoch: shuffle, cut, normalise the advantages of each minibatch, merge its transitions by cell; all at once.

    `data`: cell, action, old log-probability, advantage and value target, each [task, transition].
    """
    n, size = nets.n_tasks, nets.source.batch_size
    cell, action, old_logp, advantage, target = (d[:, order].view(n, -1, size).transpose(0, 1) for d in data)
    if size > 1:
        advantage = (advantage - advantage.mean(-1, keepdim=True)) / (advantage.std(-1, keepdim=True) + 1e-8)
    loss = advantage / -size
    floor = loss - nets.source.clip_range * loss.abs()
    seen = torch.zeros(*cell.shape[:2], nets.env.n_cells, dtype=torch.long).scatter_(2, cell, 1)
    rank = seen.cumsum(2)                                 # the k-th cell seen, in index order, is slot k - 1
    slot = rank.gather(2, cell) - 1
    n_slots = rank[:, :, -1].amax(1).tolist()             # of the task with most; the others are padded with cell 0
    zeros = torch.zeros(*cell.shape[:2], max(n_slots))
    x = nets.inputs[zeros.long().scatter_(2, slot, cell)].repeat(1, 2, 1, 1)
    count = zeros.scatter_add(2, slot, torch.full_like(loss, 1 / size))
    target = zeros.scatter_add(2, slot, target / size)
    parts = Minibatch(x, slot * nets.env.n_actions + action, old_logp, loss, floor, count, target)
    for k, x, *per_transition, count, target in zip(n_slots, *parts, strict=True):
        yield Minibatch(x[:, :k], *per_transition, count[:, :k], target[:, :k])


def advantages(
    reward: Float[Tensor, "task stream step"], value: Float[Tensor, "task stream step"],
    last_value: Float[Tensor, "task stream"], done: Sequence[bool], source: SourceConfig,
) -> Float[Tensor, "task stream step"]:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438).

    After a step with `done` the value is 0: the horizon is a termination, as in the paper's environments.
    """
    result, running = torch.empty_like(value), torch.zeros_like(last_value)
    for t in reversed(range(len(done))):
        goes_on = 0.0 if done[t] else 1.0
        delta = reward[..., t] + source.gamma * goes_on * last_value - value[..., t]
        running = delta + source.gamma * source.gae_lambda * goes_on * running
        result[..., t], last_value = running, value[..., t]
    return result


def act(nets: GridNets, world: GridWorld, log: Log, start: int, generator: torch.Generator) -> None:
    """Take `n_steps` steps in every stream, from env step `start` on, and log them."""
    logp, values = nets.tables()
    update = start // nets.source.n_steps
    check_finite(update, nets.source, action_probabilities=logp, values=values)
    bounds = logp.exp().cumsum(-1)[..., :-1]              # an action is the number of bounds below a uniform number
    for t in range(start, start + nets.source.n_steps):
        cell = world.state.cell
        bound = bounds.gather(1, cell[..., None].expand(-1, -1, bounds.shape[-1]))
        action = (torch.rand(*cell.shape, 1, generator=generator) > bound).sum(-1)
        step = world.step(action)
        log.observation[..., t], log.action[..., t], log.reward[..., t] = cell, action, step.reward
        if step.done:
            log.terminal_observation[..., t // nets.env.horizon] = step.next_observation


def learn(
    nets: GridNets, log: Log, start: int, last_cell: Int[Tensor, "task stream"], generator: torch.Generator
) -> None:
    """One update of PPO from the `n_steps` logged from `start` on; `last_cell`: where the agents are after them."""
    source, stop = nets.source, start + nets.source.n_steps
    fields = log.observation, log.action, log.reward
    cell, action, reward = (part[..., start:stop].long() for part in fields)
    flat_cell, flat_action = cell.flatten(1), action.flatten(1)
    logp, values = nets.tables()
    old_logp = logp.flatten(1).gather(1, flat_cell * nets.env.n_actions + flat_action)
    value = values.gather(1, flat_cell)
    done = [(t + 1) % nets.env.horizon == 0 for t in range(start, stop)]
    last_value = values.gather(1, last_cell)
    advantage = advantages(reward.float(), value.view(cell.shape), last_value, done, source).flatten(1)
    data = flat_cell, flat_action, old_logp, advantage, advantage + value
    for _ in range(source.n_epochs):
        order = torch.randperm(value.shape[1], generator=generator)
        for batch in minibatches(nets, data, order):
            ppo_gradient(nets, batch)
            nets.adam_step()


def empty_log(env: EnvConfig, n_tasks: int, source: SourceConfig) -> Log:
    """Room for what all streams do."""
    steps = n_tasks, source.n_streams, source.env_steps
    cell, byte = dict(dtype=Space(env.n_cells).stored_as), dict(dtype=torch.uint8)
    last = torch.empty(*steps[:2], source.env_steps // env.horizon, **cell)
    return Log(torch.empty(steps, **cell), torch.empty(steps, **byte), torch.empty(steps, **byte), last)


@checked
def train_ppo(
    env: EnvConfig, tasks: Sequence[Task], source: SourceConfig, seed: Seed,
    on_update: Callable[[int], None] | None = None,
) -> Log:
    """Train one PPO agent a task, side by side, and log every transition of every stream.

    The paper's source algorithm (section 5.1, appendix): stable-baselines3's PPO with the settings in `SourceConfig`.
    The tasks of one call share random numbers and the order of the minibatches, nothing else: the log is reproduced by
    the same seed and the same list of tasks. `on_update(i)` is called after update i = 0, 1, ...

    `FloatingPointError` where weights, gradients or probabilities are not finite any more.
    """
    at_least("number of tasks", len(tasks), 1)
    check_fits(source, len(tasks), 2, env.n_actions, bytes_per_step=3)
    world = GridWorld(env, tasks, source.n_streams)
    generator = torch.Generator().manual_seed(seed)
    nets = GridNets(env, len(tasks), source, generator)
    log = empty_log(env, len(tasks), source)
    for update, start in enumerate(range(0, source.env_steps, source.n_steps)):
        act(nets, world, log, start, generator)
        learn(nets, log, start, world.state.cell, generator)
        check_finite(update, source, gradients=nets.sum_of_norms, weights=nets.weights)
        if on_update is not None:
            on_update(update)
    return log
