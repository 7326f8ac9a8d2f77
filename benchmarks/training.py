"""Time that an update of training takes on a CPU core and, where there is one, on a GPU; with it,
how long all updates take.

    python benchmarks/training.py [--seconds 5] [--paper] [--json FILE]

Darkroom's models learn from the shipped sample of histories, Meta-World's from random numbers in
the shape of some. One thread. The paper's settings (`--paper`) are measured on a GPU alone: a core
would take weeks.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from dicp import store
from dicp.artifacts import sample_histories
from dicp.config import Config
from dicp.training import Trainer
from dicp.types import Log

KINDS = [
    *(("darkroom", target) for target in ("ad", "dpt", "idt")),
    *(("metaworld", target) for target in ("ad", "idt")),
]
N_STREAMS = 10


def log_of(env: str, n_tasks: int = 20) -> Log:
    """Learning histories to train on."""
    if env == "darkroom":
        return sample_histories(env).load(n_streams=N_STREAMS)
    generator, preset = torch.Generator().manual_seed(0), Config.preset(env)
    world, source = preset.env, preset.source
    shape = n_tasks, N_STREAMS, source.env_steps

    def numbers(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator)

    last = numbers(*shape[:2], source.env_steps // world.horizon, world.n_observed)
    observation = numbers(*shape, world.n_observed)
    action = numbers(*shape, world.d_action).clamp(-1, 1)
    reward = numbers(*shape).abs()
    return Log(observation, action, reward, last, (numbers(*shape) > 2).to(torch.uint8))


def measure(config: Config, log: Log, device: str, seconds: float) -> dict:
    """Wall-clock milliseconds of an update, minutes of all of them and, on a GPU, the most memory
    held."""
    config = replace(config, train=replace(config.train, n_streams=N_STREAMS))
    tasks = sample_histories("darkroom").tasks if config.model.target == "dpt" else None
    trainer = Trainer(config, log, device, tasks)
    gpu = device == "cuda"
    for _ in range(3):
        trainer.step()                              # which waits for the device: the loss is read
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    started, n = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        trainer.step()
        n += 1
    each = (time.perf_counter() - started) / n
    memory = {"gib": round(torch.cuda.max_memory_allocated() / 2**30, 1)} if gpu else {}
    minutes = round(each * config.train.updates / 60, 1)
    return {"ms": round(1000 * each, 1), "minutes": minutes} | memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--paper", action="store_true", help="the paper's settings too")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    gpu = torch.cuda.is_available()
    print(f"on the GPU: {torch.cuda.get_device_name() if gpu else 'there is none'}", flush=True)
    logs, rows = {env: log_of(env) for env in ("darkroom", "metaworld")}, []
    for profile in ("fast", "paper")[: 1 + args.paper]:
        for env, target in KINDS:
            config = Config.preset(env, profile, "observational", target=target)
            for device in ["cpu"] * (profile == "fast") + ["cuda"] * gpu:
                found = measure(config, logs[env], device, args.seconds)
                rows.append({"env": env, "profile": profile, "method": config.method,
                             "device": device, **found})
                what = f"{env:<10} {profile:<6} {config.method:<9} {device:<5}"
                in_all = f"{found['minutes']:6.1f} min for {config.train.updates:,}"
                print(f"{what} {found['ms']:7.1f} ms an update, {in_all}", flush=True)
    if args.json:
        store.write_text(args.json, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
