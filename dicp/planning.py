"""Planning in imagination: one search, written against a small `WorldModel` protocol (Paper:
Algorithm 3).

The same search serves a trained Transformer, a perfect simulator and an exact belief over the goal
(`dicp.oracles`), with a choice of a few actions and with actions that are numbers.
"""

from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

import dicp.processes  # noqa: F401 (one thread)
from dicp.checks import Count, checked, fits_memory, plain, refuse
from dicp.config import PlanConfig
from dicp.imagined import Imagined, Proposal

__all__ = ["Imagined", "Plan", "Proposal", "State", "WorldModel", "best_futures", "search"]

NOISE = 1e-5                     # sums of rewards that differ by less of the largest are equal
BYTES_OF_A_FUTURE = 600          # while it is ranked: scores, indices, what it leads to


def a_state(what: str, value: object) -> object:
    """The rule of what only a model knows, a context or a state: whatever it is, it is no plain
    value."""
    value = plain(value)
    if value is None or type(value) in (bool, int, float, complex, str, bytes, list, tuple, dict):
        raise refuse(what, value, "what model.begin(...) or model.root(context) has made")
    return value


State = Annotated[Any, a_state]     # whatever a world model needs to continue an imagined future


@runtime_checkable
class WorldModel(Protocol):
    """What a planner asks of a model. Beams of a row share the row's context.

    `propose`: `n` actions for each future where there are infinitely many. `imagine`: of what
    `propose` gave (`action`); where there are a few actions, of all of them. `return_to_go`, and
    how uncertain the next observation is, are asked for only when the plan depends on them.
    """

    def propose(
        self, state: State, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal: ...

    def imagine(
        self, state: State, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined: ...

    def advance(
        self, state: State, action: Tensor, reward: Tensor, next_observation: Tensor
    ) -> State: ...

    def fork(self, state: State, beam: Int[Tensor, "batch new_beam"]) -> State: ...


class Plan(NamedTuple):
    """The best imagined future of each row, and what it is worth."""

    action: Shaped[Tensor, "batch depth ..."]
    next_observation: Shaped[Tensor, "batch depth ..."]
    reward: Shaped[Tensor, "batch depth"]                # the most likely one of each step
    score: Float[Tensor, "batch"]


class Futures(NamedTuple):
    """The beam: what each future has brought so far."""

    score: Float[Tensor, "batch beam"]                   # imagined rewards, discounted
    log_probability: Float[Tensor, "batch beam"]         # of its actions (with ties="logp")
    probability: Float[Tensor, "batch beam"]             # that all goes as imagined
    rewards: Shaped[Tensor, "batch beam"]                # the most likely ones, summed


class Moment(NamedTuple):
    """Where an imagined step lies."""

    step: int                # how many were imagined before it
    steps_left: int          # of the episode, this one included
    is_last: bool            # of those that are imagined


class Imagination(NamedTuple):
    """One imagined step of the futures that were kept, and which future each goes on from."""

    parent: Int[Tensor, "batch beam"]
    action: Shaped[Tensor, "batch beam ..."]
    next_observation: Shaped[Tensor, "batch beam ..."]
    reward: Shaped[Tensor, "batch beam"]


@checked
@torch.no_grad()
def search(
    model: WorldModel, root: State, config: PlanConfig, steps_left: Count,
    generator: torch.Generator | None = None, curious: Bool[Tensor, "batch"] | None = None,
) -> Plan:
    """Imagine `min(config.depth, steps_left)` steps ahead, keeping the `beam_width` best futures
    after each.

    `root` has one beam a row. Ranking: the sum of (discounted) imagined rewards, of which the
    return-to-go takes the last one's place with `config.return_to_go`; then the policy's
    preference, or chance (`generator`), as `config.ties` says. `config.curiosity` counts in the
    `curious` rows (None: in all). Raises `ValueError` for what cannot be searched.
    """
    depth, state, steps = min(config.depth, steps_left), root, []
    uncertainty = config.weigh_paths or config.curiosity > 0
    for step in range(depth):
        proposal = model.propose(state, config.candidates, generator)
        if step == 0:
            check_search(proposal, config, depth, curious)
            futures = nothing_imagined(proposal)
        imagined = model.imagine(
            state, proposal.action, return_to_go=config.return_to_go, uncertainty=uncertainty
        )
        if imagined.likely_reward is None:
            imagined = imagined._replace(likely_reward=imagined.reward)
        when = Moment(step, steps_left - step, step + 1 == depth)
        children, value = grown(futures, proposal, imagined, config, when, curious)
        tie_break = tie_breaks(config.ties, children.log_probability, proposal, generator)
        same = same_place(imagined, children) if config.deduplicate else None
        keep, value = best_futures(value.flatten(1), tie_break.flatten(1), config.beam_width, same)
        futures = Futures(*(x.flatten(1).gather(1, keep) for x in children))
        futures = futures._replace(score=futures.score.masked_fill(value == -torch.inf, -torch.inf))
        beam = keep // proposal.action.shape[2]
        taken = proposal.action, imagined.next_observation, imagined.likely_reward
        steps.append(Imagination(beam, *(kept(x, keep) for x in taken)))
        if step + 1 < depth:
            last = steps[-1]
            state = model.fork(state, beam)
            state = model.advance(state, last.action, last.reward, last.next_observation)
    return best_of(steps, value)


def nothing_imagined(proposal: Proposal) -> Futures:
    """One future a row, before its first step."""
    zero = torch.zeros(len(proposal.action), 1, device=proposal.action.device)
    return Futures(zero, zero, zero + 1, zero.long())


def grown(
    futures: Futures, proposal: Proposal, imagined: Imagined, config: PlanConfig, when: Moment,
    curious: Bool[Tensor, "batch"] | None,
) -> tuple[Futures, Float[Tensor, "batch beam candidate"]]:
    """(each future with each of the actions, by what it is ranked)."""
    discount = config.discount**when.step
    probability = futures.probability[..., None].expand_as(imagined.reward)
    gain = imagined.likely_reward if config.rank == "mode" else imagined.reward
    if config.rewards_persist:
        gain = gain + lasting(imagined, gain, config.discount, when)
    if config.curiosity and imagined.entropy is not None:
        bonus = config.curiosity * imagined.entropy
        gain = gain + (bonus if curious is None else bonus * curious[:, None, None])
    if config.weigh_paths and imagined.probability is not None:
        probability = probability * imagined.probability
    if config.weigh_paths or config.rewards_persist:
        gain = gain * probability
    if config.rewards_persist and imagined.p_higher is not None:
        probability = probability * (1 - imagined.p_higher)    # else the plan ends here: it stays
    if config.resolution:
        gain = (gain / config.resolution).round() * config.resolution
    before, log_probability = futures.score[..., None], futures.log_probability[..., None]
    score = before + discount * gain
    value = before + discount * imagined.return_to_go if config.return_to_go else score
    if proposal.log_probability is not None:
        log_probability = log_probability + proposal.log_probability
    rewards = futures.rewards[..., None] + imagined.likely_reward
    return Futures(score, log_probability.expand_as(score), probability, rewards), value


def lasting(
    imagined: Imagined, gain: Shaped[Tensor, "batch beam candidate"], discount: float, when: Moment
) -> Float[Tensor, "batch beam candidate"]:
    """What more a gain comes to by the end of the episode, if the agent then stays: of one that is
    better than the likely reward, which changes the plan; and of the last one that is imagined."""
    if (imagined.p_higher is None) != (imagined.gain_above is None):
        missing = "p_higher" if imagined.p_higher is None else "gain_above"
        raise refuse(f"what imagine gives as {missing}", None, "numbers, as it gives the other one")
    more = sum(discount**step for step in range(1, when.steps_left))
    if when.is_last:
        return gain * more
    return 0 * gain if imagined.gain_above is None else imagined.gain_above * more


def tie_breaks(
    ties: str, path: Float[Tensor, "batch beam candidate"], proposal: Proposal,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch beam candidate"]:
    """What decides between futures of equal value, the larger first: chance; the log-probability of
    the whole imagined `path`; or the paper's order, the first parent's children first, each
    parent's in an order drawn from the policy without replacement, or the likeliest first."""
    n_beams, n = proposal.action.shape[1:3]
    if ties == "random":
        return torch.rand(path.shape, generator=generator).to(path)
    if ties == "logp":
        return path
    rank = torch.arange(n, device=path.device).expand(path.shape)
    logp = proposal.log_probability
    if logp is not None:
        if ties == "drawn":              # the Gumbel trick: to sort by logp plus noise is to draw
            logp = logp - torch.empty_like(logp).exponential_(generator=generator).log()
        order = logp.argsort(dim=-1, descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(-1, order, rank)
    parent = torch.arange(n_beams, device=path.device)[:, None]
    return -(rank + n * parent).to(path.dtype)


def same_place(imagined: Imagined, children: Futures) -> Int[Tensor, "batch future"]:
    """A number for each (next observation, rewards so far)."""
    rewards = children.rewards
    if rewards.is_floating_point():     # as whole numbers: sums that differ by more than noise
        sums, index = rewards.unique(return_inverse=True)             # in rising order
        differs = sums.diff() > NOISE * sums.abs().amax()
        rewards = torch.cat((differs.new_zeros(1), differs)).cumsum(0)[index]
    return (imagined.next_observation * (rewards.max() + 1) + rewards).flatten(1)


@checked
def best_futures(
    value: Float[Tensor, "batch n"], tie_break: Float[Tensor, "batch n"], width: Count,
    same: Int[Tensor, "batch n"] | None = None,
) -> tuple[Int[Tensor, "batch kept"], Float[Tensor, "batch kept"]]:
    """(indices, values) of the `width` best of each row, best first; ties go to the larger
    `tie_break`, then to the first.

    Of futures with equal `same`, only the best counts: a beam that is full of ways to the same
    place cannot look elsewhere. Where a row has fewer different futures than another, the rest are
    copies of value -inf.
    """
    order = tie_break.argsort(dim=-1, descending=True, stable=True)
    order = order.gather(1, value.gather(1, order).argsort(dim=-1, descending=True, stable=True))
    value = value.gather(1, order)
    if same is not None:
        same = same.gather(1, order)
        place = torch.arange(order.shape[1], device=order.device).expand_as(order)
        first = torch.full((len(same), int(same.max()) + 1), order.shape[1], device=order.device)
        first.scatter_reduce_(1, same, place, "amin")
        value = value.masked_fill(first.gather(1, same) != place, -torch.inf)
        width = min(width, int((value > -torch.inf).sum(-1).max()))
        again = value.argsort(dim=-1, descending=True, stable=True)
        order, value = order.gather(1, again), value.gather(1, again)
    return order[:, :width], value[:, :width]


def kept(
    x: Shaped[Tensor, "batch beam candidate ..."], keep: Int[Tensor, "batch kept"]
) -> Shaped[Tensor, "batch kept ..."]:
    """Those of the futures that are kept."""
    row = torch.arange(len(keep), device=keep.device)[:, None]
    return x.flatten(1, 2)[row, keep]


def best_of(steps: list[Imagination], value: Float[Tensor, "batch kept"]) -> Plan:
    """The way back from the best future, which is the first of its row."""
    row = torch.arange(len(value), device=value.device)
    beam, way = torch.zeros_like(row), []
    for step in reversed(steps):
        fields = step.action, step.next_observation, step.reward
        way.append(tuple(field[row, beam] for field in fields))
        beam = step.parent[row, beam]
    fields = (torch.stack(field, dim=1) for field in zip(*reversed(way), strict=True))
    return Plan(*fields, value[:, 0])


def check_search(
    proposal: Proposal, config: PlanConfig, depth: int, curious: Tensor | None
) -> None:
    """Raise `ValueError` if the futures would not fit into the memory, or another number of rows is
    curious than there are."""
    n_rows, _, n_branches = proposal.action.shape[:3]
    n_futures = min(config.beam_width, n_branches ** min(depth, 30))
    n_bytes = n_rows * n_futures * (n_branches * BYTES_OF_A_FUTURE + depth * 24)
    fits_memory("plan.beam_width", config.beam_width, n_bytes, "fewer futures, or a smaller depth")
    if curious is not None and len(curious) != n_rows:
        raise refuse("the length of curious", len(curious), f"{n_rows}, one for each row of root")
