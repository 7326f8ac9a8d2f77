"""The highest return that any agent can expect over a rollout in a grid world it has to find out.

    OMP_NUM_THREADS=1 python tools/optimum.py            # minutes; prints
    OMP_NUM_THREADS=1 python tools/optimum.py --record   # and writes dicp/data/optimum.csv

The task is uniform over all tasks of the world, a rollout has as many episodes as the recorded
runs, and every return counts as a share of its task's highest (`dicp.results.normalised`). Three
arguments, one a world:

Darkroom. Until the goal is found nothing is learned but that it is elsewhere, so a plan is one
fixed walk. Each step looks at one cell; giving every cell a step of its own, at least as late as
its distance, is a linear assignment: no walk does better. Simulated annealing finds a walk that
nearly does.

Dark Key-to-Door. The same assignment twice: each step shows whether one cell holds the key; from
there, and in later episodes from the key on, each step shows whether one cell is the door. A bound,
not a walk.

Darkroom-Permuted. What an action does is known once it was tried, so the first episode is a search
over (cell, what each action may still do); it reaches the goal with certainty, and all later
episodes are perfect. Exact, by recursion.
"""

import argparse
import math
import random
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from dicp import store
from dicp.config import ENVS, EnvConfig
from dicp.domain import domain_of
from dicp.envs import GridRules, all_tasks
from dicp.envs.grid import MOVES

PATH = Path(__file__).parents[1] / "dicp" / "data" / "optimum.csv"
HOT, COLD = 3e-4, 3e-6              # of the annealing: a loss that is kept with probability 1 / e
Walk = list[list[int]]                 # a move, 0 to 4, for each step of each episode


class Bounds(NamedTuple):
    """Mean share of the highest return over a rollout: at least `low`, at most `high`."""

    low: float | None
    high: float
    walk: str = ""                     # that makes `low`: the moves of one episode after the other


# ---- Darkroom: one walk that looks for a goal ----------------------------------------------------


class Search:
    """A goal anywhere in a dark room; who has found it goes there at once, and stays."""

    def __init__(self, size: int, horizon: int, n_episodes: int):
        env = EnvConfig(size=size, horizon=horizon)
        self.rules = GridRules.of(env, all_tasks("darkroom", size))
        self.horizon, self.n_episodes = horizon, n_episodes
        self.next_cell = self.rules.next_cell[0].tolist()
        self.best = self.rules.max_return(horizon).numpy()
        self.distance = horizon - self.best + 1               # the first step that can end there
        episode, step = np.divmod(np.arange(n_episodes * horizon), horizon)
        now, later = horizon - step, n_episodes - episode - 1
        # cell slot
        self.share = (now + later * self.best[:, None]) / (n_episodes * self.best[:, None])
        self.share[step[None] + 1 < self.distance[:, None]] = 0      # out of reach
        self.table = (self.share / len(self.best)).tolist()

    def bound(self) -> float:
        cells, slots = linear_sum_assignment(self.share, maximize=True)
        return float(self.share[cells, slots].sum() / len(self.best))

    def value(self, walk: Walk) -> float:
        """The share of a rollout that searches along `walk` until the goal is found."""
        total, slot, seen = 0.0, 0, set()
        for moves in walk:
            cell = self.rules.start
            for move in moves:
                cell = self.next_cell[cell][move]
                if cell not in seen:
                    seen.add(cell)
                    total += self.table[cell][slot]
                slot += 1
        return total

    def anneal(self, n_episodes: int, n_updates: int, seed: int) -> tuple[float, Walk]:
        """The best walk found, of `n_episodes` episodes: a step, or a stretch of steps, is changed
        at random and kept if that is better, or, ever more rarely, if it is worse."""
        generator = random.Random(seed)
        walk = [[generator.randrange(4) for _ in range(self.horizon)] for _ in range(n_episodes)]
        value, best = self.value(walk), (0.0, walk)
        for update in range(n_updates):
            heat = HOT * (COLD / HOT) ** (update / n_updates)
            changed = [list(moves) for moves in walk]
            change(changed, generator)
            new = self.value(changed)
            if new >= value or generator.random() < math.exp((new - value) / heat):
                walk, value = changed, new
                best = max(best, (value, walk), key=lambda pair: pair[0])
        return best


def change(walk: Walk, generator: random.Random) -> None:
    moves = generator.choice(walk)
    i, j = sorted(generator.choices(range(len(moves)), k=2))
    kind = generator.randrange(4)
    if kind == 0:
        moves[i] = generator.randrange(5)
    elif kind == 1:
        moves[i], moves[j] = moves[j], moves[i]
    elif kind == 2:
        moves.insert(j, moves.pop(i))
    else:
        moves[i : j + 1] = reversed(moves[i : j + 1])


def darkroom(size: int, horizon: int, n_episodes: int, n_updates: int, seeds: range) -> Bounds:
    search = Search(size, horizon, n_episodes)
    n_searched = min(n_episodes, -(-(size * size) // horizon) + 1)
    low, walk = max(search.anneal(n_searched, n_updates, seed) for seed in seeds)
    return Bounds(low, search.bound(), " ".join("".join(map(str, moves)) for moves in walk))


# ---- Dark Key-to-Door: one assignment within the other -------------------------------------------


def dark_key_to_door(size: int, horizon: int, n_episodes: int) -> Bounds:
    """`low` is None: no walk is sought."""
    tasks = all_tasks("dark_key_to_door", size)
    rules = GridRules.of(EnvConfig("dark_key_to_door", size=size, horizon=horizon), tasks)
    highest = rules.max_return(horizon).reshape(size**2, size**2).clamp(min=1).numpy()
    xy = np.array(all_tasks("darkroom", size))
    between = np.abs(xy[:, None] - xy).sum(-1).clip(min=1)
    to_key = between[rules.start]
    slots = list(slots_of(n_episodes, horizon, size**2 + horizon))
    share = np.zeros((size**2, len(slots)))
    for key in range(size**2):
        for i, (episode, step) in enumerate(slots):
            if step >= to_key[key]:
                door = doors(
                    between[key], to_key[key], highest[key], horizon, n_episodes, episode, step
                )
                share[key, i] = ((n_episodes - episode) / highest[key]).mean() / n_episodes + door
    keys, chosen = linear_sum_assignment(share, maximize=True)
    return Bounds(None, float(share[keys, chosen].sum() / size**2))


def slots_of(n_episodes: int, horizon: int, most: int) -> Iterator[tuple[int, int]]:
    """(episode from 0, step from 1) in order; no more than could be of use."""
    every = ((episode, step) for episode in range(n_episodes) for step in range(1, horizon + 1))
    return (slot for slot, _ in zip(every, range(most), strict=False))


def doors(
    distance: np.ndarray, to_key: int, highest: np.ndarray, horizon: int, n_episodes: int,
    episode: int, step: int,
) -> float:
    """Mean share of the highest return that the door adds, at most, if the key is found at that
    step."""
    rest = [(episode, n) for n in range(1, horizon - step + 1)]      # steps after the key
    later = [(e, n) for e in range(episode + 1, n_episodes) for n in range(1, horizon - to_key + 1)]
    slots = np.array((rest + later)[: len(distance) + horizon])
    if not len(slots):
        return 0.0
    share = (n_episodes - slots[:, 0]) / (n_episodes * highest[:, None])
    share[slots[:, 1] < distance[:, None]] = 0
    cells, chosen = linear_sum_assignment(share, maximize=True)
    return float(share[cells, chosen].sum() / len(distance))


# ---- Darkroom-Permuted: what each action may still do --------------------------------------------


def darkroom_permuted(size: int, horizon: int, n_episodes: int) -> Bounds:
    """Exact if the first episode reaches the goal in every task; then all others are perfect."""
    config = EnvConfig("darkroom_permuted", size=size, horizon=horizon)
    rules = GridRules.of(EnvConfig(size=size, horizon=horizon), [(size - 1, size - 1)])
    start, goal, next_cell = 0, size**2 - 1, rules.next_cell[0].tolist()
    best = int(GridRules.of(config, [0]).max_return(horizon)[0])
    everything = (frozenset(range(len(MOVES))),) * len(MOVES)

    @cache
    def value(cell: int, known: tuple, left: int) -> tuple[float, float]:
        """(the highest mean return of the steps that are left, the smallest that may come)."""
        if cell == goal or not left:
            return (float(left), float(left))         # who came there knows how to stay
        outcomes = (outcomes_of(cell, known, action) for action in range(len(MOVES)))
        return max(mean_of(found, left) for found in outcomes)

    def mean_of(outcomes: dict, left: int) -> tuple[float, float]:
        mean, least = 0.0, math.inf
        for (cell, known), chance in outcomes.items():
            now, worst = value(cell, known, left - 1)
            mean, least = mean + chance * (now + (cell == goal)), min(least, worst + (cell == goal))
        return mean, least

    @cache
    def outcomes_of(cell: int, known: tuple, action: int) -> dict:
        """{(next cell, what is known then): its probability}."""
        every = consistent(known)
        found = {}
        for to in {next_cell[cell][move] for move in known[action]}:
            possible = frozenset(move for move in known[action] if next_cell[cell][move] == to)
            share = sum(moves[action] in possible for moves in every) / len(every)
            if share:
                found[to, narrowed(known, action, possible)] = share
        return found

    first, worst = value(start, everything, horizon)
    later = (n_episodes - 1) * best
    low = (first + later) / (n_episodes * best) if worst > 0 else None
    return Bounds(low, (first + later) / (n_episodes * best))


@cache
def consistent(known: tuple) -> list[tuple[int, ...]]:
    """The permutations that give each action one of the moves it may be."""
    every = permutations(range(len(MOVES)))
    return [moves for moves in every if all(m in k for m, k in zip(moves, known, strict=True))]


@cache
def narrowed(known: tuple, action: int, possible: frozenset) -> tuple:
    """What each action may be, now that `action` is one of `possible`; their order says nothing."""
    left = consistent(known[:action] + (possible,) + known[action + 1 :])
    return tuple(sorted((frozenset(moves) for moves in zip(*left, strict=True)), key=sorted))


# ---- all of them ---------------------------------------------------------------------------------


def optimum(n_updates: int, seeds: range) -> pd.DataFrame:
    """A row a world, at the size and with the episodes of the recorded runs."""
    sizes = {
        env.name: (env.size, env.horizon, domain_of(env).evaluation.n_episodes)
        for env in map(EnvConfig.preset, ENVS)
    }
    found = {
        "darkroom": darkroom(*sizes["darkroom"], n_updates, seeds),
        "darkroom_permuted": darkroom_permuted(*sizes["darkroom_permuted"]),
        "dark_key_to_door": dark_key_to_door(*sizes["dark_key_to_door"]),
    }
    return pd.DataFrame([{"env": env, **bounds._asdict()} for env, bounds in found.items()])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--updates", type=int, default=3_000_000, help="changes of a walk, of each annealing"
    )
    parser.add_argument("--seeds", type=int, default=2, help="annealings; the best counts")
    parser.add_argument(
        "--record", action="store_true", help=f"write {PATH.name}, which the README's table reads"
    )
    args = parser.parse_args()
    table = optimum(args.updates, range(args.seeds))
    print(table[["env", "low", "high"]].to_string(index=False))
    if args.record:
        store.write_text(PATH, table.to_csv(index=False, float_format="%.5f", lineterminator="\n"))


if __name__ == "__main__":
    main()
