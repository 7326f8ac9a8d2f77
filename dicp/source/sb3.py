"""The source algorithm through stable-baselines3: reference for `train_ppo`, and where another
algorithm plugs in."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from dicp.checks import Whole, checked, refuse
from dicp.config import Env, EnvConfig, SourceConfig
from dicp.envs import GridWorld, Task, cell_to_xy
from dicp.source.continuous import World
from dicp.source.limits import check_fits
from dicp.types import Log, Space

__all__ = ["train_sb3"]

Seed32 = Annotated[int, Whole(0, 2**32 - 1)]         # what NumPy's generator takes
Algorithm = type[BaseAlgorithm] | Callable[[VecEnv, SourceConfig, int], BaseAlgorithm]


@runtime_checkable
class Learner(Protocol):
    """What an algorithm makes: a model of stable-baselines3, or anything that learns like one."""

    def learn(self, total_timesteps: int) -> Any: ...


class RecordedVecEnv(VecEnv):
    """The streams of one task as the vectorised environment of stable-baselines3."""

    def close(self) -> None:
        pass

    def get_attr(self, attr_name, indices=None) -> list:
        return [getattr(self, attr_name, None) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name, value, indices=None) -> None:
        raise NotImplementedError("The streams of a task share their attributes.")

    def env_method(self, method_name, *args, indices=None, **kwargs) -> list:
        raise NotImplementedError("The streams of a task have no methods of their own.")

    def env_is_wrapped(self, wrapper_class, indices=None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


class GridVecEnv(RecordedVecEnv):
    """A grid world; remembers every transition.

    Observations are the raw coordinates, 0 to size - 1, as floats. The horizon is a termination: no
    `TimeLimit.truncated`.
    """

    def __init__(self, env: EnvConfig, task: Task, n_streams: int):
        self.world = GridWorld(env, [task], n_streams)
        self.cells, self.actions, self.rewards, self.terminal_cells = [], [], [], []
        box = gymnasium.spaces.Box(0.0, env.size - 1.0, (2,), np.float32)
        super().__init__(n_streams, box, gymnasium.spaces.Discrete(env.n_actions))

    def observe(self, cell: torch.Tensor) -> np.ndarray:
        return cell_to_xy(cell[0], self.world.config.size).numpy().astype(np.float32)

    def reset(self) -> np.ndarray:
        return self.observe(self.world.reset())

    def step_async(self, actions: np.ndarray) -> None:
        self.chosen = torch.as_tensor(actions)[None]

    def step_wait(self):
        self.cells.append(self.world.state.cell)
        step = self.world.step(self.chosen)
        self.actions.append(self.chosen)
        self.rewards.append(step.reward)
        infos = [{} for _ in range(self.num_envs)]
        if step.done:
            self.terminal_cells.append(step.next_observation)
            for info, last in zip(infos, self.observe(step.next_observation), strict=True):
                info["terminal_observation"] = last
        reward = step.reward[0].numpy().astype(np.float32)
        return self.observe(step.observation), reward, np.full(self.num_envs, step.done), infos

    def log(self, env_steps: int) -> Log:
        """The first `env_steps` steps of every stream."""
        check_length(self.cells, env_steps)
        n_episodes = env_steps // self.world.config.horizon
        cell = Space(self.world.config.n_cells).stored_as
        none = torch.empty(1, self.num_envs, 0)
        terminal = self.terminal_cells[:n_episodes]
        last = torch.stack(terminal, -1) if terminal else none
        steps = (self.cells[:env_steps], self.actions[:env_steps], self.rewards[:env_steps])
        cells, actions, rewards = (torch.stack(part, -1) for part in steps)
        return Log(cells.to(cell), actions.byte(), rewards.byte(), last.to(cell))


class ContinuousVecEnv(RecordedVecEnv):
    """A world with continuous actions (of one task); remembers every transition, of the
    observations the numbers `seen`.

    At the horizon episodes are cut off, not over: `TimeLimit.truncated` says so, and
    stable-baselines3 adds the value of the last observation.
    """

    def __init__(self, world: World, seen: Sequence[int]):
        self.world, self.seen, self.steps, self.terminal = world, list(seen), [], []
        self.observation, box = world.reset(), gymnasium.spaces.Box
        of_any = box(-np.inf, np.inf, self.observation.shape[-1:], np.float64)
        super().__init__(world.n_streams, of_any, box(-1, 1, (4,), np.float32))

    def reset(self) -> np.ndarray:
        self.observation = self.world.reset()
        return self.observation[0]

    def step_async(self, actions: np.ndarray) -> None:
        self.chosen = actions.astype(float)[None]

    def step_wait(self):
        step = self.world.step(self.chosen)
        # copies: stable-baselines3 adds to the rewards that it is given
        record = self.observation[..., self.seen], self.chosen, step.reward, step.success
        self.steps.append([torch.tensor(x, dtype=torch.float32) for x in record])
        infos = [{} for _ in range(self.num_envs)]
        if step.done:
            terminal = step.next_observation[..., self.seen]
            self.terminal.append(torch.tensor(terminal, dtype=torch.float32))
            for info, last in zip(infos, step.next_observation[0], strict=True):
                info |= {"terminal_observation": last, "TimeLimit.truncated": True}
        self.observation = step.observation
        return step.observation[0], step.reward[0], np.full(self.num_envs, step.done), infos

    def log(self, env_steps: int) -> Log:
        """The first `env_steps` steps of every stream."""
        check_length(self.steps, env_steps)
        *parts, success = (torch.stack(x, dim=2) for x in zip(*self.steps[:env_steps], strict=True))
        n_episodes = env_steps // self.world.horizon
        terminal = torch.stack(self.terminal[:n_episodes], dim=2)
        return Log(*parts, terminal, success.byte())


def check_length(steps: Sequence, env_steps: int) -> None:
    if len(steps) < env_steps:
        taken = f"The algorithm took {len(steps)} env steps a stream"
        raise ValueError(f"{taken}; allowed: at least {env_steps}.")


def quiet(model: BaseAlgorithm) -> BaseAlgorithm:
    """The model with a logger that writes nothing: the default one leaves an empty temporary folder
    at every `learn`."""
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def make_ppo(vec_env: VecEnv, source: SourceConfig, seed: int) -> PPO:
    """stable-baselines3's PPO with the settings of `SourceConfig`; what is not named here is its
    default."""
    return quiet(PPO(
        "MlpPolicy", vec_env, seed=seed, device="cpu", learning_rate=source.learning_rate,
        n_steps=source.n_steps, batch_size=source.batch_size, n_epochs=source.n_epochs,
        gamma=source.gamma, gae_lambda=source.gae_lambda, clip_range=source.clip_range,
        vf_coef=source.value_coef, max_grad_norm=source.max_grad_norm,
        policy_kwargs=dict(net_arch=[source.width] * 2, optimizer_kwargs=dict(eps=source.adam_eps)),
    ))


def new_model(
    algorithm: Algorithm | None, vec_env: VecEnv, source: SourceConfig, seed: int
) -> Learner:
    if not isinstance(algorithm, type):
        model = (algorithm or make_ppo)(vec_env, source, seed)
        if not isinstance(model, Learner):
            raise refuse("What algorithm makes", model, "a model of stable-baselines3")
        return model
    if not issubclass(algorithm, BaseAlgorithm):
        raise refuse("algorithm", algorithm, "an algorithm of stable-baselines3, or a function")
    return quiet(algorithm("MlpPolicy", vec_env, seed=seed, device="cpu"))


def learn(model: Learner, env_steps: int, source: SourceConfig) -> None:
    """Train; `FloatingPointError` where the weights are not finite any more."""
    try:
        model.learn(env_steps)
    except (ValueError, RuntimeError) as error:      # of PyTorch's distributions, of its optimisers
        check_weights(model, source, error)
        raise
    check_weights(model, source)


def check_weights(
    model: Learner, source: SourceConfig, cause: Exception | None = None
) -> None:
    """Raise `FloatingPointError` unless they are finite, and did not become too large (`cause`)."""
    policy = getattr(model, "policy", None)
    parameters = policy.parameters() if isinstance(policy, torch.nn.Module) else ()
    too_large = "without overflow" in str(cause)
    if too_large or not all(x.isfinite().all() for x in parameters):
        update = f"update {model.num_timesteps // (source.n_steps * source.n_streams)}"
        cure = f"try a learning_rate below {source.learning_rate:g}"
        what = f"the weights of {type(model).__name__} are not finite after {update}"
        raise FloatingPointError(f"{what} of the source; {cure}.") from cause


@checked
def train_sb3(
    env: Env, task: Task, source: SourceConfig, seed: Seed32, algorithm: Algorithm | None = None
) -> Log:
    """Train one agent on one task with stable-baselines3; the log has task dimension 1.

    `algorithm` is a class (used with its own defaults), or a function that makes the model; the
    default is PPO as in the paper. Any algorithm for the actions of the world will do. For example,
    A2C with updates as long as an episode:

        def make_a2c(vec_env, source, seed):
            settings = dict(n_steps=source.n_steps, gamma=source.gamma, seed=seed, device="cpu")
            return A2C("MlpPolicy", vec_env, **settings)

        log = train_sb3(EnvConfig(), (0, 3), SourceConfig(), seed=0, algorithm=make_a2c)

    stable-baselines3 seeds the global generators of `random` and NumPy; that of torch is put back.
    `FloatingPointError` where the weights are not finite any more.
    """
    n_inputs, bytes_per_step = (2, 24) if isinstance(env, EnvConfig) else (39, 4 * 17)
    check_fits(source, 1, n_inputs, 5, bytes_per_step)
    if isinstance(env, EnvConfig):
        vec_env = GridVecEnv(env, task, source.n_streams)
    else:
        from dicp.envs.metaworld import MetaWorld

        world = MetaWorld(env.task, [task], source.n_streams, env.horizon)
        vec_env = ContinuousVecEnv(world, range(env.n_observed))
    with torch.random.fork_rng(devices=[]):
        model = new_model(algorithm, vec_env, source, seed)
        learn(model, source.env_steps * source.n_streams, source)
    return vec_env.log(source.env_steps)
