"""One thread by default, an orderly stop, workers that end with their parent."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import runs, until

import dicp
from dicp import processes

TORCH = re.compile(r"^(import|from) (torch|stable_baselines3)", re.MULTILINE)
MODULES = sorted(".".join(path.relative_to(Path(dicp.__file__).parents[1]).with_suffix("").parts).removesuffix(".__init__")
                 for path in Path(dicp.__file__).parent.rglob("*.py") if TORCH.search(path.read_text(encoding="utf-8")))


def python(code, *args, **env):
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"} | env
    run = subprocess.run([sys.executable, "-c", code, *args], env=env, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_every_module_that_brings_torch_brings_one_thread():
    """Those that import it themselves (others bring it by one of these), each in a fork of one process without them."""
    assert len(MODULES) > 30
    code = """
import os, sys, joblib, matplotlib.pyplot, pandas, seaborn, stable_baselines3, torch, xarray, zarr
for module in sys.argv[1:]:
    if not os.fork():
        __import__(module)
        ours = {name for name in sys.modules if name.startswith("dicp") and hasattr(sys.modules[name], "torch")}
        if ours and torch.get_num_threads() != 1:
            print(module, torch.get_num_threads(), flush=True)
        os._exit(0)
    os.wait()
"""
    assert python(code, *MODULES) == ""


def test_a_setting_or_a_call_wins_over_the_default():
    show, ours = "import torch; print(torch.get_num_threads())", "import dicp.processes"
    assert python(f"{ours}; {show}") == "1"
    assert python(f"{ours}; {show}", OMP_NUM_THREADS="2") == "2"
    assert python(f"import torch; torch.set_num_threads(7); {ours}; {show}") == "7"
    default = "import torch; torch.set_num_threads(torch.get_num_threads())"      # cannot be told from none: README says so
    assert python(f"{default}; {ours}; {show}") == "1"
    assert python(f"import torch; {ours}; torch.set_num_threads(2); {show}") == "2"


def test_import_dicp_is_light():
    heavy = python("import sys, dicp.config, dicp.parameters\n"
                   "print({'torch', 'pandas', 'matplotlib', 'xarray'} & set(sys.modules))")
    assert heavy == "set()"


STOP = """
import sys, time
from dicp.processes import stoppable
try:
    with stoppable(at_once=sys.argv[1] == "now") as stop:
        print("ready", flush=True)
        while not stop.requested:
            time.sleep(0.01)
    print("told", flush=True)
finally:
    print("closed", flush=True)
"""


@pytest.mark.parametrize("how, status, said", [("now", 143, "closed\n"), ("later", 0, "told\nclosed\n")])
def test_sigterm_is_an_orderly_stop(how, status, said):
    process = subprocess.Popen([sys.executable, "-c", STOP, how], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.terminate()
    assert process.stdout.read() == said and process.wait() == status


def test_somebody_elses_handler_is_left_alone():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with processes.stoppable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


PARENT = r"""
import subprocess, sys, time
code = '''
import os, time
from dicp.processes import end_with_parent
end_with_parent(os.getppid())
print(os.getpid(), flush=True)
time.sleep(60)
'''
child = subprocess.Popen([sys.executable, "-c", code])
time.sleep(60)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_ends_with_its_parent(sign):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.send_signal(sign)
    parent.wait()
    try:
        assert until(lambda: not runs(child), 5), "the worker outlived its parent by five seconds"
    finally:
        if runs(child):
            os.kill(child, signal.SIGKILL)
