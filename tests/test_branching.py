"""What would have happened: the real outcomes are those of the simulator, and nothing is changed by asking."""

import inspect

import pytest
import torch

from dicp.beliefs import windows_of
from dicp.branching import rank_agreement, tried_out
from dicp.config import Config, MetaWorldConfig
from dicp.models import new_model
from dicp.planning import Proposal
from dicp.rollout import rollout

INSTANCES = [(0.01, 0.65, 0.02, -0.05, 0.85, 0.2), (0.0, 0.6, 0.02, 0.05, 0.81, 0.1)]


def test_agreement_by_hand():
    imagined = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.1, 9.0, 0.2]])
    real = torch.tensor([[10.0, 20.0, 90.0], [3.0, 2.0, 1.0], [1.0, 3.0, 2.0]])
    assert rank_agreement(imagined, real).tolist() == pytest.approx([1, -1, 1])


@pytest.mark.parametrize("target", ["ad", "idt"])
def test_what_was_done_is_what_would_have_happened(target):
    """Let the policy be so sure that every candidate is the action that the rollout took: then all come true."""
    pytest.importorskip("metaworld")
    env = MetaWorldConfig(horizon=20)
    torch.manual_seed(0)
    model = new_model(env, Config.preset("metaworld", world_model="observational", target=target).model)
    if target == "idt":
        model.prompt.fill_(100.0)
    rollouts = rollout(model, env, INSTANCES, 2, 2, seed=1)
    generator = torch.Generator().manual_seed(0)
    replayed = tried_out(model, rollouts, env, INSTANCES, [0, 7, 25], n_candidates=3, generator=generator)
    assert replayed.action.shape == (3, 4, 3, 4) and replayed.reward.shape == (3, 4, 3)
    assert replayed.next_observation.shape == replayed.imagined.next_observation.shape == (3, 4, 3, 11)

    class Sure:                                                  # proposes what was done
        def __getattr__(self, name):
            return getattr(model, name)

        def propose(self, root, n, generator):
            return Proposal(rollouts.action.flatten(0, 1)[:, None, None, self.moment].expand(-1, 1, n, -1))

    for moment in (0, 7, 25):
        sure = Sure()
        sure.moment = moment
        tried = tried_out(sure, rollouts, env, INSTANCES, [moment], n_candidates=2)
        assert torch.equal(tried.reward[0], rollouts.reward.flatten(0, 1)[:, moment, None].expand(-1, 2))
        assert torch.equal(tried.next_observation[0, :, 0], rollouts.next_observation.flatten(0, 1)[:, moment])
    assert torch.equal(windows_of(rollouts, env).reward, rollouts.reward.flatten(0, 1))
    for sentence, moments, tasks in (
        ("moment is 40; allowed: a whole number from 0 to 39", [40], INSTANCES),
        (r"moments\[0\] is -1; allowed", [-1], INSTANCES), ("moments is None; allowed: a seq", None, INSTANCES),
        (r"moments is \[\]; allowed", [], INSTANCES), ("number of tasks is 1; allowed: 2", [0], INSTANCES[:1]),
    ):
        with pytest.raises(ValueError, match=sentence):
            tried_out(model, rollouts, env, tasks, moments)
    with pytest.raises(ValueError, match="n_candidates is 1[0-9]*; allowed: fewer candidates .*GiB"):
        tried_out(model, rollouts, env, INSTANCES, [0], 2**50)


def test_candidates_that_cannot_be_put_in_order_are_refused():
    for imagined, real, sentence in (
        (torch.zeros(2, 1), torch.zeros(2, 1), "number of candidates is 1; allowed: at least 2"),
        (torch.zeros(2, 3), 3, "real is 3; allowed: a Tensor of Float"),
    ):
        with pytest.raises(ValueError, match=sentence):
            rank_agreement(imagined, real)
    with pytest.raises(ValueError, match="shape of real is .1, 3.; allowed: .2, 3."):
        inspect.unwrap(rank_agreement)(torch.zeros(2, 3), torch.zeros(1, 3))      # as without a type checker
