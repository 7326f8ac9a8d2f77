"""Training states: digests, devices, one thread, numbers that stay finite, SIGTERM."""

import io
import os
import random
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import flipped, refused

from dicp import processes, states, store, training
from dicp.config import Config, EnvConfig, ModelConfig, SourceConfig, TrainConfig
from dicp.files import CheckpointError
from dicp.states import load_state, save_state
from dicp.training import Trainer, train
from dicp.types import Log

ENV, GOALS = EnvConfig(), [(4, 6), (6, 4), (3, 3)]
SOURCE = SourceConfig(n_streams=4, env_steps=100, n_steps=50, batch_size=50)
SMALL = dict(context_length=40, d_model=8, n_layers=1, n_heads=1, d_ff=8, d_head_hidden=8, chunk=5)


def tiny(
    kind: str = "observational", target: str = "ad", dropout: float = 0.0, **changes
) -> Config:
    model = ModelConfig(kind, target, dropout=dropout, **SMALL)
    return Config(
        ENV,
        SOURCE,
        model,
        TrainConfig(**dict(updates=6, batch_size=4, warmup=2, n_streams=4) | changes),
    )


def random_log(n_tasks: int = 3, n_streams: int = 4) -> Log:
    """What can be, though nobody walks like that."""
    g, shape = torch.Generator().manual_seed(0), (n_tasks, n_streams, 100)
    fields = [torch.randint(below, shape, generator=g).byte() for below in (81, 5, 2)]
    return Log(*fields, torch.randint(81, (*shape[:2], 5), generator=g).byte())


LOG = random_log()


def fit(config: Config, folder=None, **options) -> Trainer:
    return train(config, LOG, folder, progress=False, tasks=GOALS, **options)


def same(first: Trainer, second: Trainer) -> bool:
    ours, theirs = first.model.state_dict(), second.model.state_dict()
    return (
        all(torch.equal(x, theirs[name]) for name, x in ours.items()) and first.rows == second.rows
    )


# ---- the file ------------------------------------------------------------------------------------


def older(state: dict) -> bytes:
    """As states were written before they had a digest."""
    buffer = io.BytesIO()
    torch.save(state | {"cuda_rng": []}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("with_digest", [True, False])
def test_no_flipped_bit_trains_on_unnoticed(tmp_path, with_digest):
    """Either it says so, or the training ends as ever."""
    whole, path = fit(tiny(), tmp_path), tmp_path / "state.pt"
    if not with_digest:
        path.write_bytes(older(load_state(path)))
    data, bits, found = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        at = bits.randrange(8 * len(data))
        path.write_bytes(flipped(data, at))
        try:
            assert same(fit(tiny(), tmp_path), whole), f"bit {at}"
        except CheckpointError as error:
            found += 1
            assert (
                "state.pt" in str(error) and "fresh=True" in str(error) and "\n" not in str(error)
            )
    assert found == 200 if with_digest else found > 50


def test_a_state_and_its_digest_are_one_file(tmp_path):
    save_state({"update": 3}, tmp_path / "state.pt")
    head, _, body = (tmp_path / "state.pt").read_bytes().partition(b"\n")
    assert head.decode() == f"dicp training state, sha256 {store.digest(body)}"
    assert load_state(tmp_path / "state.pt") == {"update": 3} and len(list(tmp_path.iterdir())) == 1


def test_an_older_state_goes_on(tmp_path):
    whole = fit(tiny())
    fit(tiny(), tmp_path)
    trainer = Trainer(tiny(), LOG, tasks=GOALS)
    trainer.step(), trainer.step()
    (tmp_path / "state.pt").write_bytes(older(trainer.state_dict()))
    assert same(fit(tiny(), tmp_path), whole)


CHANGES = {
    "nothing": dict.clear,
    "no weights": lambda s: s.pop("model"),
    "fewer rows": lambda s: s["rows"].pop(),
    "too many updates": lambda s: s.update(update=99),
    "an update too many": lambda s: s.update(
        update=7, rows=[*s["rows"], s["rows"][-1] | {"update": 7}]
    ),
    "True": lambda s: s.update(update=True),
    "NaN seconds": lambda s: s.update(cpu_seconds=float("nan")),
    "a NaN": lambda s: s["model"]["policy_head.bias"].fill_(torch.nan),
    "float64": lambda s: s["model"].update(
        {"policy_head.bias": s["model"]["policy_head.bias"].double()}
    ),
    "another shape": lambda s: s["optimizer"]["state"][0].update(exp_avg=torch.zeros(3)),
    "an infinite moment": lambda s: s["optimizer"]["state"][0]["exp_avg"].fill_(torch.inf),
    "no moments": lambda s: s["optimizer"]["state"].clear(),
    "no generator": lambda s: s.update(torch_rng=torch.zeros(3)),
    "other groups": lambda s: s["optimizer"].update(param_groups=[]),
    "a list": lambda s: s.update(model=[]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_of_something_else_is_refused(tmp_path, change):
    trainer = fit(tiny())
    state = trainer.state_dict()
    CHANGES[change](state)
    save_state(state, tmp_path / "state.pt")
    with refused("state.pt is not a state of this training .*fresh=True"):
        fit(tiny(), tmp_path)


def test_what_is_no_state_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    for data in (
        b"",
        b"PK\x03\x04",
        buffer.getvalue(),
        states.HEAD,
        states.HEAD + b"0" * 64 + b"\n",
    ):
        (tmp_path / "state.pt").write_bytes(data)
        with refused("state.pt is not a whole training state .*fresh=True"):
            load_state(tmp_path / "state.pt")
    save_state({}, tmp_path / "state.pt")
    torch.save([1], buffer := io.BytesIO())
    (tmp_path / "state.pt").write_bytes(buffer.getvalue())
    with refused("it holds a list"):
        load_state(tmp_path / "state.pt")


class Code:
    """What its pickle would call when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_no_code_in_a_state_is_executed(tmp_path):
    save_state({"model": Code(str(tmp_path / "made"))}, tmp_path / "state.pt")
    with refused("state.pt is not a whole training state, it is damaged or holds more than numbers; .*fresh=True"):
        load_state(tmp_path / "state.pt")
    assert not (tmp_path / "made").exists()


def test_a_state_is_a_copy():
    trainer = Trainer(tiny(), LOG)
    trainer.step()
    state = trainer.state_dict()
    trainer.step()
    again = Trainer(tiny(), LOG)
    again.load_state_dict(state, "here")
    assert again.update == 1 and len(state["rows"]) == 1 and len(again.rows) == 1
    again.step()
    assert same(again, trainer)


def test_the_log_is_whole_after_a_kill_at_the_last_update(tmp_path, monkeypatch):
    whole = fit(tiny()).log

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_csv", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), tmp_path)
    assert not (tmp_path / "log.csv").exists() and load_state(tmp_path / "state.pt")["update"] == 6
    fit(tiny(), tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "log.csv"), whole)


# ---- devices -------------------------------------------------------------------------------------


def test_a_state_keeps_the_generator_of_its_device_alone():
    assert Trainer(tiny(), LOG).state_dict()["cuda_rng"] is None


GPU, CPU, STATE, OTHER = (
    torch.device("cuda"),
    torch.device("cpu"),
    torch.zeros(16).byte(),
    torch.ones(16).byte(),
)


@pytest.mark.parametrize(
    "saved, device, n_gpus, expected, said",
    [
        (STATE, GPU, 1, [STATE], ""),
        (STATE, torch.device("cuda:1"), 2, [STATE], ""),
        (None, CPU, 0, [], ""),
        ([], CPU, 0, [], ""),
        ([STATE], GPU, 1, [STATE], ""),
        ([STATE, OTHER], torch.device("cuda:1"), 2, [OTHER], ""),
        ([STATE, OTHER], GPU, 1, [STATE], "was saved with 2 GPUs; training goes on on cuda"),
        ([STATE], torch.device("cuda:1"), 2, [], "training goes on on cuda:1"),
        (STATE, CPU, 0, [], "was saved on a GPU; training goes on on cpu"),
        ([STATE, OTHER], CPU, 0, [], "was saved with 2 GPUs; training goes on on cpu"),
        (None, GPU, 1, [], "was saved without a GPU; training goes on on cuda"),
        ([], GPU, 1, [], "was saved without a GPU; training goes on on cuda"),
    ],
)
def test_training_goes_on_on_another_device(
    saved, device, n_gpus, expected, said, monkeypatch, capsys
):
    """Two GPUs and one, a GPU and none: simulated, no GPU needed."""
    got = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: got.append(state))
    states.set_gpu_generator(saved, device, "state.pt")
    assert len(got) == len(expected) and all(x is y for x, y in zip(got, expected, strict=True))
    out = capsys.readouterr().out
    assert said in out and out.count("\n") == bool(said)


def test_a_generator_that_does_not_fit_is_left_out(monkeypatch, capsys):
    def refuse(*_):
        raise RuntimeError("RNG state is wrong size")

    monkeypatch.setattr(torch.cuda, "set_rng_state", refuse)
    states.set_gpu_generator(STATE, GPU, "state.pt")
    assert "state.pt was saved on a GPU; training goes on on cuda" in capsys.readouterr().out


@pytest.mark.parametrize("n_gpus", [0, 1, 2, 3])
def test_an_older_state_with_the_generators_of_all_gpus_goes_on(tmp_path, n_gpus):
    whole = fit(tiny(dropout=0.2))
    trainer = Trainer(tiny(dropout=0.2), LOG)
    trainer.step()
    save_state(trainer.state_dict() | {"cuda_rng": [STATE] * n_gpus}, tmp_path / "state.pt")
    assert same(fit(tiny(dropout=0.2), tmp_path), whole)


@pytest.mark.parametrize("device", ["cuda:99", "meta", "gpu", "", 0, None, True, [], float("nan")])
def test_a_device_that_is_not_there_is_refused(device):
    with refused("device is .*; allowed: cpu", ValueError):
        fit(tiny(), device=device)


def test_weights_do_not_depend_on_the_number_of_threads():
    """Also of a trainer that is stepped by hand; afterwards the user's number holds again."""
    config = Config(
        ENV,
        SOURCE,
        ModelConfig("observational", context_length=80),
        TrainConfig(updates=4, n_streams=4),
    )
    before, trained = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            trained.append(Trainer(config, LOG))
            for _ in range(4):
                trained[-1].step()
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)
    assert same(*trained)


# ---- numbers that are not finite -----------------------------------------------------------------


def infinite_gradient(trainer: Trainer) -> None:
    """The loss stays finite."""
    trainer.model.policy_head.bias.register_hook(lambda gradient: gradient * torch.nan)


def nan_weight(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.model.policy_head.bias.fill_(torch.nan)


@pytest.mark.parametrize(
    "spoil, what", [(infinite_gradient, "norm of the gradient"), (nan_weight, "loss")]
)
def test_a_step_that_is_not_finite_is_not_taken(spoil, what):
    trainer = Trainer(tiny(), LOG)
    trainer.step()
    spoil(trainer)
    before = trainer.state_dict()
    with pytest.raises(FloatingPointError) as stopped:
        trainer.step()
    for said in (
        f"the {what} of update 2 is not finite (nan; policy ",
        "reward ",
        "try a learning rate below 0.01.",
    ):
        assert said in str(stopped.value)
    after = trainer.state_dict()
    assert after["update"] == 1 and after["rows"] == before["rows"]
    assert all(
        torch.equal(x.nan_to_num(), after["model"][name].nan_to_num())
        for name, x in before["model"].items()
    )
    for index, moments in before["optimizer"]["state"].items():
        assert all(
            torch.equal(x, after["optimizer"]["state"][index][name]) for name, x in moments.items()
        )
    assert before["optimizer"]["param_groups"] == after["optimizer"]["param_groups"]


@pytest.mark.parametrize("spoil", [infinite_gradient, nan_weight])
def test_the_last_good_state_stays(tmp_path, monkeypatch, spoil):
    """Spoilt after update 3, when every second update is saved."""
    real = Trainer.step

    def step(self):
        if self.update == 3:
            spoil(self)
        real(self)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(FloatingPointError, match="update 4 is not finite"):
        fit(tiny(), tmp_path, save_every=2)
    assert load_state(tmp_path / "state.pt")["update"] == 2
    monkeypatch.undo()
    assert same(fit(tiny(), tmp_path), fit(tiny()))


def test_weights_that_became_infinite_are_never_saved(tmp_path, monkeypatch):
    """By a step whose loss and gradient were finite."""
    real = Trainer.step

    def step(self):
        real(self)
        if self.update == 4:
            nan_weight(self)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(FloatingPointError, match="the weights after update 4 are not finite"):
        fit(tiny(), tmp_path, save_every=2)
    assert load_state(tmp_path / "state.pt")["update"] == 2


# ---- being stopped -------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", [False, True])
def test_sigterm_ends_the_training_after_the_update_under_way(tmp_path, monkeypatch, nested):
    """Also inside a job that would end at once."""
    real = Trainer.step

    def step(self):
        if self.update == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        real(self)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(SystemExit) as stopped:
        if nested:
            with processes.stoppable():
                fit(tiny(), tmp_path)
        else:
            fit(tiny(), tmp_path)
    assert stopped.value.code == 143 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert load_state(tmp_path / "state.pt")["update"] == 4
    assert pd.read_csv(tmp_path / "log.csv")["update"].tolist() == [1, 2, 3, 4]
    monkeypatch.undo()
    assert same(fit(tiny(), tmp_path), fit(tiny()))


STOPPED = """
import sys
from dicp.training import Trainer
from test_states import fit, tiny
real = Trainer.step
def step(self):
    real(self)
    print(self.update, flush=True)
Trainer.step = step
fit(tiny(updates=100_000), sys.argv[1])
"""


def test_a_process_that_is_asked_to_end_does(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    while process.stdout.readline() != "5\n":
        assert process.poll() is None
    process.terminate()
    last = int((["5"] + process.stdout.read().split())[-1])
    assert process.wait() == 143 and load_state(tmp_path / "state.pt")["update"] == last


# ---- arguments -----------------------------------------------------------------------------------

BAD = [float("nan"), float("inf"), -1, 0, 2**63, 1e308, True, "0", None, []]


@pytest.mark.parametrize("value", BAD, ids=str)
def test_only_whole_numbers_of_updates_between_savings(value):
    with refused("save_every is .*; allowed: a whole number", ValueError):
        fit(tiny(), save_every=value)


@pytest.mark.parametrize(
    "name, values",
    [
        ("config", BAD),
        ("histories", BAD),
        ("folder", [x for x in BAD if x not in (None, "0")] + [""]),
        ("progress", [x for x in BAD if x is not True]),
        ("tasks", [x for x in BAD if x is not None] + ["abc", [(0, 9)] * 3, [0] * 3]),
    ],
)
def test_what_makes_no_training_is_refused(name, values):
    good = dict(config=tiny(), histories=LOG, folder=None, progress=False, tasks=GOALS)
    for value in values:
        with refused("; allowed", ValueError):
            train(**good | {name: value})


def test_histories_have_to_fit_the_config():
    long = Config(
        EnvConfig(horizon=50), SOURCE, ModelConfig(context_length=50), TrainConfig(n_streams=4)
    )
    with refused(
        "the log has rewards of shape .3, 4, 100. and 5 ends of episodes; allowed: .* of 50 steps",
        ValueError,
    ):
        Trainer(long, LOG)
    for field, value in (("observation", 81), ("action", 5), ("reward", 2), ("terminal_observation", 255)):
        wrong = LOG._replace(**{field: getattr(LOG, field).clone().fill_(value)})
        with refused(
            f"the log has {field} from {value} to {value}; allowed: what can be in darkroom",
            ValueError,
        ):
            Trainer(tiny(), wrong)
    with refused("the log has observation of shape", ValueError):
        Trainer(tiny(), LOG._replace(observation=LOG.observation[:, :1]))
    with refused("tasks holds 2 tasks; allowed: 3", ValueError):
        Trainer(tiny(), LOG, tasks=GOALS[:2])
    arm = Config.preset("metaworld")
    with refused(
        "the log holds observation, action, reward, terminal_observation; allowed in metaworld: obs.*, success",
        ValueError,
    ):
        Trainer(arm, LOG)
