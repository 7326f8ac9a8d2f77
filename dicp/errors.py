"""One way to refuse bad input: a sentence that names the value and lists what is allowed."""

from collections.abc import Iterable
from difflib import get_close_matches


def one_of(what: str, value: object, allowed: Iterable) -> None:
    """Raise `ValueError` unless `value` is one of `allowed`; suggests the nearest name."""
    allowed = list(allowed)
    if value in allowed:
        return
    near = get_close_matches(str(value), [str(a) for a in allowed], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{what} is {value!r}; allowed: {', '.join(repr(a) for a in allowed)}.{hint}")


def at_least(what: str, value: object, minimum: float) -> None:
    """Raise `ValueError` unless `value` is a number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < minimum:
        raise ValueError(f"{what} is {value!r}; allowed: a number of at least {minimum}.")


def whole(what: str, value: object, minimum: int) -> None:
    """Raise `ValueError` unless `value` is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{what} is {value!r}; allowed: a whole number of at least {minimum}.")
