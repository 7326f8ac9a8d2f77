"""The source algorithm whose learning histories are distilled: PPO in batches of tasks, or via stable-baselines3."""

from dicp.source.continuous import train_continuous_ppo
from dicp.source.ppo import TASKS_PER_BLOCK, train_ppo
from dicp.source.sb3 import train_sb3

__all__ = ["TASKS_PER_BLOCK", "train_continuous_ppo", "train_ppo", "train_sb3"]
