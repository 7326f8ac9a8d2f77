"""What `tools/found_again.py` counts, on rollouts small enough to do by hand."""

import importlib.util
from pathlib import Path

import pytest
import torch

SPEC = importlib.util.spec_from_file_location("found_again", Path(__file__).parents[1] / "tools" / "found_again.py")
found_again = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(found_again)

RETURNS = torch.tensor([[0, 2, 1, 2, 0, 2],       # both in episode 2, then in one of three
                        [1, 1, 1, 1, 1, 0],       # the key alone
                        [0, 0, 0, 0, 2, 2],       # found too late for three episodes more
                        [0, 0, 0, 0, 0, 0]]).float()


def test_found_and_again_by_hand():
    assert found_again.found_and_again(RETURNS, 2) == (0.5, pytest.approx(1 / 3))
    assert found_again.found_and_again(RETURNS, 1) == (0.75, pytest.approx((2 / 3 + 1) / 2))


def test_never_found():
    share, again = found_again.found_and_again(RETURNS[3:], 1)
    assert share == 0 and again != again          # nan: there is nothing to find again
