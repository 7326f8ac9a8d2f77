"""Execute every notebook with every combination of parameters that the README promises.

    python tools/run_all.py --jobs 2                # all of them, into a temporary folder
    python tools/run_all.py --jobs 2 --out FOLDER   # into that folder; goes on where it was stopped
    python tools/run_all.py --ci --jobs 2           # only those that .ci/run executes

Prints a table. A combination is done if its record in the folder says so, for the notebook and the
library as they are now. Exit status 1 if one failed: its log lies beside its notebook.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat

from dicp import store
from dicp.config import ENVS, IMITATORS
from dicp.processes import stoppable

ROOT = Path(__file__).parents[1]
NOTEBOOKS, TOOLS = ROOT / "notebooks", str(ROOT / "tools")
GRIDS = ("01_darkroom_histories", "02_algorithm_distillation", "03_world_model", "04_planning")
PLANNING, ARM = "04_planning", "05_metaworld_comparison"
ARM_METHODS = ("ad", "idt")        # DPT needs optimal actions, nobody knows an arm's
CELL_SECONDS = 3600                # a cell that takes longer hangs
PAPERMILL = """
import sys
from dicp.processes import end_with_parent
end_with_parent(int(sys.argv.pop(1)))
sys.path.insert(0, sys.argv.pop(1))
import kernels
kernels.start_one_at_a_time()
from papermill.__main__ import papermill
papermill(prog_name="papermill")
"""


@dataclass(frozen=True)
class Combination:
    """A notebook with the parameters that are injected into it."""

    notebook: str
    parameters: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        return "-".join((self.notebook, *(value for _, value in self.parameters)))

    @property
    def flags(self) -> str:
        return " ".join(f"-p {name} {value}" for name, value in self.parameters)


def promised() -> list[Combination]:
    """All that the README promises: 01 to 04 in every world with every imitator, the arm's."""
    grids = [(notebook, env, method) for notebook in GRIDS for env in ENVS for method in IMITATORS]
    arms = [(PLANNING, "metaworld", method) for method in ARM_METHODS]
    with_env = [Combination(n, (("env", env), ("method", who))) for n, env, who in grids + arms]
    return with_env + [Combination(ARM, (("method", method),)) for method in ARM_METHODS]


def in_ci() -> list[Combination]:
    """What CI executes after the defaults (Darkroom, AD; the arm's 05) and 04 with the arm, in its
    half hour: every other grid and every other imitator, each in a notebook of its own."""
    wanted = set(zip(GRIDS[1:3], ENVS[1:], IMITATORS[1:], strict=True))
    return [c for c in promised() if (c.notebook, *dict(c.parameters).values()) in wanted]


def state_of(combination: Combination) -> str:
    """A digest of the notebook and of the library, its weights and results included: a record of
    another state does not count."""
    notebook = NOTEBOOKS / f"{combination.notebook}.ipynb"
    return store.digest(notebook.read_bytes() + library().encode())


@cache
def library() -> str:
    files = sorted(path for path in (ROOT / "dicp").rglob("*.*") if path.suffix != ".pyc")
    return store.digest(b"".join(file.read_bytes() for file in files if file.is_file()))


def done(combination: Combination, out: Path) -> dict | None:
    """The record of an execution that succeeded, if there is one and it is of today's files."""
    path = out / f"{combination.name}.json"
    if not path.exists():
        return None
    try:
        record, sealed = store.read_record(path)
    except store.StoreError:
        return None
    return record if sealed and record.get("state") == state_of(combination) else None


def execute(combination: Combination, out: Path, running: list) -> dict:
    """Run papermill; what came of it. If it succeeded a record is kept, if it failed a log."""
    notebook, log = out / f"{combination.name}.ipynb", out / f"{combination.name}.log"
    source = NOTEBOOKS / f"{combination.notebook}.ipynb"
    options = ["--no-progress-bar", "--execution-timeout", str(CELL_SECONDS)]
    command = [
        sys.executable, "-c", PAPERMILL, str(os.getpid()), TOOLS, str(source), str(notebook),
        *options,
    ]
    command += combination.flags.split()
    record, start = {"state": state_of(combination)}, time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    running.append(process)
    said, _ = process.communicate()
    running.remove(process)
    record["seconds"] = round(time.monotonic() - start)
    if process.returncode:
        store.write(log, said)
        last = said.decode("utf-8", errors="replace").strip().splitlines()[-1:]
        return record | {"result": f"failed ({process.returncode}): {''.join(last)}"}
    n_figures = figures_in(notebook)
    if not n_figures:
        return record | {"result": "failed: no figure was drawn"}
    record["result"] = f"passed, {n_figures} figures"
    store.write_record(out / f"{combination.name}.json", record)
    log.unlink(missing_ok=True)
    return record


def figures_in(notebook: Path) -> int:
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    kinds = [output.get("data", {}) for output in outputs]
    return sum(any(kind.startswith("image/") for kind in data) for data in kinds)


def execute_all(combinations: list[Combination], out: Path, jobs: int) -> dict[Combination, dict]:
    """Each one's record; those that are done are not executed again."""
    records = {combination: done(combination, out) for combination in combinations}
    missing = [combination for combination, record in records.items() if record is None]
    missing.sort(key=lambda c: c.notebook, reverse=True)     # later ones take longer: they begin
    print(f"{len(missing)} of {len(combinations)} combinations to execute, into {out}", flush=True)
    running = []
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(execute, combination, out, running): combination
                   for combination in missing}
        try:
            for future in as_completed(futures):
                combination = futures[future]
                records[combination] = record = future.result()
                print(f"{combination.name}: {record['seconds']} s, {record['result']}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                process.terminate()
            raise
    return records


def table(records: dict[Combination, dict]) -> str:
    """The records as a Markdown table."""
    rows = ["| notebook | parameters | seconds | result |", "|---|---|---|---|"]
    for combination, record in records.items():
        fields = combination.notebook, f"`{combination.flags}`", record["seconds"], record["result"]
        rows.append("| " + " | ".join(str(field).replace("|", "/") for field in fields) + " |")
    return "\n".join(rows)


def main() -> int:
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    option = parser.add_argument
    option("--jobs", type=int, default=1, choices=range(1, 65), metavar="N", help="at a time")
    option("--out", type=Path, help="where notebooks and records go (default: a temporary folder)")
    option("--ci", action="store_true", help="only what .ci/run executes")
    option("--only", nargs="+", metavar="NAME", help="only those whose name begins so, e.g. 04 05")
    option("--list", action="store_true", help="execute nothing, print the combinations")
    args = parser.parse_args()
    combinations = in_ci() if args.ci else promised()
    if args.only:
        combinations = [c for c in combinations if c.name.startswith(tuple(args.only))]
    if not combinations:
        names = ", ".join(combination.name for combination in promised())
        parser.error(f"--only is {' '.join(args.only)}; allowed: beginnings of {names}.")
    if args.list:
        print("\n".join(f"{c.notebook} {c.flags}" for c in combinations))
        return 0
    out = (args.out or Path(tempfile.mkdtemp(prefix="dicp-notebooks-"))).resolve()
    out.mkdir(parents=True, exist_ok=True)
    with stoppable():
        records = execute_all(combinations, out, args.jobs)
    print(table(records))
    failed = [record for record in records.values() if record["result"].startswith("failed")]
    print(f"{len(records) - len(failed)} passed, {len(failed)} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
