"""Start Jupyter kernels one at a time, whatever runs the notebooks.

Whoever starts a kernel looks for free ports, lets them go, and the kernel binds them a moment
later. Of two that start at once both may find the same port, and the second dies ("Address already
in use"). Imports nothing of the package, which tests/conftest.py wants to see first.
"""

import os
import tempfile
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from filelock import FileLock
from nbclient import NotebookClient

LOCK = Path(tempfile.gettempdir()) / f"starting-a-kernel-{getattr(os, 'getuid', int)()}.lock"


def start_one_at_a_time(lock: Path = LOCK) -> None:
    """From now on a notebook of this process waits until no other process is starting a kernel."""
    setup, async_setup = NotebookClient.setup_kernel, NotebookClient.async_setup_kernel

    def starting() -> ExitStack:
        held = ExitStack()
        held.enter_context(FileLock(lock))
        return held

    @contextmanager
    def setup_kernel(self, **kwargs):
        with starting() as held, setup(self, **kwargs):
            held.close()                                 # it answers, so it has its ports
            yield

    @asynccontextmanager
    async def async_setup_kernel(self, **kwargs):
        with starting() as held:
            async with async_setup(self, **kwargs):
                held.close()
                yield

    NotebookClient.setup_kernel = setup_kernel
    NotebookClient.async_setup_kernel = async_setup_kernel
