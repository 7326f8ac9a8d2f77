"""Exercises of notebooks 03 (world models and evidence) and 04 (planning)."""

import torch

from dicp.exercises.framework import Hint, as_tensor, exercise, expect, expect_number


@exercise
def check_return_to_go(fn) -> None:
    """fn(rewards [step], horizon) -> at each step the sum of rewards from it (included) to the end
    of its episode."""
    for rewards, horizon in (([0, 1, 1, 0, 0, 1], 3), ([1, 0, 2, 1, 1, 1, 0, 3], 4)):
        r = torch.tensor(rewards, dtype=torch.float)
        episodes = r.reshape(-1, horizon)
        wanted = episodes.flip(1).cumsum(1).flip(1)
        expect(fn(r, horizon), wanted.flatten(), {
            "the sum runs on into the next episode: it stops at the horizon":
                r.flip(0).cumsum(0).flip(0),
            "the reward of the step itself counts, too": (wanted - episodes).flatten(),
            "this is the sum of past rewards; return-to-go looks ahead":
                episodes.cumsum(1).flatten(),
            "return one value a step, episodes back to back as they came": wanted,
        }, f"rewards {rewards} and horizon {horizon}")


@exercise
def check_bayes_hit(fn) -> None:
    """fn(n_cells, n_visited) -> P(reward) on a cell not yet visited, if all cells were equally
    likely goals and the `n_visited` different cells visited so far gave no reward."""
    for n, visited in ((81, 0), (81, 20), (81, 80), (4, 1)):
        expect_number(fn(n, visited), 1 / (n - visited), {
            "that was true before the first step: visited cells are ruled out, their share goes to "
            "the others": 1 / n,
            "this is the probability that the goal is in one of the unvisited cells if none were "
            "ruled out": (n - visited) / n,
            "how many cells are left? n_cells - n_visited": 1 / (n - visited + 1),
        }, f"{n} cells, {visited} of them visited")


@exercise
def check_calibration(fn) -> None:
    """fn(p [n], hit [n], n_bins) -> (mean p, share of hits) of each bin, two tensors [n_bins].

    Bins of equal width over [0, 1]; p = 1 belongs to the last; an empty bin is NaN in both.
    """
    nan = float("nan")
    for p, hit, n_bins, wanted in (
        ([0.1, 0.3, 0.6, 0.9], [0, 1, 1, 1], 2, ([0.2, 0.75], [0.5, 1.0])),
        ([0.05, 0.95, 1.0, 0.9], [0, 1, 0, 1], 3, ([0.05, nan, 0.95], [0.0, nan, 2 / 3])),
    ):
        answer = fn(torch.tensor(p), torch.tensor(hit), n_bins)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise Hint("return two tensors: the mean prediction and the share of hits of each bin")
        # lists of different lengths are no tensor: look at the two one by one
        said, frequency = as_tensor(answer[0]), as_tensor(answer[1])
        case = f"p = {p} in {n_bins} bins"
        said_right, came_right = torch.tensor(wanted[0]), torch.tensor(wanted[1])
        if n_bins + 1 in (len(said.reshape(-1)), len(frequency.reshape(-1))):
            raise Hint(f"p = 1 belongs to the last of the {n_bins} bins, not to one more")
        expect(said, said_right, {
            "first the mean prediction, then the share of hits": came_right,
            "take the mean of the predictions in a bin, not its middle":
                (torch.arange(n_bins) + 0.5) / n_bins,
            "an empty bin has no mean: NaN, not 0": said_right.nan_to_num(),
        }, case)
        expect(frequency, came_right, {
            "an empty bin has no share of hits: NaN, not 0": came_right.nan_to_num(),
            "the share of hits, not their number":
                torch.tensor([1.0, 2.0] if n_bins == 2 else [0.0, nan, 2.0]),
        }, case)


@exercise
def check_keep_best(fn) -> None:
    """fn(scores [future], beam_width) -> the futures to keep, best first; among equals the earlier
    one, which the policy prefers; all of them where there are fewer than `beam_width`."""
    tied = [0.0, 1.0, 1.0, 0.0, 1.0] + [0.0] * 20
    for values, width in (([0.1, 0.9, 0.5, 0.7], 2), (tied, 5), ([2.0, 1.0], 10)):
        scores = torch.tensor(values)
        best = scores.argsort(descending=True, stable=True)[:width]
        worst = scores.argsort(stable=True)[:width]
        answer = as_tensor(fn(scores, width))
        fits = answer.shape == best.shape and not answer.is_floating_point()
        if fits and not torch.equal(answer, best):
            exist = answer.min() >= 0 and answer.max() < len(scores)
            if exist and torch.equal(scores[answer], scores[best]):
                raise Hint(
                    "look at ties: among equal scores keep the earlier future, and each only once"
                )
        expect(answer, best, {
            "these are the scores; return the indices of the futures": scores[best],
            "these are the worst futures": worst,
            "the right futures in the wrong order: best first": best.sort().values,
        }, f"scores {values[:5]} and beam_width {width}")


@exercise
def check_deduplicate(fn) -> None:
    """fn(scores [future], keys [future]) -> for each different key the index of its best future, in
    any order; among equals the earlier one."""
    five = [0.2, 0.9, 0.5, 0.4, 0.4], [7, 7, 3, 3, 8]
    for values, keys in (five, ([1.0, 1.0, 0.0], [5, 5, 6]), ([0.3], [0])):
        scores, key = torch.tensor(values), torch.tensor(keys)
        groups = [(key == k).nonzero()[:, 0] for k in key.unique()]
        best = torch.tensor([int(g[scores[g].argmax()]) for g in groups])
        answer = as_tensor(fn(scores, key)).reshape(-1)
        if answer.is_floating_point() or answer.min() < 0 or answer.max() >= len(scores):
            raise Hint("return indices of futures, not scores or keys")
        if len(key[answer].unique()) < len(answer):
            raise Hint("two of the kept futures have the same key")
        first, last = (torch.tensor([int(g[i]) for g in groups]) for i in (0, -1))
        expect(answer.sort().values, best.sort().values, {
            "keep the best of each key, not the first": first.sort().values,
            "keep the best of each key, not the last": last.sort().values,
        }, f"scores {values} and keys {keys}")


@exercise
def check_expected_return(fn) -> None:
    """fn(probabilities [future, step], gamma) -> expected discounted return of each future
    [future].

    probabilities: P(reward = 1) at each imagined step; the first step is not discounted.
    """
    three, two = [[0.5, 0.5, 1.0], [0.0, 0.2, 0.9]], [[1.0, 1.0], [0.3, 0.6]]
    for values, gamma in ((three, 0.9), (two, 1.0)):
        p = torch.tensor(values)
        powers = gamma ** torch.arange(p.shape[1], dtype=torch.float)
        wanted = (powers * p).sum(1)
        expect(fn(p, gamma), wanted, {
            "the first imagined reward is not discounted: gamma ** 0 = 1": gamma * wanted,
            "gamma is not used": p.sum(1),
            "that is the most likely reward, 0 or 1; take its expectation, the probability itself":
                (powers * (p >= 0.5)).sum(1),
            "that is the chance of at least one reward; every reward counts": 1 - (1 - p).prod(1),
            "return one value a future, not their sum": wanted.sum(),
        }, f"probabilities {values} and gamma {gamma}")
