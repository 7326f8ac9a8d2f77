"""Learning histories: what the source algorithm did on every task, collected once, kept on disk,
loaded for training.

A history is what one stream did on one task, in order. Position, action and reward are stored, and
the true last cell of each episode; every other next cell is the position that follows
(`next_observation`).
"""

from dicp.history.collection import collect
from dicp.history.histories import LearningHistories
from dicp.history.logs import episode_returns, next_observation
from dicp.history.opening import HistoryError

__all__ = ["HistoryError", "LearningHistories", "collect", "episode_returns", "next_observation"]
