"""Planning in imagination: one beam search, written against a small `WorldModel` protocol (Paper: Algorithm 3).

The same search serves a trained Transformer, a perfect simulator and an exact belief over the goal (`dicp.oracles`).
"""

from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

import dicp.processes  # noqa: F401 (one thread)
from dicp.checks import Count, checked, fits_memory, plain, refuse
from dicp.config import PlanConfig

__all__ = [
    "Imagined", "Plan", "SamplingWorldModel", "State", "WorldModel", "beam_search", "best_futures",
    "sampled_search",
]

BYTES_OF_A_FUTURE = 600          # while it is ranked: scores, indices, what it leads to


def a_state(what: str, value: object) -> object:
    """The rule of what only a model knows, a context or a state: whatever it is, it is no plain
    value."""
    value = plain(value)
    if value is None or type(value) in (bool, int, float, complex, str, bytes, list, tuple, dict):
        raise refuse(what, value, "what model.begin(...) or model.root(context) has made")
    return value


State = Annotated[Any, a_state]     # whatever a world model needs to continue an imagined future


class Imagined(NamedTuple):
    """What each action is believed to lead to."""

    reward: Float[Tensor, "batch beam action"]             # expected; in the grids P(reward = 1)
    next_observation: Shaped[Tensor, "batch beam action ..."]      # the most likely one
    return_to_go: Float[Tensor, "batch beam action"] | None = None     # expected from here to the episode's end
    probability: Float[Tensor, "batch beam action"] | None = None      # of that next observation; None: no doubts
    entropy: Float[Tensor, "batch beam action"] | None = None          # of the next observation, in nats; None: no doubts


@runtime_checkable
class WorldModel(Protocol):
    """What a planner asks of a model. Beams of a row share the row's context. `return_to_go` and `doubts` (probability and
    entropy) of what is imagined are asked for only when the plan depends on them."""

    def propose(self, state: State) -> Float[Tensor, "batch beam action"]: ...

    def imagine(self, state: State, return_to_go: bool = False, doubts: bool = False) -> Imagined: ...

    def advance(self, state: State, action: Tensor, reward: Tensor, next_observation: Tensor) -> State: ...

    def fork(self, state: State, beam: Int[Tensor, "batch new_beam"]) -> State: ...


@runtime_checkable
class SamplingWorldModel(Protocol):
    """The same of a model whose actions are numbers: candidates [batch beam candidate d_action] drawn from the policy, and
    what they would lead to."""

    def candidates(self, state: State, n: int, generator: torch.Generator | None = None) -> Tensor: ...

    def imagine_candidates(self, state: State, action: Tensor) -> Imagined: ...

    def advance(self, state: State, action: Tensor, reward: Tensor, next_observation: Tensor) -> State: ...

    def fork(self, state: State, beam: Int[Tensor, "batch new_beam"]) -> State: ...


class Plan(NamedTuple):
    """The best imagined future of each row, and what it is worth."""

    action: Shaped[Tensor, "batch depth ..."]
    next_observation: Shaped[Tensor, "batch depth ..."]
    reward: Shaped[Tensor, "batch depth"]   # the expected reward of each step; in the grids the most likely one, 0 or 1
    score: Float[Tensor, "batch"]


@checked
@torch.no_grad()
def beam_search(
    model: WorldModel, root: State, config: PlanConfig, steps_left: Count,
    generator: torch.Generator | None = None, curious: Bool[Tensor, "batch"] | None = None,
) -> Plan:
    """Imagine `min(config.depth, steps_left)` steps ahead, keeping the `beam_width` best futures after each.

    `root` has one beam a row. Ranking: the sum of (discounted) imagined rewards, then the policy's preference, or chance
    (`generator`), as `config.ties` says. `config.curiosity` counts in the `curious` rows (None: in
    all). Raises `ValueError` for what cannot be searched.
    """
    logp = model.propose(root)
    (batch, _, n_actions), depth = logp.shape, min(config.depth, steps_left)
    check_search(batch, n_actions, config, depth)
    if curious is not None and len(curious) != batch:
        raise refuse("the length of curious", len(curious), f"{batch}, one for each row of root")
    score, preference, state = logp.new_zeros(batch, 1), logp.new_zeros(batch, 1), root
    chance = logp.new_ones(batch, 1)                                                # that a future goes as imagined
    doubts = config.weigh_paths or config.curiosity > 0
    paths = torch.zeros(3, batch, 1, 0, dtype=torch.long, device=logp.device)      # (action, cell, reward) of each step
    for step in range(depth):
        imagined = model.imagine(state, config.return_to_go, doubts)
        likely = (imagined.reward >= 0.5).long()
        gain, chances = _gains(imagined, likely, chance, config, curious)     # batch beam action
        so_far = (score[..., None] + config.discount**step * gain).flatten(1)  # batch beam*action
        worth = so_far + imagined.return_to_go.flatten(1) if config.return_to_go else so_far
        liking = _liking(config, preference, model.propose(state) if step else logp, generator).flatten(1)
        rewards = paths[2].sum(-1)[..., None] + likely
        same = (imagined.next_observation * (depth + 1) + rewards).flatten(1) if config.deduplicate else None
        keep, worth = best_futures(worth, liking, config.beam_width, same)
        beam, action = keep // n_actions, keep % n_actions
        score, preference = so_far.gather(1, keep), liking.gather(1, keep)
        score = score.masked_fill(worth == -torch.inf, -torch.inf)
        chance = chances.flatten(1).gather(1, keep)
        taken = torch.stack((action, imagined.next_observation.flatten(1).gather(1, keep), likely.flatten(1).gather(1, keep)))
        past = paths.gather(2, beam[None, :, :, None].expand(3, -1, -1, step))
        paths = torch.cat((past, taken[..., None]), dim=-1)
        if step + 1 < depth:
            state = model.advance(model.fork(state, beam), taken[0], taken[2], taken[1])
    return Plan(*paths[:, :, 0], worth[:, 0])                                        # futures come out best first


@checked
@torch.no_grad()
def sampled_search(
    model: SamplingWorldModel, root: State, config: PlanConfig, steps_left: Count,
    generator: torch.Generator | None = None,
) -> Plan:
    """The same where actions are numbers: each future tries `config.candidates` actions drawn from the policy (Paper: L = 10
    samples in Meta-World, one step deep). Worth is the sum of the expected rewards; with `config.return_to_go`, what the last
    step is expected to bring in the rest of the episode, itself included, takes that step's place."""
    if not hasattr(root, "h"):
        raise refuse("root", root, "what model.root(context) has made")
    depth, batch, state, paths = min(config.depth, steps_left), len(root.h), root, None
    check_search(batch, config.candidates, config, depth)
    score = root.h.new_zeros(batch, 1)
    for step in range(depth):
        action = model.candidates(state, config.candidates, generator)                  # batch beam candidate number
        imagined = model.imagine_candidates(state, action)
        discount = config.discount**step
        so_far = score[..., None] + discount * imagined.reward
        worth = (score[..., None] + discount * imagined.return_to_go if config.return_to_go else so_far).flatten(1)
        worth, keep = worth.sort(dim=-1, descending=True, stable=True)
        worth, keep = worth[:, : config.beam_width], keep[:, : config.beam_width]
        row, beam = torch.arange(batch, device=keep.device)[:, None], keep // config.candidates
        taken = [x.flatten(1, 2)[row, keep] for x in (action, imagined.next_observation, imagined.reward)]
        paths = [new[:, :, None] if step == 0 else torch.cat((old[row, beam], new[:, :, None]), dim=2)
                 for old, new in zip(paths or taken, taken, strict=True)]
        score = so_far.flatten(1).gather(1, keep)
        if step + 1 < depth:
            state = model.advance(model.fork(state, beam), taken[0], taken[2], taken[1])
    return Plan(*(path[:, 0] for path in paths), worth[:, 0])


def check_search(n_rows: int, n_branches: int, config: PlanConfig, depth: int) -> None:
    """Raise `ValueError` if the futures of a search would not fit into the memory. n_branches:
    actions tried in each."""
    n_futures = min(config.beam_width, n_branches ** min(depth, 30))
    n_bytes = n_rows * n_futures * (n_branches * BYTES_OF_A_FUTURE + depth * 24)
    fits_memory("plan.beam_width", config.beam_width, n_bytes, "fewer futures, or a smaller depth")


def _gains(
    imagined: Imagined, likely: Int[Tensor, "batch beam action"],
    chance: Float[Tensor, "batch beam"], config: PlanConfig, curious: Tensor | None,
) -> tuple[Shaped[Tensor, "batch beam action"], Float[Tensor, "batch beam action"]]:
    """(what each action adds to the score, the chance that the future goes as imagined)."""
    chances = chance[..., None].expand_as(imagined.reward)
    gain = likely if config.rank == "mode" else imagined.reward
    if config.curiosity and imagined.entropy is not None:
        bonus = config.curiosity * imagined.entropy
        gain = gain + (bonus if curious is None else bonus * curious[:, None, None])
    if config.weigh_paths and imagined.probability is not None:
        gain, chances = gain * chances * imagined.probability, chances * imagined.probability
    if config.resolution:
        gain = (gain / config.resolution).round() * config.resolution
    return gain, chances


def _liking(
    config: PlanConfig, preference: Tensor, logp: Float[Tensor, "batch beam action"],
    generator: torch.Generator | None = None,
) -> Tensor:
    """What decides between futures of equal reward: the paper's order (the first parent's children first, each
    parent's in an order drawn from the policy, without replacement), the same with the likeliest action first, the
    log-probability of the whole imagined path, or chance."""
    if config.ties == "random":
        return torch.rand(logp.shape, generator=generator).to(logp)
    if config.ties == "logp":
        return preference[..., None] + logp
    if config.ties == "drawn":                           # the Gumbel trick: sorting log-probabilities plus noise is drawing
        logp = logp - torch.empty_like(logp).exponential_(generator=generator).log()
    order = logp.argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(-1, order, torch.arange(order.shape[-1], device=order.device).expand_as(order))
    return -(rank + logp.shape[-1] * torch.arange(logp.shape[1], device=logp.device)[:, None]).to(logp.dtype)


@checked
def best_futures(
    worth: Float[Tensor, "batch n"], liking: Float[Tensor, "batch n"], width: Count,
    same: Int[Tensor, "batch n"] | None = None,
) -> tuple[Int[Tensor, "batch kept"], Float[Tensor, "batch kept"]]:
    """(indices, worth) of the `width` best of each row, best first; ties go to the larger `liking`, then to the first.

    Of futures with equal `same`, only the best counts: a beam full of ways to the same place cannot look elsewhere.
    Where a row has fewer different futures than another, the rest are copies worth -inf.
    """
    order = liking.argsort(dim=-1, descending=True, stable=True)
    order = order.gather(1, worth.gather(1, order).argsort(dim=-1, descending=True, stable=True))
    worth = worth.gather(1, order)
    if same is not None:
        same, place = same.gather(1, order), torch.arange(order.shape[1], device=order.device).expand_as(order)
        first = torch.full((len(same), int(same.max()) + 1), order.shape[1], device=order.device)
        first.scatter_reduce_(1, same, place, "amin")
        worth = worth.masked_fill(first.gather(1, same) != place, -torch.inf)
        width = min(width, int((worth > -torch.inf).sum(-1).max()))
        again = worth.argsort(dim=-1, descending=True, stable=True)
        order, worth = order.gather(1, again), worth.gather(1, again)
    return order[:, :width], worth[:, :width]
