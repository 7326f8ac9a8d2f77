"""Checks of the notebooks' exercises: each prints "not attempted", "close: <hint>" or "correct".

`check_x(fn, strict=True)` also raises `AssertionError` unless `fn` is correct; the solution cells
use it.
"""

import dicp.processes  # noqa: F401 (one thread)
from dicp.exercises.arm import check_gaussian_nll, check_missed_reward, check_solved_so_far
from dicp.exercises.basics import (
    check_causal_mask,
    check_clip_objective,
    check_discounted_return,
    check_next_cell,
    check_sample_action,
    check_stride_window,
)
from dicp.exercises.framework import Hint, exercise, expect, expect_number
from dicp.exercises.planning import (
    check_bayes_hit,
    check_calibration,
    check_deduplicate,
    check_expected_return,
    check_keep_best,
    check_return_to_go,
)

__all__ = [
    "Hint", "check_bayes_hit", "check_calibration", "check_causal_mask", "check_clip_objective",
    "check_deduplicate", "check_discounted_return", "check_expected_return", "check_gaussian_nll",
    "check_keep_best", "check_missed_reward", "check_next_cell", "check_return_to_go",
    "check_sample_action", "check_solved_so_far", "check_stride_window", "exercise", "expect",
    "expect_number",
]
