"""Flip one bit of a file, read it, again and again: does anything wrong pass for right?

    OMP_NUM_THREADS=1 python tools/flips.py --flips 200

Every kind of file that is kept: weights, their JSON and log, a training state, a part of the
results with its record, a recorded table with its costs and record, learning histories (every file
of a store), a sample in a zip. A flip is noticed if reading raises an error that names the file,
harmless if what is read is what was written. Anything else is silent: a fault.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import kills
import torch

from dicp import artifacts, parts, recordings, reproduce
from dicp.config import Config
from dicp.history import LearningHistories
from dicp.states import load_state

RECORDED = recordings.RECORDED


class Kind(NamedTuple):
    """One kind of file: which, how it is read, and what an error has to name (None: the file)."""

    name: str
    path: Path
    read: Callable[[], Any]
    named: Path | None = None


def same(a: Any, b: Any) -> bool:
    """Whether two things that were read are equal, to the last bit."""
    if isinstance(a, torch.Tensor):
        alike = a.dtype == b.dtype and a.shape == b.shape
        return alike and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a.equals(b) if hasattr(a, "equals") else a == b


def read_weights(config: Config) -> Any:
    trained = artifacts.load_or_train(config, progress=False)
    return trained.model.state_dict(), trained.log, trained.cpu_seconds


def read_histories(path: Path) -> Any:
    histories = LearningHistories.open(path)
    about = [
        histories.env, histories.source, histories.seed, histories.algorithm,
        histories.tasks_per_block,
    ]
    return tuple(about), histories.tasks, tuple(histories.load())


def kinds(folder: Path) -> list[Kind]:
    """Make a cache with one of everything; the kinds of files in it."""
    kills.make_everything_small(folder)
    config = Config.preset("darkroom", world_model="observational")
    torch.manual_seed(0)
    reproduce.reproduce("darkroom", ["random", "dicp_ad"], [0], n_jobs=1)
    weights = folder / "weights" / artifacts.weights_name(config)
    histories = next(folder.glob("histories/*.zarr"))
    sample = LearningHistories.open(histories).save_sample(folder / "sample.zarr.zip", n_streams=2)
    artifacts.train(config, artifacts.load_or_collect(config), folder / "state", progress=False)
    trained = sorted(weights.parent.glob(f"{weights.stem}.*"))
    found = [Kind(f"weights {path.suffix}", path, lambda: read_weights(config)) for path in trained]
    state = folder / "state" / "state.pt"
    found.append(Kind("training state", state, lambda: load_state(state)))
    (part,) = parts.parts_of("darkroom", ["random"], [0])
    found += [
        Kind(f"part {path.suffix}", path, lambda: parts.read_part(part))
        for path in (part.path, part.record)
    ]
    found += [Kind(f"recorded {path.name}", path, read_recorded) for path in recorded_files(folder)]
    for path in files_of(histories):
        name = f"histories {path.relative_to(histories)}"
        found.append(Kind(name, path, lambda: read_histories(histories), named=histories))
    return [*found, Kind("sample", sample, lambda: read_histories(sample))]


def files_of(histories: Path) -> list[Path]:
    """Everything but the chunks of all tasks but one."""
    inside = (path for path in histories.rglob("*") if path.is_file())
    return sorted(
        path for path in inside
        if "c" not in path.parts or f"{path}/".split("/c/")[1].startswith("3/")
    )


def read_recorded() -> Any:
    return recordings.recorded("darkroom"), recordings.recorded_costs("darkroom")


def recorded_files(folder: Path) -> list[Path]:
    """A copy of the recorded results of a world, and from now on these are the recorded ones."""
    recordings.RECORDED = Path(shutil.copytree(RECORDED, folder / "recorded"))
    return [recordings.RECORDED / f"darkroom{rest}" for rest in (".csv.gz", "_cost.csv", ".json")]


def attack(kind: Kind, n: int, rng: random.Random) -> Counter:
    """How many of `n` flips are noticed, harmless, silent or noticed in a message that does not
    name the file."""
    whole, right, seen = kind.path.read_bytes(), kind.read(), Counter()
    for _ in range(n):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        kind.path.write_bytes(data)
        try:
            seen["harmless" if same(kind.read(), right) else "SILENT"] += 1
        except ValueError as error:
            seen["noticed" if str(kind.named or kind.path) in str(error) else "NAMELESS"] += 1
        except Exception as error:
            seen[f"RAW {type(error).__name__}"] += 1
    kind.path.write_bytes(whole)
    return seen


def run(n: int, seed: int, folder: Path) -> int:
    """Attack every kind of file, print what came of it; returns the number of faults."""
    rng, bad = random.Random(seed), 0
    for kind in kinds(folder):
        seen = attack(kind, n, rng)
        bad += sum(count for what, count in seen.items() if what not in ("noticed", "harmless"))
        said = ", ".join(f"{count} {what}" for what, count in sorted(seen.items()))
        print(f"{kind.name}: {said}", flush=True)
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=200, help="in each file (default 200)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return int(run(args.flips, args.seed, Path(folder)) > 0)


if __name__ == "__main__":
    sys.exit(main())
