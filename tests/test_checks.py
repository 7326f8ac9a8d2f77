"""The rules that every config field and every public argument goes through."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

from dicp import checks
from dicp.checks import Count, Each, Number, OneOf, Share, check_fields, checked, number, one_of, switch, whole


@pytest.mark.parametrize("value", [np.int64(3), np.uint8(3), np.array(3), 3])
def test_whole_numbers_become_pythons(value):
    assert whole("n", value, 1, 3) == 3 and type(whole("n", value)) is int


@pytest.mark.parametrize("value", [0, 4, 2**63, True, np.True_, 2.0, math.nan, "2", None, [2], np.array([2])])
def test_what_is_no_whole_number_in_range_is_refused(value):
    with pytest.raises(ValueError, match=r"^n is .*; allowed: a whole number from 1 to 3\.$"):
        whole("n", value, 1, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 1.1, True, "0", None, [], 2**63, np.float64("nan")])
def test_what_is_no_number_in_range_is_refused(value):
    with pytest.raises(ValueError, match=r"^x is .*; allowed: a number in \[0, 1\]\.$"):
        number("x", value, 0, 1)


def test_numbers_become_floats_and_bounds_may_be_excluded():
    assert type(number("x", 1)) is float and type(number("x", np.float32(0.5))) is float
    with pytest.raises(ValueError, match=r"\(0, 1\)"):
        number("x", 0, 0, 1, above=True, below=True)
    with pytest.raises(ValueError, match="a finite number above 0"):
        number("x", 0, 0, above=True)


def test_a_switch_is_true_or_false_alone():
    assert switch("s", np.True_) is True
    for value in (0, 1, "True", None):
        with pytest.raises(ValueError, match="allowed: True or False"):
            switch("s", value)


def test_one_of_knows_true_from_1_and_suggests_a_name():
    assert one_of("n", np.int64(1), (0, 1)) == 1 and one_of("e", np.str_("a"), ("a",)) == "a"
    with pytest.raises(ValueError, match="n is True; allowed: 0, 1"):
        one_of("n", True, (0, 1))
    with pytest.raises(ValueError, match="Did you mean 'darkroom'"):
        one_of("env", "drakroom", ("darkroom", "metaworld"))


def test_a_sentence_is_one_short_line():
    with pytest.raises(ValueError) as refusal:
        whole("n", np.zeros((100, 100)))
    assert "ndarray (100, 100) of float64" in str(refusal.value) and len(str(refusal.value)) < 200
    with pytest.raises(ValueError) as refusal:
        whole("n", "x\n" * 1000)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 200


def test_more_than_the_memory_is_refused_before_it_is_asked_for():
    checks.fits_memory("size", 9, 1e6, "at most 9")
    with pytest.raises(ValueError, match="size is 100; allowed: at most 9 .*GiB"):
        checks.fits_memory("size", 100, 1e18, "at most 9")


@dataclass(frozen=True)
class Settings:
    width: Count = 3
    share: Share = 0.5
    betas: Annotated[tuple, Each(Number(0, 1, below=True), 2)] = (0.9, 0.99)
    kind: Annotated[str, OneOf(("a", "b"))] = "a"
    on: bool = False
    name: str | None = None

    def __post_init__(self):
        check_fields(self, "settings")


def test_fields_are_checked_by_their_types_and_kept_plain():
    settings = Settings(np.int64(4), 1, [0, np.float32(0.5)])
    assert settings == Settings(4, 1.0, (0.0, 0.5)) and type(settings.width) is int and type(settings.share) is float
    for field, value in (("width", 0), ("share", math.nan), ("betas", (0.9,)), ("betas", (0.9, 1)), ("kind", "c"), ("on", 1),
                         ("name", 3), ("name", "")):
        with pytest.raises(ValueError, match=rf"^settings\.{field}.* is .*; allowed: "):
            Settings(**{field: value})


@checked
def act(n: Count, where: str | Path, share: Share = 0.5, seeds: list | tuple = (), settings: Settings | None = None, *,
        greedy: bool = False):
    return n, where, share, greedy


def test_arguments_are_checked_by_their_types():
    assert act(np.int64(2), "a", np.float32(1)) == (2, "a", 1.0, False)
    assert act(2, Path("a"), settings=Settings(), greedy=np.True_) == (2, Path("a"), 0.5, True)
    for arguments, name in (((0, "a"), "n"), ((1, ""), "where"), ((1, None), "where"), ((1, "a", -1), "share"),
                            ((1, "a", 1, "text"), "seeds"), ((1, "a", 1, (), 3), "settings")):
        with pytest.raises(ValueError, match=rf"^{name} is .*; allowed: "):
            act(*arguments)
    with pytest.raises(ValueError, match="greedy is 1; allowed: True or False"):
        act(1, "a", greedy=1)
