"""Every check says "not attempted" to a stub, "correct" to a solution, and something helpful to common mistakes."""

import inspect
import types

import numpy as np
import pytest
import torch

from dicp import exercises


def discounted(rewards, gamma):
    return sum(gamma**t * r for t, r in enumerate(rewards))


def clip(ratio, advantage, clip_range):
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip_range, 1 + clip_range) * advantage)


def next_cell(cells, terminal_cells, horizon):
    out = torch.cat((cells[1:], cells[:1]))
    out[horizon - 1 :: horizon] = terminal_cells
    return out


def sample(logits, generator):
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


def stride_window(start, stride, n_episodes, horizon):
    return [e * horizon + t for e in range(start, start + stride * n_episodes, stride) for t in range(horizon)]


def return_to_go(rewards, horizon):
    return rewards.reshape(-1, horizon).flip(1).cumsum(1).flip(1).flatten()


def calibration(p, hit, n_bins):
    which = (p * n_bins).long().clamp(max=n_bins - 1)
    means = [(p[which == b].mean(), hit[which == b].float().mean()) for b in range(n_bins)]
    return torch.tensor(means).T[0], torch.tensor(means).T[1]


def keep_best(scores, beam_width):
    return scores.argsort(descending=True, stable=True)[:beam_width]


def deduplicate(scores, keys):
    best = {}
    for i in scores.argsort(descending=True, stable=True).tolist():
        best.setdefault(int(keys[i]), i)
    return torch.tensor(list(best.values()))


def expected_return(probabilities, gamma):
    return (probabilities * gamma ** torch.arange(probabilities.shape[1])).sum(1)


def gaussian_nll(x, mean, log_std):
    return 0.5 * ((x - mean) / log_std.exp()) ** 2 + log_std + 0.5 * torch.log(torch.tensor(2 * torch.pi))


def missed_reward(imagined, real):
    return real.amax(1) - real[torch.arange(len(real)), imagined.argmax(1)]


def crash(*args):
    raise IndexError("out of range")


# name: (solution, {part of the hint: a wrong answer})
CASES = {
    "discounted_return": (discounted, {
        "not discounted": lambda r, g: g * discounted(r, g), "gamma is not used": lambda r, g: r.sum(),
        "one number": lambda r, g: r, "IndexError": crash, "got": lambda r, g: 12345}),
    "clip_objective": (clip, {
        "sign": lambda *a: -clip(*a), "always clipped": lambda r, a, c: r.clamp(1 - c, 1 + c) * a,
        "never clipped": lambda r, a, c: r * a, "argument": lambda r, a, c: clip(r, a, 0.2),
        "one value a sample": lambda *a: clip(*a).mean(),
        "pessimistic": lambda r, a, c: torch.maximum(r * a, r.clamp(1 - c, 1 + c) * a)}),
    "next_cell": (next_cell, {
        "terminal_cells": lambda c, t, h: c.roll(-1), "terminal cell": lambda c, t, h: torch.cat((c[1:], t[-1:])),
        "one step later": lambda c, t, h: c, "shape": lambda c, t, h: c[1:]}),
    "causal_mask": (lambda n: torch.ones(n, n).tril().bool(), {
        "itself": lambda n: torch.ones(n, n).tril(-1).bool(), "future": lambda n: torch.ones(n, n).triu().bool(),
        "-inf": lambda n: torch.full((n, n), -torch.inf).triu(1), "inverted": lambda n: torch.ones(n, n).triu(1)}),
    "sample_action": (sample, {
        "never explores": lambda x, g: x.argmax(-1), "equally likely": lambda x, g: sample(0 * x, g),
        "generator": lambda x, g: sample(x, None), "softmax gives": lambda x, g: sample(3 * x, g),
        "one action a row": lambda x, g: sample(x, g)[:, None], "numbers of the actions": lambda x, g: x[:, 0]}),
    "stride_window": (stride_window, {
        "use the stride": lambda s, k, n, h: stride_window(s, 1, n, h), "not their numbers": lambda s, k, n, h: [
            s + k * i for i in range(n)], "flat": lambda *a: torch.tensor(stride_window(*a)).reshape(a[2], a[3]),
        "counts episodes": lambda s, k, n, h: torch.tensor(stride_window(0, k, n, h)) + s}),
    "return_to_go": (return_to_go, {
        "next episode": lambda r, h: return_to_go(r, len(r)), "itself counts": lambda r, h: return_to_go(r, h) - r,
        "past": lambda r, h: r.reshape(-1, h).cumsum(1).flatten()}),
    "bayes_hit": (lambda n, v: 1 / (n - v), {
        "ruled out": lambda n, v: 1 / n, "are left": lambda n, v: 1 / (n - v + 1), "ZeroDivision": lambda n, v: 1 / 0}),
    "calibration": (calibration, {
        "two tensors": lambda p, h, n: calibration(p, h, n)[0], "then the share": lambda *a: calibration(*a)[::-1],
        "empty bin": lambda *a: tuple(x.nan_to_num() for x in calibration(*a)),
        "p = 1": lambda p, h, n: tuple(torch.cat((x, torch.ones(1))) for x in calibration(p, h, n))}),
    "keep_best": (keep_best, {
        "indices": lambda s, k: keep_best(s, k).float() * 0 + s[keep_best(s, k)],
        "worst": lambda s, k: keep_best(-s, k), "best first": lambda s, k: keep_best(s, k).sort().values,
        "ties": lambda s, k: len(s) - 1 - keep_best(s.flip(0), k)}),
    "deduplicate": (deduplicate, {
        "same key": lambda s, k: torch.arange(len(s)), "not scores": lambda s, k: s,
        "not the first": lambda s, k: torch.tensor([k.tolist().index(u) for u in k.unique().tolist()])}),
    "expected_return": (expected_return, {
        "not discounted": lambda p, g: g * expected_return(p, g), "gamma is not used": lambda p, g: p.sum(1),
        "expectation": lambda p, g: expected_return((p >= 0.5).float(), g),
        "at least one": lambda p, g: 1 - (1 - p).prod(1), "one value a future": lambda *a: expected_return(*a).sum()}),
    "solved_so_far": (lambda s: s.int().cummax(0).values.bool(), {
        "stays solved": lambda s: s, "how often": lambda s: s.cumsum(0), "each episode": lambda s: s.any(),
        "share": lambda s: s.float().cumsum(0) / torch.arange(1, len(s) + 1),
        "not ahead": lambda s: s.flip(0).int().cummax(0).values.flip(0)}),
    "gaussian_nll": (gaussian_nll, {
        "sign": lambda *a: -gaussian_nll(*a), "constant": lambda x, m, s: 0.5 * ((x - m) / s.exp()) ** 2 + s,
        "width": lambda x, m, s: gaussian_nll(x, m, s) - s, "one value a number": lambda *a: gaussian_nll(*a).sum(),
        "standard deviations": lambda x, m, s: gaussian_nll(x, m, 0 * s) + s}),
    "missed_reward": (missed_reward, {
        "really brings": lambda i, r: r.amax(1) - missed_reward(i, r), "wrong way round": lambda i, r: -missed_reward(i, r),
        "which candidate": lambda i, r: r.amax(1) - i.amax(1), "one value a moment": lambda i, r: missed_reward(i, r).mean()}),
}


def check_of(name):
    return getattr(exercises, f"check_{name}")


def test_every_check_is_tested():
    assert {f"check_{name}" for name in CASES} == {n for n in exercises.__all__ if n.startswith("check_")}


@pytest.mark.parametrize("name", CASES)
def test_stubs_run_untouched(name, capsys):
    def nothing(*args): ...

    def unfinished(*args):
        raise NotImplementedError

    for stub in (nothing, unfinished, lambda *args: ...):
        check_of(name)(stub)
        assert capsys.readouterr().out == "not attempted\n"
    with pytest.raises(AssertionError, match="not attempted"):
        check_of(name)(nothing, strict=True)


@pytest.mark.parametrize("name", CASES)
def test_solutions_are_correct(name, capsys):
    assert check_of(name)(CASES[name][0], strict=True) is None
    assert capsys.readouterr().out == "correct\n"
    assert check_of(name).__doc__.startswith("fn(")


@pytest.mark.parametrize("name, hint", [(n, h) for n, (_, wrong) in CASES.items() for h in wrong])
def test_mistakes_get_their_hint(name, hint, capsys):
    check_of(name)(CASES[name][1][hint])
    said = capsys.readouterr().out
    assert said.startswith("close: ") and hint in said and said.count("\n") == 1
    with pytest.raises(AssertionError, match="close"):
        check_of(name)(CASES[name][1][hint], strict=True)


def test_arguments_cannot_be_spoilt(capsys):
    def careless(rewards, gamma):
        answer = discounted(rewards.clone(), gamma)
        rewards.zero_()
        return answer

    exercises.check_discounted_return(careless)
    assert capsys.readouterr().out == "correct\n"


BAD = [float("nan"), float("inf"), -float("inf"), -1, 0, 2**63, 1e308, True, "0", None, [], np.int64(3), np.float64("nan")]


@pytest.mark.parametrize("bad", BAD, ids=repr)
@pytest.mark.parametrize("name", exercises.__all__)
def test_wrong_arguments_get_one_sentence(name, bad, capsys):
    """Of every public function; the reader's answer itself (`answer`) gets a hint instead."""
    function = getattr(exercises, name)
    if not isinstance(function, types.FunctionType):
        return
    good = {"fn": lambda *args: None, "strict": False, "grade": lambda fn: None, "answer": 1.0, "wanted": 1.0, "mistakes": {},
            "case": "x"}
    for argument in inspect.signature(function).parameters:
        call = {given: good[given] for given in inspect.signature(function).parameters} | {argument: bad}
        try:
            function(**call)
        except ValueError as error:
            assert str(error).startswith(f"{argument} is ") and "; allowed: " in str(error) and "\n" not in str(error)
        except (exercises.Hint, AssertionError):
            assert argument in ("answer", "wanted", "strict")
        else:
            assert argument in ("answer", "wanted") or (argument, bad) in (("strict", True), ("case", "0"), ("mistakes", None))
