"""Exercises of notebooks 01 (worlds, PPO, learning histories) and 02 (algorithm distillation)."""

import torch

from dicp.exercises.framework import Hint, as_tensor, exercise, expect, expect_number


@exercise
def check_discounted_return(fn) -> None:
    """fn(rewards [step], gamma) -> the discounted return of the first step: r_0 + gamma r_1 +
    gamma^2 r_2 + ..."""
    for rewards, gamma in (([1.0, 1.0, 1.0], 0.5), ([0.0, 0.0, 1.0], 0.9), ([2.0, 0.0, 3.0], 1.0)):
        r = torch.tensor(rewards)
        powers = gamma ** torch.arange(len(r), dtype=torch.float)
        expect_number(fn(r, gamma), (powers * r).sum(), {
            "the first reward is not discounted: it counts gamma ** 0 = 1":
                (gamma * powers * r).sum(),
            "gamma is not used: a reward t steps later counts gamma ** t": r.sum(),
            "every later reward loses one more factor of gamma: gamma ** t":
                r[0] + gamma * r[1:].sum(),
            "the early rewards count most: the order is reversed": (powers * r.flip(0)).sum(),
        }, f"rewards {rewards} and gamma {gamma}")


@exercise
def check_clip_objective(fn) -> None:
    """fn(ratio [batch], advantage [batch], clip_range) -> PPO's objective of each sample, to be
    maximised [batch]."""
    ratio = torch.tensor([1.0, 1.5, 1.5, 0.5, 0.5, 1.1])
    advantage = torch.tensor([2.0, 1.0, -1.0, 1.0, -1.0, -3.0])
    clipped, free = ratio.clamp(0.8, 1.2) * advantage, ratio * advantage
    wanted = torch.minimum(free, clipped)
    expect(fn(ratio, advantage, 0.2), wanted, {
        "right up to its sign: the objective is maximised, only the loss has a minus": -wanted,
        "take the smaller of the two products, the pessimistic one": torch.maximum(free, clipped),
        "the ratio is always clipped: compare with the unclipped product": clipped,
        "the ratio is never clipped": free,
        "take the minimum of the two products, not of the two ratios":
            ratio.clamp(max=1.2) * advantage,
        "return one value a sample, the mean comes later": wanted.mean(),
    }, "clip_range 0.2")
    expect(fn(ratio, advantage, 0.4), torch.minimum(free, ratio.clamp(0.6, 1.4) * advantage), {
        "clip_range is an argument, do not write 0.2 into the function": wanted}, "clip_range 0.4")


@exercise
def check_next_cell(fn) -> None:
    """fn(cells [step], terminal_cells [episode], horizon) -> the cell that each action really led
    to [step].

    cells: where the agent was when it chose each action, episodes of `horizon` steps back to back.
    terminal_cells: where the last action of each episode led (before the reset).
    """
    for horizon, n_episodes in ((3, 2), (4, 3)):
        generator = torch.Generator().manual_seed(horizon)
        cells = torch.randint(0, 81, (horizon * n_episodes,), generator=generator)
        cells[::horizon] = 40
        terminal = torch.arange(1, n_episodes + 1)
        rolled = torch.cat((cells[1:], terminal[-1:]))
        wanted = rolled.clone()
        wanted[horizon - 1 :: horizon] = terminal
        early = cells.roll(-1)
        early[::horizon] = terminal
        expect(fn(cells, terminal, horizon), wanted, {
            "at the end of an episode cells[t + 1] is the start of the next one; "
            "the action led to the terminal cell": rolled,
            "the last step of each episode has no cells[t + 1] of its own: use terminal_cells":
                cells.roll(-1),
            "the terminal cell belongs to the last step of each episode, not to the first": early,
            "these are the cells themselves; the next cell is one step later": cells,
        }, f"{n_episodes} episodes of {horizon} steps")


@exercise
def check_causal_mask(fn) -> None:
    """fn(n) -> [n, n] of True and False: may position i (row) look at position j (column)?"""
    for n in (5, 2, 1):
        wanted = torch.ones(n, n, dtype=torch.bool).tril()
        answer = as_tensor(fn(n))
        if answer.is_floating_point() and answer.isinf().any():
            raise Hint("return True where looking is allowed, not 0 and -inf")
        expect(answer, wanted, {
            "a position may look at itself: the diagonal is True": wanted.tril(-1),
            "this lets a position look at the future: rows look, columns are looked at": wanted.T,
            "True means allowed here: the mask is inverted": ~wanted,
        }, f"n = {n}")


@exercise
def check_sample_action(fn) -> None:
    """fn(logits [batch, action], generator) -> one action a row [batch], drawn from softmax(logits)
    by `generator`."""
    def draw(seed: int):
        answer = as_tensor(fn(logits, torch.Generator().manual_seed(seed)))
        if answer.shape != (len(logits),):
            raise Hint(f"return one action a row: shape [{len(logits)}], not {list(answer.shape)}")
        if answer.is_floating_point() or answer.min() < 0 or answer.max() > 4:
            raise Hint("return the numbers of the actions, 0 to 4")
        return answer

    logits = torch.tensor([2.0, 1.0, 0.0, 0.0, -1.0]).expand(4000, 5)
    chosen = draw(0)
    share, wanted = torch.bincount(chosen, minlength=5) / len(chosen), logits[0].softmax(0)
    if share.max() == 1:
        raise Hint(
            "always the most likely action: such an agent never explores, so it never finds the "
            "goal; sample"
        )
    if (share - 0.2).abs().max() < 0.03:
        raise Hint("all actions are equally likely: the logits are not used")
    if (share - wanted).abs().max() > 0.03:
        drawn, right = ([round(s, 2) for s in x.tolist()] for x in (share, wanted))
        raise Hint(f"the shares of the actions are {drawn}, softmax gives {right}")
    if not torch.equal(chosen, draw(0)) or torch.equal(chosen, draw(1)):
        raise Hint(
            "pass the generator on: the same seed must give the same actions, another seed others"
        )


@exercise
def check_stride_window(fn) -> None:
    """fn(start, stride, n_episodes, horizon) -> the steps of a window in a history
    [n_episodes * horizon].

    The window takes `n_episodes` whole episodes of `horizon` steps: episode `start` and then every
    `stride`-th.
    """
    for start, stride, n_episodes, horizon in ((0, 1, 2, 3), (2, 3, 3, 4), (5, 2, 1, 2)):
        def steps(first, by, size=n_episodes, horizon=horizon):
            episodes = first + by * torch.arange(size)
            return (episodes[:, None] * horizon + torch.arange(horizon)).flatten()

        wanted = steps(start, stride)
        mistakes = {
            "the episodes follow one another: use the stride": steps(start, 1),
            "start counts episodes, not steps: multiply it by the horizon":
                steps(0, stride) + start,
            "the stride is between episodes; inside an episode take every step":
                start * horizon + stride * torch.arange(n_episodes * horizon),
            "return one flat list of steps": wanted.reshape(n_episodes, horizon),
            "return the steps of the episodes, not their numbers":
                start + stride * torch.arange(n_episodes),
        }
        expect(fn(start, stride, n_episodes, horizon), wanted, mistakes,
               f"start {start}, stride {stride}, {n_episodes} episodes of {horizon} steps")
