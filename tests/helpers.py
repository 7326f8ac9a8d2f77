"""What several tests share."""

import os
import time
from pathlib import Path

import pytest

from dicp.files import CheckpointError


def refused(match: str, error: type = CheckpointError):
    """One sentence."""
    return pytest.raises(error, match=rf"(?s)^(?!.*\n).*{match}.*\.$")


def flipped(data: bytes, bit: int) -> bytes:
    """The same with another bit number `bit`."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def runs(pid: int) -> bool:
    """Whether the process lives; one that nobody has waited for, a zombie, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and ") Z " in stat.read_text(encoding="utf-8"))


def until(condition, seconds: float = 50) -> bool:
    """Wait until it is true; whether it became so in this time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
