"""Figures of results: learning curves, bars with intervals, calibration."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dicp import results
from dicp.checks import one_of, refuse
from dicp.paper import paper_curve
from dicp.plot.arguments import (
    Frames,
    Guess,
    Height,
    Labels,
    Numbers,
    Results,
    Several,
    Summary,
    Title,
    Words,
)
from dicp.plot.histories import mark_guess
from dicp.plot.look import (
    BLACK,
    GREY,
    LOOKS,
    PAPERS,
    Look,
    axes,
    caption,
    darker,
    label_ends,
    look_of,
    tint,
)

VALUES = {
    "episode_return": "return per episode",
    "normalised": "return per episode\n(highest possible = 1)",
    "success": "share of episodes solved",
    "solved_so_far": "share of tasks solved so far",
}
THIN = ("random", "exact_belief", "simulator")


def looks(table: pd.DataFrame) -> list[tuple[Look, pd.DataFrame]]:
    """(look, rows) of each setting in the table; settings that share a look are told apart by what
    differs."""
    table, out = results.compact(table), []
    for (method, planner), rows in table.groupby(["method", "planner"], sort=False):
        look = look_of(method, planner)
        settings = results.settings_of(rows)
        columns = [c for c in settings if c != "env" and rows[c].nunique(dropna=False) > 1]
        if not columns:
            out.append((look, rows))
            continue
        variants = list(rows.groupby(columns, dropna=False, sort=True))
        for i, (names, part) in enumerate(variants):
            # "beam_width 10", not "beam_width 10.0": a column with empty fields is read as floats
            values = zip(columns, names, strict=True)
            what = ", ".join(f"{c.replace('_', ' ')} {_plain(v)}" for c, v in values)
            colour = tint(look.colour, 0.55 * (1 - i / (len(variants) - 1)))
            out.append((look._replace(label=what, colour=colour), part))
    return out


def _plain(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def returns(
    table: Results, *, title: Title, value: str = "episode_return", paper: Sequence[str] = (),
    recorded: Results | None = None, optimum: Height | bool = True, guess: Guess | None = None,
    labels: bool = True, ax: Axes | None = None,
) -> Axes:
    """Learning curves against environment steps in context, with 95% bootstrap bands.

    value: episode_return | normalised | success | solved_so_far. paper: methods of the paper ("AD",
    "DICP-AD") drawn faint behind; recorded: a full run, drawn the same way. optimum: a line at the
    highest possible mean (True: from the table). guess: the reader's guess, in env steps. labels:
    name the curves and say what stands behind them.
    """
    one_of("value", value, VALUES)
    if (envs := table["env"].unique()).size > 1:
        mixed = ", ".join(map(repr, envs))
        raise ValueError(f"the table mixes env {mixed}; draw one figure for each.")
    ax, ends = axes(ax, title), []
    for name in paper:
        ends.append(_paper(ax, envs[0], name, value))
    for look, rows in looks(recorded) if recorded is not None else ():
        mean = results.curve(rows, value)
        ax.plot(mean["env_steps"], mean["mean"], color=tint(look.colour, 0.6), lw=1.6, zorder=1)
    for look, rows in looks(table):
        ends.append(_curve(ax, look, rows, value))
    _frame(ax, table, value)
    if optimum is not False:
        ends.append(_optimum(ax, table, value, optimum))
    mark_guess(ax, guess)
    if not labels:
        return ax
    label_ends(ax, ends)
    faint = "" if recorded is None else "; faint: recorded full run"
    caption(ax, f"{sizes(table)}; bands: 95% bootstrap{faint}")
    return ax


def _curve(ax: Axes, look: Look, rows: pd.DataFrame, value: str) -> tuple:
    """The mean of one setting, with its band."""
    mean = results.curve(rows, value)
    steps = mean["env_steps"]
    ax.plot(steps, mean["mean"], color=look.colour, ls=look.dashes, lw=look.width, zorder=3)
    if rows["method"].iloc[0] not in THIN:
        band = {"color": look.colour, "alpha": 0.15, "lw": 0, "zorder": 2}
        ax.fill_between(steps, mean["low"], mean["high"], **band)
    return mean["mean"].iloc[-1], look.label, look.colour


def _paper(ax: Axes, env: str, name: str, value: str) -> tuple:
    """The paper's curve, faint; it published returns only."""
    one_of("value", value, ("episode_return", "normalised"))
    curve = paper_curve(env, name)
    look = PAPERS["DICP" if name.upper().startswith("DICP") else "imitation"]
    ax.plot(curve["env_steps"], curve[value], color=look.colour, lw=look.width, zorder=1)
    label = f"paper: {name.upper().replace('_', '-')}"
    return curve[value].iloc[-1], label, darker(look.colour, 0.1)


def rings(ax: Axes, own: pd.DataFrame, value: str, per: int = 1) -> Line2D:
    """The reader's own run as rings over env steps (in units of `per`); for a legend."""
    mean, look = results.curve(own, value), look_of(own["method"].iloc[0], own["planner"].iloc[0])
    ring = {"color": "white", "mec": look.colour, "mew": 1.4, "ms": 4.5, "label": "your own run"}
    return ax.plot(mean["env_steps"] / per, mean["mean"], "o", zorder=4, **ring)[0]


def _optimum(ax: Axes, table: pd.DataFrame, value: str, optimum: float | bool) -> tuple:
    look = LOOKS["optimum"]
    if optimum is True:
        # once a task, not once a row: settings may differ in how many tasks they ran
        tasks = table.drop_duplicates(["split", "task"])
        optimum = float(tasks["max_return"].mean()) if value == "episode_return" else 1.0
    ax.axhline(optimum, color=look.colour, ls=look.dashes, lw=look.width, zorder=0)
    ax.set_ylim(0, max(ax.get_ylim()[1], 1.04 * optimum))
    label = f"{look.label} ({optimum:.4g})" if value == "episode_return" else look.label
    return optimum, label, look.colour


def _frame(ax: Axes, table: pd.DataFrame, value: str) -> None:
    horizon = int(table["env_steps"].min())
    ax.set(xlabel=f"environment steps in context (one episode = {horizon})", ylabel=VALUES[value])
    ax.set_xlim(0, table["env_steps"].max())
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_ylim(0, 1.04 if value in ("success", "solved_so_far", "normalised") else None)


def sizes(table: pd.DataFrame) -> str:
    """How many tasks, rollouts and training seeds stand behind the methods of a table."""
    small = results.compact(table)
    first = small[small["episode"] == small["episode"].min()]
    agents = first[~first["method"].isin(results.CONTROLS)]
    first = agents if len(agents) else first

    def words(n: list[int], one: str) -> str:
        span = f"{min(n)} to {max(n)}" if min(n) != max(n) else f"{min(n)}"
        return f"{span} {one}{'' if max(n) == 1 else 's'}"

    settings = [g for _, g in first.groupby(results.settings_of(first), dropna=False)]
    tasks = [g["task"].nunique() for g in settings]
    rollouts = [int(n) for g in settings for n in g["n_rollouts"]]
    seeds = [len(g[["split", "train_seed"]].drop_duplicates()) for g in settings]
    each = f"{words(tasks, 'task')}, {words(rollouts, 'rollout')} each"
    return f"{each}, {words(seeds, 'training seed')}"


def bars(
    summary: Summary, metric: str, *, title: Title, xlabel: Words | None = None,
    labels: Labels | None = None, ax: Axes | None = None,
) -> Axes:
    """One bar a row of `results.summary` for one metric, with its 95% interval as a line and the
    value beside."""
    one_of("metric", metric, summary["metric"].unique())
    rows = summary[summary["metric"] == metric].reset_index(drop=True)
    ax = axes(ax, title, (7, 1.5 + 0.42 * len(rows)))
    if labels is not None and len(labels) != len(rows):
        raise refuse("labels", labels, f"one for each of the {len(rows)} bars")
    drawn = [look_of(r.method, r.planner) for r in rows.itertuples()]
    names = list(labels) if labels is not None else [look.label for look in drawn]
    for y, (row, look) in enumerate(zip(rows.itertuples(), drawn, strict=True)):
        ax.barh(y, row.value, color=look.colour, height=0.68)
        ax.plot([row.low, row.high], [y, y], color=BLACK, lw=1.6, solid_capstyle="butt")
        ax.text(
            1.01, y, f"{row.value:.2f}", va="center", color=BLACK,
            transform=ax.get_yaxis_transform(),
        )
    ax.set_yticks(range(len(rows)), names)
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.axvline(1, color=BLACK, ls=LOOKS["optimum"].dashes, lw=1.2, zorder=0)
    ax.set_xlim(0, max(1.0, rows["high"].max()) * 1.02)
    ax.set_xlabel(xlabel or _words(metric))
    n_tasks, n_seeds = rows.iloc[0]["n_tasks"], rows["n_train_seeds"].max()
    caption(ax, f"{n_tasks} tasks, training seeds: {n_seeds} at most; lines: 95% bootstrap")
    return ax


def _words(metric: str) -> str:
    if metric.startswith("found_by_"):
        return f"goal found by episode {metric.removeprefix('found_by_')} (share of rollouts)"
    what = {"all_episodes": "all episodes", "after_find": "episodes after the first find"}
    return f"return, {what.get(metric, metric.replace('_', ' '))} (highest possible = 1)"


def calibration(
    p: Numbers, hit: Numbers, n_visited: Numbers, *, title: Title,
    groups: Several[tuple[int, int]] = ((0, 9), (10, 29), (30, 59), (60, 80)), n_bins: Frames = 8,
    log: bool = True, ax: Axes | None = None,
) -> Axes:
    """Predicted P(reward) against how often a reward came, by how many cells had been visited when
    it was predicted.

    p, hit, n_visited: [prediction], numbers in [0, 1], zeros and ones, counts. Bins hold equally
    many predictions; lines on points are 95% Wilson intervals. On the diagonal the model means what
    it says. `log`: both axes logarithmic, for probabilities of one cell in eighty.
    """
    p, hit, n_visited = (np.asarray(x, dtype=float).ravel() for x in (p, hit, n_visited))
    ax = axes(ax, title, (5.6, 4.2))
    floor = max(p[p > 0].min(), 1e-4) / 2 if log else 0.0
    ax.plot([floor, 1], [floor, 1], color=BLACK, ls=LOOKS["optimum"].dashes, lw=1.2, zorder=0)
    for i, (low, high) in enumerate(groups):
        inside = (n_visited >= low) & (n_visited <= high)
        if not inside.any():
            continue
        bins = np.array_split(np.argsort(p[inside], kind="stable"), min(n_bins, inside.sum()))
        x = np.array([p[inside][b].mean() for b in bins])
        y, down, up = np.array([_wilson(hit[inside][b]) for b in bins]).T.clip(floor)
        colour = tint(LOOKS["bayes"].colour, 0.62 * (1 - i / max(len(groups) - 1, 1)))
        ax.errorbar(
            x.clip(floor), y, yerr=(y - down, up - y), color=colour, marker="o", ms=6, lw=2,
            elinewidth=1.3, label=f"{low} to {high}",
        )
    if log:
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
    ax.set(xlim=(floor, 1.05), ylim=(floor, 1.05))
    ax.set(xlabel="predicted P(reward)", ylabel="rewards observed (share)")
    ax.legend(title="cells visited", loc="upper left", alignment="left")
    ax.annotate(
        "claims too much", (0.97, 0.05), xycoords="axes fraction", ha="right", color=GREY,
        style="italic",
    )
    return ax


def _wilson(hit: np.ndarray) -> tuple[float, float, float]:
    """(share, low, high): the share of hits and its 95% Wilson interval."""
    n, share, z = len(hit), hit.mean(), 1.96
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return share, min(centre - half, share), max(centre + half, share)
