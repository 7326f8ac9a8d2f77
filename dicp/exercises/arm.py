"""Exercises of notebook 05 (Meta-World)."""

import math

import torch

from dicp.exercises.framework import exercise, expect


@exercise
def check_solved_so_far(fn) -> None:
    """fn(success [episode]) -> whether the task has been solved in this episode or any before it
    [episode]."""
    for values in ([0, 1, 0, 0, 1], [0, 0, 0], [1, 0]):
        success = torch.tensor(values, dtype=torch.bool)
        wanted = success.int().cummax(0).values
        expect(fn(success), wanted, {
            "that is success, episode by episode: what was solved once stays solved": success.int(),
            "yes or no, not how often": success.int().cumsum(0),
            "this is the share of episodes so far; once is enough":
                success.cumsum(0) / torch.arange(1, len(values) + 1),
            "one answer for each episode, not for the rollout": wanted[-1],
            "look back, not ahead": success.flip(0).int().cummax(0).values.flip(0),
        }, f"success {values}")


@exercise
def check_gaussian_nll(fn) -> None:
    """fn(x [n], mean [n], log_std [n]) -> - log of the normal density of each number [n]."""
    three = [0.0, 1.0, -2.0], [0.0, 0.5, 1.0], [0.0, -1.0, 0.5]
    for x, mean, log_std in (three, ([0.3], [0.1], [-2.0])):
        x, mean, log_std = (torch.tensor(values) for values in (x, mean, log_std))
        constant = 0.5 * math.log(2 * math.pi)
        square = 0.5 * ((x - mean) / log_std.exp()) ** 2
        wanted = square + log_std + constant
        expect(fn(x, mean, log_std), wanted, {
            "right up to its sign: a loss is minus the logarithm": -wanted,
            "the constant is missing: 0.5 log(2 pi)": square + log_std,
            "a wide Gaussian has to pay for its width: + log_std": square + constant,
            "the error is measured in standard deviations: divide by exp(log_std)":
                0.5 * (x - mean) ** 2 + log_std + constant,
            "one value a number; their sum comes later": wanted.sum() if len(x) > 1 else wanted + 1,
        }, f"x {x.tolist()}")


@exercise
def check_missed_reward(fn) -> None:
    """fn(imagined [moment, candidate], real [moment, candidate]) -> how much real reward is missed
    at each moment by an agent that takes the candidate with the highest imagined reward
    [moment]."""
    two = [[1.0, 3.0, 2.0], [0.5, 0.1, 0.2]], [[5.0, 2.0, 4.0], [1.0, 0.0, 3.0]]
    for imagined, real in (two, ([[2.0, 1.0]], [[7.0, 1.0]])):
        imagined, real = torch.tensor(imagined), torch.tensor(real)
        taken = real.gather(1, imagined.argmax(1, keepdim=True))[:, 0]
        wanted = real.amax(1) - taken
        expect(fn(imagined, real), wanted, {
            "this is what the choice really brings; what would the best one have brought?": taken,
            "compare real rewards; what was imagined only says which candidate is taken":
                real.amax(1) - imagined.amax(1),
            "minus the wrong way round: nothing is missed when the choice is the best":
                taken - real.amax(1),
            "one value a moment, their mean comes later":
                wanted.mean() if len(wanted) > 1 else wanted + 1,
        }, f"imagined {imagined.tolist()} and real {real.tolist()}")
