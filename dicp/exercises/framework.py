"""What all checks share. A check is a function of the reader's function that raises `Hint` where it
goes wrong."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from dicp.checks import Words, checked, plain, refuse


class Hint(Exception):
    """The answer is wrong; the message says where to look."""


class NotAttempted(Exception):
    """The stub is still there: it returns nothing."""


def _numbers(what: str, value: object) -> object:
    value = plain(value)
    try:
        numbers = torch.as_tensor(value)
        fits = numbers.ndim > 0 or bool(numbers.isfinite())        # a mean of nothing among others
    except (TypeError, ValueError, RuntimeError):
        fits = False
    if not fits:
        raise refuse(what, value, "a tensor, an array, a list or a finite number")
    return value


Numbers = Annotated[float | bool | Sequence | np.ndarray | Tensor, _numbers]


@checked
def exercise(grade: Callable[[Callable], None]) -> Callable:
    """Make a check out of `grade(fn)`, which calls `fn` on cases and raises `Hint` at the first
    wrong answer. The check is called with the reader's function; with `strict` it raises
    `AssertionError` unless that is correct."""

    @checked
    def check(fn: Callable, strict: bool = False) -> None:
        try:
            grade(_guarded(fn))
            verdict = "correct"
        except NotAttempted:
            verdict = "not attempted"
        except Hint as hint:
            verdict = f"close: {hint}"
        print(verdict)
        if strict and verdict != "correct":
            raise AssertionError(f"{grade.__name__}: {verdict}")

    # not its signature, which has no `strict`
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(check, name, getattr(grade, name))
    return check


def _guarded(fn: Callable) -> Callable:
    """`fn` on copies of its arguments; its errors become hints, an empty answer means that nobody
    tried yet."""

    def call(*args):
        try:
            answer = fn(*deepcopy(args))
        except NotImplementedError:
            raise NotAttempted from None
        except Exception as error:
            said = (str(error).splitlines() or [""])[0]
            raise Hint(f"your function stops with {type(error).__name__}: {said}") from error
        if answer is None or answer is ...:
            raise NotAttempted
        return answer

    return call


def as_tensor(answer) -> Tensor:
    """The reader may return a tensor, an array, a list or a number."""
    try:
        return torch.as_tensor(answer).detach()
    except (TypeError, ValueError, RuntimeError):
        raise Hint(f"return a tensor, not {type(answer).__name__}") from None


def same(answer: Tensor, wanted: Tensor) -> bool:
    answer, wanted = answer.double(), wanted.double()
    close = {"rtol": 1e-4, "atol": 1e-6, "equal_nan": True}
    return answer.shape == wanted.shape and torch.allclose(answer, wanted, **close)


@checked
def expect(
    answer: object, wanted: Numbers, mistakes: Mapping[str, object] | None = None, case: Words = ""
) -> None:
    """Raise `Hint` unless `answer` equals `wanted`. mistakes: {hint: the wrong answer that deserves
    it}."""
    answer, wanted = as_tensor(answer), torch.as_tensor(wanted)
    if same(answer, wanted):
        return
    # a wrong answer that is also right in this case says nothing about the mistake
    for hint, wrong in (mistakes or {}).items():
        wrong = torch.as_tensor(wrong)
        if same(answer, wrong) and not same(wrong, wanted):
            raise Hint(hint)
    where = f" for {case}" if case else ""
    if answer.shape != wanted.shape:
        given, right = list(answer.shape), list(wanted.shape)
        raise Hint(f"the answer{where} has shape {given}, it should be {right}")
    what = where.strip().capitalize() or "the answer"
    raise Hint(f"{what}: got {_short(answer)}, wanted {_short(wanted)}")


@checked
def expect_number(
    answer: object, wanted: Numbers, mistakes: Mapping | None = None, case: Words = ""
) -> None:
    """The same for a single number; a tensor of one element passes."""
    if torch.as_tensor(wanted).numel() != 1:
        raise refuse("wanted", wanted, "one number")
    answer = as_tensor(answer)
    if answer.numel() != 1:
        raise Hint(f"return one number, not {answer.numel()} of them")
    mistakes = {hint: float(wrong) for hint, wrong in (mistakes or {}).items()}
    expect(answer.reshape(()), float(wanted), mistakes, case)


def _short(values: Tensor) -> str:
    rounded = [round(v, 4) if isinstance(v, float) else v for v in values.flatten()[:8].tolist()]
    if values.dim() == 0:
        return str(rounded[0])
    return str(rounded)[:-1] + (", ...]" if values.numel() > 8 else "]")
