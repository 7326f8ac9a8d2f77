"""PPO for many tasks at once: the update of stable-baselines3, with the weights of all tasks in one
stack.

The loop is the same in every world; what an agent does with its networks is told by the spaces
(`agents_of`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dicp.checks import Seed, at_least, checked
from dicp.config import SourceConfig, WorldConfig
from dicp.domain import Domain, domain_of
from dicp.envs import Task
from dicp.source.continuous import GaussianAgents
from dicp.source.discrete import TableAgents
from dicp.source.limits import check_finite, check_fits, check_given
from dicp.source.nets import Experience, Nets
from dicp.source.record import Recorder, bytes_per_step
from dicp.types import Log

__all__ = ["train_ppo"]


@runtime_checkable
class Agents(Protocol):
    """One agent a task: how it acts, and the gradient of its networks."""

    nets: Nets
    source: SourceConfig

    def begin_update(self, update: int) -> None: ...

    def choose(self, observation: Tensor, generator: torch.Generator) -> tuple[Tensor, tuple]:
        """(the action of each stream, as executed; what an update has to know of the step: first
        the observation and the action)."""

    def value(self, observation: Tensor) -> Float[Tensor, "task stream"]: ...

    def recall(self, memory: tuple) -> tuple[Tensor, Tensor]:
        """(log-probabilities, values) [task stream step] of what `choose` gave."""

    def minibatches(self, data: Experience, order: Int[Tensor, "transition"]) -> Iterator[Any]: ...

    def write_gradient(self, batch: Any) -> None: ...


def agents_of(domain: Domain) -> type[TableAgents] | type[GaussianAgents]:
    """The agents of a world."""
    return TableAgents if domain.action.is_discrete else GaussianAgents


@checked
def train_ppo(
    env: WorldConfig, tasks: Sequence[Task], source: SourceConfig, seed: Seed,
    on_update: Callable[[int], None] | None = None,
) -> Log:
    """Train one PPO agent a task, side by side, and log every transition of the first
    `source.n_kept` streams.

    The paper's source algorithm (section 5.1, appendix): stable-baselines3's PPO with the settings
    in `SourceConfig`. The tasks of one call share random numbers and the order of the minibatches,
    nothing else: the log is reproduced by the same seed and the same list of tasks. `on_update(i)`
    is called after update i = 0, 1, ...

    `FloatingPointError` where weights, gradients or actions are not finite any more.
    """
    return ppo(domain_of(env), tasks, source, seed, on_update)


def ppo(
    domain: Domain, tasks: Sequence[Task], source: SourceConfig, seed: int,
    on_update: Callable[[int], None] | None = None,
) -> Log:
    """The same in any world."""
    n_tasks, kind = len(tasks), agents_of(domain)
    at_least("number of tasks", n_tasks, 1)
    n_outputs = domain.action.n or domain.action.shape[0]
    check_fits(source, n_tasks, kind.n_inputs(domain), n_outputs, bytes_per_step(domain))
    world = domain.simulator(tasks, source.n_streams, seed, for_source=True)
    generator = torch.Generator().manual_seed(seed)
    agents = kind(domain, n_tasks, source, generator)
    recorder = Recorder(domain, n_tasks, source.n_kept, source.env_steps)
    observation = world.reset()
    for update, start in enumerate(range(0, source.env_steps, source.n_steps)):
        observation, data = act(agents, world, observation, recorder, start, generator)
        learn(agents, data, generator)
        nets = agents.nets
        check_finite(update, source, gradients=nets.sum_of_norms, weights=nets.weights)
        if on_update is not None:
            on_update(update)
    return recorder.log


def act(
    agents: Agents, world: Any, observation: Tensor, recorder: Recorder, start: int,
    generator: torch.Generator,
) -> tuple[Tensor, Experience]:
    """Take `n_steps` steps in every stream, from env step `start` on, and record them: (the
    observation after them, the experience)."""
    source, memory, rewards, done = agents.source, [], [], []
    agents.begin_update(start // source.n_steps)
    for t in range(start, start + source.n_steps):
        check_given("observation", observation, t)
        action, known = agents.choose(observation, generator)
        step = world.step(action)
        check_given("reward", step.reward, t)
        recorder.note(t, observation, action, step)
        reward = step.reward.float()
        if step.done and recorder.domain.timeout_bootstraps:
            # cut off, not over: what would have come is worth what the value net says
            reward = reward + source.gamma * agents.value(step.next_observation)
        memory.append(known)
        rewards.append(reward)
        done.append(step.done)
        observation = step.observation
    memory = tuple(torch.stack(parts, dim=2) for parts in zip(*memory, strict=True))
    return observation, experience_of(agents, memory, torch.stack(rewards, 2), done, observation)


def experience_of(
    agents: Agents, memory: tuple[Tensor, ...], reward: Float[Tensor, "task stream step"],
    done: Sequence[bool], observation: Tensor,
) -> Experience:
    """What an update learns from; `observation`: after the last step."""
    logp, value = agents.recall(memory)
    last_value = agents.value(observation)
    advantage = advantages(reward, value, last_value, done, agents.source)
    parts = memory[0], memory[1], logp, advantage, advantage + value
    return Experience(*(part.flatten(1, 2) for part in parts))


def advantages(
    reward: Float[Tensor, "task stream step"], value: Float[Tensor, "task stream step"],
    last_value: Float[Tensor, "task stream"], done: Sequence[bool], source: SourceConfig,
) -> Float[Tensor, "task stream step"]:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438).

    After a step with `done` the value is 0: the horizon is a termination, as in the paper's
    environments (where it is not, the reward holds what comes after it).
    """
    result, running = torch.empty_like(value), torch.zeros_like(last_value)
    for t in reversed(range(len(done))):
        goes_on = 0.0 if done[t] else 1.0
        delta = reward[..., t] + source.gamma * goes_on * last_value - value[..., t]
        running = delta + source.gamma * source.gae_lambda * goes_on * running
        result[..., t], last_value = running, value[..., t]
    return result


def learn(agents: Agents, data: Experience, generator: torch.Generator) -> None:
    """One update of PPO."""
    n_transitions = data.advantage.shape[1]
    for _ in range(agents.source.n_epochs):
        order = torch.randperm(n_transitions, generator=generator)
        for batch in agents.minibatches(data, order):
            agents.write_gradient(batch)
            agents.nets.adam_step()
