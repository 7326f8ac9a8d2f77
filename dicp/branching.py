"""What would have happened? Actions that a planner chose between,
tried for real from the same moment of a rollout."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from dicp.beliefs import check_rollouts, windows_of
from dicp.checks import Count, Each, Whole, checked, fits_memory, refuse, whole
from dicp.config import MetaWorldConfig
from dicp.domain import world_of
from dicp.envs import Task
from dicp.envs.worlds import SeenMetaWorld
from dicp.planning import Imagined, WorldModel
from dicp.rollout import Rollouts

__all__ = ["Tried", "rank_agreement", "tried_out"]


class Tried(NamedTuple):
    """Candidates at some moments of a rollout, as they were imagined and as they really are."""

    action: Float[Tensor, "moment agent candidate d_action"]
    imagined: Imagined    # its fields [moment agent candidate ...]
    reward: Float[Tensor, "moment agent candidate"]
    next_observation: Float[Tensor, "moment agent candidate n_observed"]


@checked
@torch.no_grad()
def tried_out(
    model: WorldModel, rollouts: Rollouts, env: MetaWorldConfig, tasks: Sequence[Task],
    moments: Annotated[Sequence[int], Each(Whole(0), least=1)], n_candidates: Count = 10,
    generator: torch.Generator | None = None,
) -> Tried:
    """Let the model read a rollout in Meta-World again; at the env steps `moments` draw candidates
    from its policy, imagine each, and take each for real in a simulator that stands where the agent
    stood. The rollout itself goes on as it did. Raises `ValueError` for moments or tasks that are
    not the rollout's, and for what does not fit the memory."""
    n_tasks, n_rollouts, n_steps = rollouts.reward.shape
    _check(rollouts, env, tasks, moments, n_candidates)
    world, tokens = world_of(env, tasks, n_rollouts), windows_of(rollouts, env).tokens
    context, found = model.begin(n_tasks * n_rollouts), []
    for step in range(max(moments) + 1):
        model.observe(context, tokens.at(step))
        if step in moments:
            root = model.root(context)
            action = model.propose(root, n_candidates, generator).action
            imagined = model.imagine(root, action, return_to_go=True)
            imagined = (x if x is None else x[:, 0] for x in imagined)
            real = _for_real(world, action[:, 0], (n_tasks, n_rollouts))
            found.append((action[:, 0], Imagined(*imagined), *real))
        world.step(rollouts.action[:, :, step])
    action, imagined, reward, next_observation = zip(*found, strict=True)
    fields = (None if xs[0] is None else torch.stack(xs) for xs in zip(*imagined, strict=True))
    return Tried(
        torch.stack(action), Imagined(*fields), torch.stack(reward), torch.stack(next_observation)
    )


def _check(
    rollouts: Rollouts, env: MetaWorldConfig, tasks: Sequence[Task], moments: Sequence[int],
    n_candidates: int,
) -> None:
    check_rollouts(rollouts, env)
    n_tasks, n_rollouts, n_steps = rollouts.reward.shape
    for moment in moments:
        whole("moment", moment, 0, n_steps - 1)
    if len(tasks) != n_tasks:
        raise refuse("the number of tasks", len(tasks), f"{n_tasks}, those of the rollouts")
    n_tried = len(moments) * n_tasks * n_rollouts * n_candidates
    n_bytes = 20 * n_tried * env.n_observed
    fits_memory("n_candidates", n_candidates, n_bytes, "fewer candidates or moments")


def _for_real(
    world: SeenMetaWorld, action: Float[Tensor, "agent candidate 4"], shape: tuple[int, int]
) -> list[Tensor]:
    """(reward, next observation) [agent candidate ...] of each candidate; the world stands where it
    stood."""
    before, outcomes = world.get_state(), []
    for candidate in action.unbind(1):
        world.set_state(before)
        outcomes.append(world.step(candidate.unflatten(0, shape)))
    world.set_state(before)
    fields = zip(*((outcome.reward, outcome.next_observation) for outcome in outcomes), strict=True)
    return [torch.stack([x.flatten(0, 1) for x in field], dim=1) for field in fields]


@checked
def rank_agreement(
    imagined: Float[Tensor, "*batch candidate"], real: Float[Tensor, "*batch candidate"]
) -> Float[Tensor, "*batch"]:
    """Spearman's rank correlation among the candidates of each moment: 1 where the model would
    order them as they are, 0 where it might as well draw lots. Raises `ValueError` unless there are
    two candidates or more, as many real as imagined."""
    if imagined.shape != real.shape:
        expected = f"{tuple(imagined.shape)}, that of imagined"
        raise refuse("the shape of real", tuple(real.shape), expected)
    if imagined.shape[-1] < 2:
        raise refuse("the number of candidates", imagined.shape[-1], "at least 2, to be ordered")
    ranks = (x.argsort(-1).argsort(-1).float() for x in (imagined, real))
    a, b = (x - x.mean(-1, keepdim=True) for x in ranks)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))
