"""The rules that every config field and every public argument goes through."""

import io
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional, Protocol, TypeVar, runtime_checkable

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float, jaxtyped
from torch import Tensor

from dicp import checks
from dicp.checks import (
    Count,
    Each,
    Number,
    OneOf,
    Share,
    Words,
    anything,
    check_fields,
    checked,
    number,
    one_of,
    rule_of,
    rules_of,
    switch,
    whole,
)


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
    assert one_of("x", np.float32(0.5), (0.5,)) == 0.5 and one_of("x", np.array(1), (0, 1)) == 1
    for value in (1, 1.0, np.int64(1)):
        with pytest.raises(ValueError, match="allowed: True, False"):
            one_of("n", value, (True, False))
    with pytest.raises(ValueError, match="Did you mean 'darkroom'"):
        one_of("env", "drakroom", ("darkroom", "metaworld"))


def test_a_sentence_is_one_short_line():
    with pytest.raises(ValueError) as refusal:
        whole("n", np.zeros((100, 100)))
    assert "ndarray (100, 100) of float64" in str(refusal.value) and len(str(refusal.value)) < 200
    with pytest.raises(ValueError) as refusal:
        whole("n", "x\n" * 1000)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 200
    assert checks.shown(list(range(10**6))) == "a list of 1000000"

    class Silent:
        def __repr__(self):
            raise RuntimeError

    assert checks.shown(Silent()) == "a Silent"


def test_more_than_the_memory_is_refused_before_it_is_asked_for():
    checks.fits_memory("size", 9, 1e6, "at most 9")
    with pytest.raises(ValueError, match="size is 100; allowed: at most 9 .*GiB"):
        checks.fits_memory("size", 100, 1e18, "at most 9")


def test_a_container_may_have_less_memory_than_its_machine(monkeypatch):
    def memory_where_it_says(text):
        monkeypatch.setattr(checks, "open", lambda *_, **__: io.StringIO(text), raising=False)
        return checks.memory()

    machine = checks.memory()
    assert memory_where_it_says("1000\n") == 1000 and memory_where_it_says("max\n") >= machine


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


# ---- what a type says ----------------------------------------------------------------------------


@runtime_checkable
class Walker(Protocol):
    speed: float

    @property
    def legs(self) -> int: ...

    def walk(self, n: int) -> None: ...


class Dog:
    speed, legs = 1.0, 4

    def walk(self, n):
        """As a dog does."""


class Behind:
    """Hands everything on to a dog."""

    def __getattr__(self, name):
        return getattr(Dog(), name)


class Vague(Protocol):
    def bark(self) -> None: ...


T, Metres = TypeVar("T"), NewType("Metres", float)


@pytest.mark.parametrize("hint, right, wrong, sentence", [
    (int, [3, np.int64(3), -1], [True, 1.0, "1", None, 2**63], "a whole number"),
    (float, [3, 0.5, np.float32(1)], [True, math.nan, math.inf, "1", None], "a finite number"),
    (str, ["a"], ["", 1, None, b"a"], "a text that is not empty"),
    (bool, [True, np.True_], [0, 1, None, "True"], "True or False"),
    (Optional[int], [None, 3], [True, "3"], "a whole number .*, or None"),    # noqa: UP045
    (int | None, [None, 3], [1.5, []], "a whole number .*, or None"),
    (int | str, [3, "a"], [1.5, None], "a whole number .*, or a text that is not empty"),
    (Annotated[int, checks.Whole(1, 9)] | None, [1, None], [0, 10, True], "from 1 to 9, or None"),
    (str | Path, ["a", Path("a")], ["", 3, None], "a path, as a text or a pathlib.Path"),
    (Literal["a", 1], ["a", 1], [True, "b"], "'a', 1"),
    (Sequence[int], [[1], (1, 2), range(3), np.arange(3), []],
     [3, "12", None, [True], ["a"], {1: 1}], "a "),
    (list[str], [["a"]], ["a", ["a", ""], [1]], "a "),
    (tuple[int, float], [(1, 0.5)], [(1,), (1, "a"), (1, 2, 3), 5], "a "),
    (Iterable[int], [[1], {1}, iter([1]), range(10**12)], [3, "12", None, np.array(3)],
     "a sequence"),
    (Collection[int], [[1], {1}, np.zeros(2), torch.zeros(2)],
     [3, "12", None, iter([1]), np.array(3), torch.tensor(3)], "a sequence or a set"),
    (Words, ["", "a", np.str_("a")], [1, None, b"a", ["a"]], "a text"),
    (Mapping, [{}], [[], None, 3], "a Mapping"),
    (dict[str, int], [{}], [[], None, 3], "a dict"),
    (Callable[[int], int], [len, Dog], [3, "len", None], "a function"),
    (Dog, [Dog()], [Dog, None, 3], "a Dog"),
    (Walker, [Dog(), Behind()], [Dog, 3, None, "walk"], "a Walker, which has legs, speed, walk"),
    (Float[Tensor, "batch 3"], [torch.zeros(2, 3)],
     [torch.zeros(2), torch.zeros(2, 3).long(), 3, [1.0]], "a Tensor of Float"),
    (Bool[Tensor, "*batch"] | None, [torch.ones(2).bool(), None], [torch.ones(2), True],
     "a Tensor of Bool.*, or None"),
    (Metres, [1.5], [math.nan, "1"], "a finite number"),
])
def test_a_type_says_what_is_allowed(hint, right, wrong, sentence):
    rule = rule_of(hint)
    for value in right:
        rule("x", value)
    for value in wrong:
        pattern = rf"^x(\[\d\])? is .*; allowed: .*{sentence}"
        with pytest.raises(ValueError, match=pattern) as refusal:
            rule("x", value)
        assert "\n" not in str(refusal.value)


def test_the_nearest_name_is_said_last():
    with pytest.raises(ValueError) as refusal:
        rule_of(Annotated[str, OneOf(("darkroom", "metaworld"))] | None)("env", "drakroom")
    assert str(refusal.value) == (
        "env is 'drakroom'; allowed: 'darkroom', 'metaworld', or None. Did you mean 'darkroom'?")


@pytest.mark.parametrize("hint", [Any, object, T, Vague])
def test_a_type_that_says_nothing_allows_everything(hint):
    assert rule_of(hint) is anything and rule_of(hint)("x", math.nan) is math.nan


def test_a_shape_means_nothing_to_the_next_call():
    """Letters of a caller's shapes are not those of the function that it calls."""
    rule = rule_of(Float[Tensor, "batch"])
    with jaxtyped("context"):
        assert isinstance(torch.zeros(2), Float[Tensor, "batch"])
        rule("x", torch.zeros(3))


def test_sequences_keep_their_kind_and_each_item_its_rule():
    kept = rule_of(list[int])("x", [np.int64(1)])
    assert kept == [1] and type(kept) is list and type(kept[0]) is int
    each = Each(Number(0, 1), least=1)
    assert each("x", np.array([0.5, 1])) == (0.5, 1.0)
    for value in ([], np.array(0.5), 0.5, "a", None, [math.nan], range(2**63)):
        with pytest.raises(ValueError, match="^x.* is .*; allowed: "):
            each("x", value)
    with pytest.raises(ValueError, match="^x is .*; allowed: a sequence of at least 1.$"):
        each("x", ())


@checked
def go(
    where: "Nowhere", n: Count, *more: Count,                                            # noqa: F821
    how: "Literal['fast', 'slow']" = "slow", **rest: Share,                              # noqa: F821
):
    return n, more, how, rest


def test_a_name_that_cannot_be_found_costs_one_argument_its_rule():
    assert rules_of(go.__wrapped__)["where"] is anything
    given = go(math.nan, np.int64(1), np.int64(2), how="fast", much=1)
    assert given == (1, (2,), "fast", {"much": 1.0})
    for change in (dict(n=0), dict(how="quick"), dict(much=2)):
        with pytest.raises(ValueError, match=f"^{next(iter(change))} is .*; allowed: "):
            go(**dict(where=None, n=1) | change)
    with pytest.raises(ValueError, match="^more is 0; allowed: "):
        go(None, 1, 0)


def test_arguments_can_be_checked_without_the_call():
    assert act.check(np.int64(2), "a").arguments == {"n": 2, "where": "a"}
    with pytest.raises(ValueError, match="^n is 0; allowed: "):
        act.check(0, "a")
    # as Python says it
    with pytest.raises(TypeError, match="missing a required argument: 'where'"):
        act.check(1)


@checked
class Robot:
    def __init__(self, legs: Count):
        self.legs = legs


def test_a_class_is_checked_by_its_init():
    assert Robot(np.int64(2)).legs == 2 and Robot.__init__.is_checked
    with pytest.raises(ValueError, match="^legs is 0; allowed: "):
        Robot(0)
    with pytest.raises(TypeError, match="Dog has no __init__ of its own"):
        checked(Dog)


def test_a_container_has_the_memory_that_its_limit_says(tmp_path, monkeypatch):
    here = checks.memory()
    limits = [tmp_path / name for name in ("two", "one")]
    monkeypatch.setattr(checks, "CONTAINER_LIMITS", limits)
    limits[0].write_text("max\n", encoding="utf-8")
    assert checks.memory() >= here
    limits[1].write_text("1000\n", encoding="utf-8")
    assert checks.memory() == 1000
