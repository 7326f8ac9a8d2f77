"""Algorithms of stable-baselines3 and sb3-contrib as sources, by the name in
`SourceConfig.algorithm`."""

from collections.abc import Callable

from sb3_contrib import TRPO
from stable_baselines3 import A2C, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from dicp.checks import refuse
from dicp.config import SourceConfig
from dicp.source.sb3 import make_ppo, quiet

__all__ = ["MAKERS"]


def make_trpo(vec_env: VecEnv, source: SourceConfig, seed: int) -> TRPO:
    """Trust region policy optimisation (Schulman et al. 2015, arXiv 1502.05477); the learning rate
    is the value network's."""
    return quiet(TRPO(
        "MlpPolicy", vec_env, seed=seed, device="cpu", learning_rate=source.learning_rate,
        n_steps=source.n_steps, batch_size=source.batch_size, gamma=source.gamma,
        gae_lambda=source.gae_lambda, policy_kwargs=nets_of(source),
    ))


def make_a2c(vec_env: VecEnv, source: SourceConfig, seed: int) -> A2C:
    """Advantage actor-critic (Mnih et al. 2016, arXiv 1602.01783)."""
    return quiet(A2C(
        "MlpPolicy", vec_env, seed=seed, device="cpu", learning_rate=source.learning_rate,
        n_steps=source.n_steps, gamma=source.gamma, policy_kwargs=nets_of(source),
    ))


def make_sac(vec_env: VecEnv, source: SourceConfig, seed: int) -> SAC:
    """Soft actor-critic (Haarnoja et al. 2018, arXiv 1801.01290), for actions that are numbers: a
    gradient step for two transitions."""
    if vec_env.action_space.dtype.kind != "f":
        raise refuse(
            "source.algorithm", "sac", "one for a choice among actions: ppo, sb3, trpo, a2c"
        )
    return quiet(SAC(
        "MlpPolicy", vec_env, seed=seed, device="cpu", learning_rate=source.learning_rate,
        batch_size=source.batch_size, gamma=source.gamma, policy_kwargs=nets_of(source),
        gradient_steps=max(source.n_streams // 2, 1),
    ))


def nets_of(source: SourceConfig) -> dict:
    """Two layers."""
    return dict(net_arch=[source.width] * 2)


MAKERS: dict[str, Callable[[VecEnv, SourceConfig, int], BaseAlgorithm]] = {
    "sb3": make_ppo, "trpo": make_trpo, "a2c": make_a2c, "sac": make_sac,
}
