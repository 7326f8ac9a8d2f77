"""The source algorithm whose learning histories are distilled: PPO in batches of tasks,
or via stable-baselines3."""

from dicp.source.ppo import train_ppo
from dicp.source.sb3 import train_sb3

__all__ = ["train_ppo", "train_sb3"]
