"""What would have happened? Actions that a planner chose between, tried for real from the same moment of a life."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from dicp.beliefs import windows_of
from dicp.checks import one_of
from dicp.config import MetaWorldConfig
from dicp.envs import Task, world_of
from dicp.planning import Imagined, SamplingWorldModel
from dicp.rollout import Life
from dicp.windows import Tokens


class Tried(NamedTuple):
    """Candidates at some moments of a life, as they were imagined and as they really are."""

    action: Float[Tensor, "moment agent candidate d_action"]
    imagined: Imagined                                      # its fields [moment agent candidate ...]
    reward: Float[Tensor, "moment agent candidate"]
    next_observation: Float[Tensor, "moment agent candidate n_observed"]


@torch.no_grad()
def tried_out(
    model: SamplingWorldModel, life: Life, env: MetaWorldConfig, tasks: Sequence[Task], moments: Sequence[int],
    n_candidates: int = 10, generator: torch.Generator | None = None,
) -> Tried:
    """Let the model read a life in Meta-World again; at the env steps `moments` draw candidates from its policy, imagine each,
    and take each for real in a simulator that stands where the agent stood. The life itself goes on as it did."""
    n_tasks, n_rollouts, n_steps = life.reward.shape
    for moment in moments:
        one_of("moment", moment, range(n_steps))
    world, tokens = world_of(env, tasks, n_rollouts), windows_of(life, env).tokens
    context, found = model.begin(n_tasks * n_rollouts), []
    for step in range(max(moments) + 1):
        model.observe(context, Tokens(*(field[:, step] for field in tokens)))
        if step in moments:
            root = model.root(context)
            action = model.candidates(root, n_candidates, generator)
            imagined = (x if x is None else x[:, 0] for x in model.imagine_candidates(root, action))
            before, outcomes = world.world.get_state(), []
            for candidate in action[:, 0].unbind(1):
                world.world.set_state(before)
                outcomes.append(world.step(candidate.unflatten(0, (n_tasks, n_rollouts))))
            world.world.set_state(before)
            real = (torch.stack([x.flatten(0, 1) for x in xs], dim=1) for xs in zip(*(o[:2] for o in outcomes), strict=True))
            found.append((action[:, 0], Imagined(*imagined), *real))
        world.step(life.action[:, :, step])
    action, imagined, reward, next_observation = zip(*found, strict=True)
    fields = (None if xs[0] is None else torch.stack(xs) for xs in zip(*imagined, strict=True))
    return Tried(torch.stack(action), Imagined(*fields), torch.stack(reward), torch.stack(next_observation))


def rank_agreement(
    imagined: Float[Tensor, "*batch candidate"], real: Float[Tensor, "*batch candidate"]
) -> Float[Tensor, "*batch"]:
    """Spearman's rank correlation among the candidates of each moment: 1 where the model would order them as they are, 0 where
    it might as well draw lots."""
    ranks = (x.argsort(-1).argsort(-1).float() for x in (imagined, real))
    a, b = (x - x.mean(-1, keepdim=True) for x in ranks)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))
