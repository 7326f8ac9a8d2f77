"""The source algorithm through stable-baselines3: reference for `train_ppo`, and where another
algorithm plugs in."""

import math
from collections.abc import Callable
from typing import Annotated, Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from dicp.checks import Whole, checked, refuse
from dicp.config import SourceConfig, WorldConfig
from dicp.domain import Domain, domain_of
from dicp.envs import Task
from dicp.source.limits import check_fits
from dicp.source.record import Recorder, bytes_per_step
from dicp.types import Log

__all__ = ["train_sb3"]

Seed32 = Annotated[int, Whole(0, 2**32 - 1)]         # what NumPy's generator takes
Algorithm = type[BaseAlgorithm] | Callable[[VecEnv, SourceConfig, int], BaseAlgorithm]


@runtime_checkable
class Learner(Protocol):
    """What an algorithm makes: a model of stable-baselines3, or anything that learns like one."""

    def learn(self, total_timesteps: int) -> Any: ...


class RecordedVecEnv(VecEnv):
    """The streams of one task as the vectorised environment of stable-baselines3; remembers every
    transition.

    Observations are numbers: where an observation is one of a few things, its coordinates. Where
    the world says so (`timeout_bootstraps`), episodes are cut off at the horizon, not over:
    `TimeLimit.truncated` tells stable-baselines3 to add the value of the last observation.
    """

    def __init__(
        self, domain: Domain, task: Task, n_streams: int, env_steps: int, seed: int = 0
    ):
        self.domain, self.n_steps = domain, 0
        self.world = domain.simulator([task], n_streams, seed, for_source=True)
        self.recorder = Recorder(domain, 1, n_streams, env_steps)
        self.observation = self.world.reset()
        super().__init__(n_streams, observation_box(domain), action_space(domain))

    def numbers(self, observation: torch.Tensor) -> np.ndarray:
        """Observations [1 stream ...] as stable-baselines3 reads them."""
        return self.domain.source_observation.numbers(observation[0]).numpy()

    def reset(self) -> np.ndarray:
        self.observation = self.world.reset()
        return self.numbers(self.observation)

    def step_async(self, actions: np.ndarray) -> None:
        self.chosen = torch.as_tensor(actions)[None]

    def step_wait(self):
        step = self.world.step(self.chosen)
        if self.n_steps < self.recorder.log.reward.shape[2]:
            self.recorder.note(self.n_steps, self.observation, self.chosen, step)
        self.n_steps += 1
        infos = [{} for _ in range(self.num_envs)]
        if step.done:
            for info, last in zip(infos, self.numbers(step.next_observation), strict=True):
                info["terminal_observation"] = last
                if self.domain.timeout_bootstraps:
                    info["TimeLimit.truncated"] = True
        self.observation = step.observation
        reward = step.reward[0].numpy().astype(np.float32)      # stable-baselines3 adds to it
        done = np.full(self.num_envs, step.done)
        return self.numbers(step.observation), reward, done, infos

    def log(self) -> Log:
        """Every stream; `ValueError` if the algorithm took too few steps."""
        env_steps = self.recorder.log.reward.shape[2]
        if self.n_steps < env_steps:
            taken = f"The algorithm took {self.n_steps} env steps a stream"
            raise ValueError(f"{taken}; allowed: at least {env_steps}.")
        return self.recorder.log

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


def observation_box(domain: Domain) -> gymnasium.spaces.Box:
    """The numbers that an algorithm sees."""
    low, high = (np.array(bound, np.float32) for bound in domain.source_observation.number_bounds)
    return gymnasium.spaces.Box(low, high, dtype=np.float32)


def action_space(domain: Domain) -> gymnasium.Space:
    action = domain.action
    if action.is_discrete:
        return gymnasium.spaces.Discrete(action.n)
    return gymnasium.spaces.Box(action.low, action.high, action.shape, np.float32)


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
    env: WorldConfig, task: Task, source: SourceConfig, seed: Seed32,
    algorithm: Algorithm | None = None,
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
    domain = domain_of(env)
    n_inputs = math.prod(observation_box(domain).shape)
    check_fits(source, 1, n_inputs, 5, 2 * bytes_per_step(domain))
    vec_env = RecordedVecEnv(domain, task, source.n_streams, source.env_steps, seed)
    with torch.random.fork_rng(devices=[]):
        model = new_model(algorithm, vec_env, source, seed)
        learn(model, source.env_steps * source.n_streams, source)
    return vec_env.log()
