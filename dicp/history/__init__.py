"""Learning histories: what the source algorithm did on every task, collected once, kept on disk,
loaded for training.

A history is what one stream did on one task, in order (`dicp.types.Log`). Observation, action and
reward are stored, and the true last observation of each episode; every other outcome is the
observation that follows.
"""

from dicp.history.collection import collect
from dicp.history.histories import LearningHistories
from dicp.history.opening import HistoryError

__all__ = ["HistoryError", "LearningHistories", "collect"]
