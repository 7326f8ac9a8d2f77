"""Threads and processes: one thread unless told otherwise, workers that end with their parent,
an orderly stop."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

TERMINATED = 128 + signal.SIGTERM      # the exit status of a process that was asked to end


def use_one_thread() -> None:
    """PyTorch on one thread, unless OMP_NUM_THREADS or an earlier call says otherwise;
    a later call wins.

    The models here are small: two threads wait for each other longer than they compute, on a busy
    machine up to fifteen times. Done where this module is imported: wherever `dicp` uses PyTorch.
    (A call before that, for as many threads as there are cores, or half as many, cannot be told
    from none: make it afterwards.)
    """
    if not os.environ.get("OMP_NUM_THREADS") and torch.get_num_threads() in _untouched():
        torch.set_num_threads(1)


def _untouched() -> set[int]:
    """How many threads PyTorch takes by itself: one a core, or one a hardware thread."""
    everyone = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else everyone
    return {allowed, everyone, max(allowed // 2, 1), max(everyone // 2, 1)}


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: what is computed then does not depend on the machine's cores."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Stop:
    """Whether somebody asked this process to end (`requested`)."""

    requested = False


@contextmanager
def stoppable(at_once: bool = True) -> Iterator[Stop]:
    """SIGTERM as an orderly stop: `SystemExit`, so that everything open is closed; with `at_once`
    False the caller is only told, and ends when it is ready. The innermost of several decides.
    Where somebody else handles the signal, or outside the main thread, nothing changes."""
    stop = Stop()

    def handle(*_) -> None:
        stop.requested = True
        if at_once:
            sys.exit(TERMINATED)

    handle.of_dicp = True
    before = signal.getsignal(signal.SIGTERM)
    nobodys = before is signal.SIG_DFL or hasattr(before, "of_dicp")
    mine = threading.current_thread() is threading.main_thread() and nobodys
    if mine:
        signal.signal(signal.SIGTERM, handle)
    try:
        yield stop
    finally:
        if mine:
            signal.signal(signal.SIGTERM, before)


def end_with_parent(parent: int) -> None:
    """End this process within a second of the end of its parent, however that ended (called in a
    worker, once or often)."""
    if os.getppid() != parent:
        os._exit(TERMINATED)
    if not any(thread.name == "end_with_parent" for thread in threading.enumerate()):
        threading.Thread(target=_watch, args=(parent,), name="end_with_parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(TERMINATED)


use_one_thread()
