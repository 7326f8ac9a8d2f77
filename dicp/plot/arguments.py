"""What the figures' arguments may be, as types: a wrong one gets one sentence, nothing is drawn."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import numpy as np
import pandas as pd
from matplotlib.colors import is_color_like

from dicp.checks import Each, Number, Whole, refuse, sequence, several_of
from dicp.checks import Words as Words  # the figures take it from here, as all others

LARGEST_ROOM = 200         # cells along a side
T = TypeVar("T")


def check_title(what: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise refuse(what, value, "the one claim that the figure makes, in words")
    return value


def _named(what: str, value: object) -> Mapping:
    if not isinstance(value, Mapping) or not value:
        raise refuse(what, value, "a dict with a name for each")
    return value


def _several(what: str, value: object) -> object:
    if not len(sequence(what, value)):
        raise refuse(what, value, "a sequence that is not empty")
    return value


def _labels(what: str, value: object) -> Collection:
    texts = [isinstance(label, str) for label in several_of(Collection)(what, value)]
    if not texts or not all(texts):
        raise refuse(what, value, "several texts, or a dict with texts for names")
    return value


def _colour(what: str, value: object) -> object:
    if not is_color_like(value) or value == "0":
        raise refuse(what, value, "a colour, such as '#0072B2' or (0, 0.4, 0.7)")
    return value


def _glyphs(what: str, value: object) -> Sequence:
    fits = isinstance(value, Sequence) and len(value) >= 5
    if not fits or not all(isinstance(glyph, str) for glyph in value):
        raise refuse(what, value, "a text for each of the five actions")
    return value


class Array:
    """One number at least, in `n` dimensions (None: in any, but some). Returned as they are."""

    def __init__(self, n: int | None = None):
        self.n = n

    def __call__(self, what: str, value: object) -> object:
        allowed = f"numbers in {self.n} dimensions" if self.n else "a sequence of numbers"
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError):
            raise refuse(what, value, allowed) from None
        fits = array.ndim and array.size and self.n in (None, array.ndim)
        if not fits or array.dtype.kind not in "biuf":
            raise refuse(what, value, allowed)
        return value


class Rows:
    """The rule for a data frame with at least one row and with these columns."""

    def __init__(self, *columns: str):
        self.columns = columns

    def __call__(self, what: str, value: object) -> pd.DataFrame:
        wanted = f"a data frame with the columns {', '.join(self.columns)} and a row or more"
        if not isinstance(value, pd.DataFrame):
            raise refuse(what, value, wanted)
        missing = [name for name in self.columns if name not in value]
        if missing or value.empty:
            lack = f"without {', '.join(missing)}" if missing else "without rows"
            raise ValueError(f"{what} is a data frame {lack}; allowed: {wanted}.")
        return value


class EachRows(Rows):
    """The rule for such data frames by name."""

    def __call__(self, what: str, value: object) -> Mapping:
        for name, table in _named(what, value).items():
            super().__call__(f"{what}[{name!r}]", table)
        return value


def in_shape(what: str, values: object, *shape: int) -> np.ndarray:
    """The numbers in this shape; `ValueError` unless there are as many as it has places."""
    array = np.asarray(Array()(what, values), dtype=float)
    if array.size != np.prod(shape):
        raise refuse(what, values, f"{' x '.join(map(str, shape))} numbers")
    return array.reshape(shape)


Title = Annotated[str, check_title]
Named = Annotated[Mapping[Any, T], _named]                   # Named[float]: a number for each name
Several = Annotated[Sequence[T], _several]
Labels = Annotated[Collection[str], _labels]
Colour = Annotated[str | tuple, _colour]
Glyphs = Annotated[Sequence[str], _glyphs]
SETTING = ("method", "planner")
SUMMARY = (*SETTING, "metric", "value", "low", "high")
Results = Annotated[pd.DataFrame, Rows("env", *SETTING, "episode", "env_steps")]
NamedResults = Annotated[Mapping, EachRows("env", "run", *SETTING, "episode", "env_steps")]
# of recorded_probes
Probes = Annotated[pd.DataFrame, Rows("run", "split", "probe", "value", "exact")]
RunResults = Annotated[pd.DataFrame, Rows("env", "run", "split", *SETTING, "episode", "env_steps")]
Recorded = Annotated[pd.DataFrame, Rows("run", "split", *SETTING)]    # runs of dicp.reproduce
Summary = Annotated[pd.DataFrame, Rows(*SUMMARY)]                     # of results.summary
Successes = Annotated[Mapping, EachRows("run", *SUMMARY)]             # of ml1.successes, by task
RANKED = ("task", "imitator", "ranking", "episode_return", "success")
Rankings = Annotated[pd.DataFrame, Rows(*RANKED)]                   # of ml1.rankings
Numbers = Annotated[Any, Array()]
Table = Annotated[Any, Array(2)]
Guess = Annotated[float, Number(-1e12, 1e12)]                  # of the reader, in units of an axis
Side = Annotated[int, Whole(2, LARGEST_ROOM)]                  # of a room, in cells
Cell = Annotated[int, Whole(0, LARGEST_ROOM**2 - 1)]
Columns = Annotated[int, Whole(1, 20)]
Frames = Annotated[int, Whole(1, 1000)]
Steps = Annotated[int, Whole(1, 1_000_000)]
Inches = Annotated[float, Number(0.5, 30)]
Size = Annotated[tuple, Each(Number(0.5, 30), 2)]              # width, height in inches
Rate = Annotated[float, Number(0.1, 100)]                      # frames a second
Brightness = Annotated[float, Number(0.01, 100)]
Height = Annotated[float, Number(1e-9, 1e12)]                  # of an axis
