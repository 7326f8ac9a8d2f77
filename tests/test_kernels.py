"""Kernels that start at once start one after the other."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "tools"
TWO = """
import asyncio, sys, time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from nbclient import NotebookClient

def note(what):
    print(what, f"{time.monotonic():.3f}", flush=True)

@contextmanager
def setup(self):
    note("begins")
    time.sleep(0.5)
    note("answers")
    yield

@asynccontextmanager
async def async_setup(self):
    with setup(self):
        yield

NotebookClient.setup_kernel, NotebookClient.async_setup_kernel = setup, async_setup
sys.path.insert(0, sys.argv[1])
import kernels
kernels.start_one_at_a_time(Path(sys.argv[2]))
client = NotebookClient.__new__(NotebookClient)

async def work():
    async with client.async_setup_kernel():
        time.sleep(1)

if sys.argv[3] == "async":
    asyncio.run(work())
else:
    with client.setup_kernel():
        time.sleep(1)
"""


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_no_kernel_starts_while_another_does(tmp_path, kind):
    command = [sys.executable, "-c", TWO, HERE, tmp_path / "lock", kind]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    begins, answers = zip(*sorted([float(line.split()[1]) for line in text.splitlines()] for text in said), strict=True)
    assert begins[1] >= answers[0]
