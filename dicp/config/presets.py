"""The settings of every world and method, as data: a preset is the sum of the rows that apply.

What a setting was chosen on stands in docs/tuning.csv, one line each, with the command, or with
"not recorded" where no script of this repository makes the number.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["ALONE", "GRIDS", "PLANS", "PRESETS", "SHARED_SOURCE", "Row", "sum_of"]

GRIDS = ("darkroom", "darkroom_permuted", "dark_key_to_door")
ALONE = ("queries", "heads", "table")                # world models without a policy
# one source serves all splits: the 6,561 tasks of key-to-door make up for one seed
SHARED_SOURCE = ("dark_key_to_door",)


class Row(NamedTuple):
    """What is changed of the defaults, part by part, where everything in `when` is so."""

    when: Mapping[str, str | tuple[str, ...]]
    env: Mapping[str, Any] = {}
    source: Mapping[str, Any] = {}
    model: Mapping[str, Any] = {}
    train: Mapping[str, Any] = {}
    plan: Mapping[str, Any] = {}

    def applies(self, which: Mapping[str, str | None]) -> bool:
        """Whether this row is of `which` (env, task, profile, world_model, target, planner)."""
        return all(
            which.get(name) in (wanted if isinstance(wanted, tuple) else (wanted,))
            for name, wanted in self.when.items()
        )


def sum_of(rows: Iterable[Row], part: str, which: Mapping[str, str | None]) -> dict[str, Any]:
    """One part of all rows that apply; later rows win, and those of the profile `paper` any
    other."""
    changes = {}
    for row in sorted(rows, key=lambda row: row.when.get("profile") == "paper"):
        if row.applies(which):
            changes |= getattr(row, part)
    return changes


PRESETS = (
    # ---- worlds
    Row(
        {"env": "darkroom"},
        env={"horizon": 20}, model={"context_length": 80}, train={"batch_size": 64},
    ),
    Row(
        {"env": "darkroom_permuted"},
        env={"horizon": 50}, source={"n_steps": 50},
        model={"context_length": 200}, train={"batch_size": 32},
    ),
    Row(
        {"env": "dark_key_to_door"},
        env={"horizon": 50},
        source={"n_steps": 50, "batch_size": 100, "n_epochs": 10, "keep_streams": 10},
        model={"context_length": 200}, train={"batch_size": 32},
    ),
    Row(
        {"env": "metaworld"},
        source={"env_steps": 10_000, "n_steps": 100, "batch_size": 200, "keep_streams": 10},
        model={"context_length": 1000, "n_forget_episodes": 5},
        train={
            "batch_size": 8, "updates": 3000, "max_stride": 11, "min_final_success": 0.1,
            "failures_share": 0.125,
        },
    ),
    # ---- other sources: their own learning rates (of TRPO the value network's)
    Row({"algorithm": "trpo"}, source={"learning_rate": 1e-3}),
    Row({"algorithm": "a2c"}, source={"learning_rate": 7e-4}),
    Row({"algorithm": "sac"}, source={"learning_rate": 1e-3}),
    # ---- what one method wants in one world
    # the best return of a stream says how far its goal is
    Row({"env": "darkroom", "target": "idt"}, model={"return_conditioned": False}),
    Row({"env": "darkroom_permuted", "target": "dpt"}, train={"push_walls": True}),
    Row({"env": "metaworld", "world_model": "observational"}, train={"world_model_weight": 0.3}),
    # IDT's low level is one network for policy and world model, and sees ten steps
    Row(
        {
            "env": "metaworld", "world_model": "observational", "target": "idt",
            "task": ("pick-place-v3", "peg-insert-side-v3"),
        },
        train={"world_model_weight": 0.1},
    ),
    # the source hardly ever succeeds in many of the instances: the world model learns from these
    Row({"env": "metaworld", "task": ("sweep-v3", "push-v3")}, train={"failures_share": 0.5}),
    # ---- a world model alone
    Row({"env": GRIDS, "world_model": ALONE}, train={"data": "first_episodes"}),
    Row(
        {"env": GRIDS, "world_model": ALONE, "profile": "fast"},
        model={"n_layers": 2}, train={"batch_size": 32},
    ),
    Row(
        {"env": "darkroom", "world_model": ALONE, "profile": "fast"},
        model={"n_lines": 4},
        train={"updates": 2000, "n_compared": 100, "most_repeats": 64},
    ),
    # counted often from the start, they hide from some seeds that there is something to look up
    Row(
        {"env": "darkroom", "world_model": "queries", "profile": "fast"},
        train={"repeats_after": 0.25},
    ),
    Row(
        {"env": "darkroom_permuted", "world_model": ALONE, "profile": "fast"},
        model={"context_length": 100, "n_lines": 4},
        train={"updates": 1000, "most_repeats": 64},
    ),
    Row(
        {"env": "dark_key_to_door", "world_model": ALONE, "profile": "fast"},
        train={"updates": 2500, "prefers_rare": True},
    ),
    Row({"world_model": ALONE, "target": "idt"}, train={"most_repeats": 1}),     # reads chunks
    # ---- the paper's own settings: a GPU, hours
    Row(
        {"profile": "paper"},
        model={"dropout": 0.1},
        train={
            "updates": 50_000, "batch_size": 512, "warmup": 1, "max_stride": 1,
            "min_final_return": 0.0, "min_final_success": 0.0, "world_model_weight": 1.0,
        },
    ),
    Row({"profile": "paper", "env": GRIDS}, model={"n_heads": 4}),
    Row({"profile": "paper", "env": "metaworld"}, model={"n_forget_episodes": 1, "n_heads": 4}),
    Row(
        {"profile": "paper", "env": "metaworld", "target": "ad"},
        model={"d_model": 64, "n_heads": 8, "d_ff": 256},
    ),
)

PLANS = (
    Row({"planner": ("paper", "gated"), "env": "darkroom"}, plan={"depth": 8, "start_after": 80}),
    Row(
        {"planner": ("paper", "gated"), "env": ("darkroom_permuted", "dark_key_to_door")},
        plan={"depth": 16, "start_after": 200},
    ),
    Row({"planner": "gated"}, plan={"needs_reward": True, "start_after": 0, "replan": False}),
    Row(
        {"planner": "bayes"},
        plan={
            "beam_width": 81, "depth": 25, "rank": "mean", "ties": "random", "resolution": 1e-3,
            "discount": 0.97, "weigh_paths": True, "curiosity": 0.003, "deduplicate": True,
            "start_after": 0, "replan": False,
        },
    ),
    Row({"planner": "thompson"}, plan={"draws_goal": True, "start_after": 0}),
    Row(
        {"planner": "paper", "env": "metaworld"},
        plan={
            "depth": 1, "rank": "mean", "ties": "order", "start_after": 1000,
            "start_after_step": 50,
        },
    ),
    # by the return-to-go, as in the paper's text; elsewhere by the reward alone, as in its code
    Row(
        {
            "planner": "paper", "env": "metaworld",
            "task": ("sweep-v3", "pick-place-v3", "peg-insert-side-v3"),
        },
        plan={"return_to_go": True},
    ),
)
