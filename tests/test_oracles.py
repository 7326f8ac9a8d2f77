"""The controls: what the exact belief knows at each step, that it wastes none, and that the simulator is never wrong."""

import pytest
import torch

from dicp.config import EnvConfig, PlanConfig
from dicp.envs import GridRules, GridWorld, all_tasks, split_tasks
from dicp.oracles import BayesExplorer, RandomPolicy, Simulator
from dicp.planning import WorldModel
from dicp.rollout import Learner, rollout
from dicp.windows import Tokens

ENV, GOALS = EnvConfig(), all_tasks("darkroom")
KEY = EnvConfig("dark_key_to_door", horizon=50)


def tokens(cell: int, reward: int = 0, arrived: int | None = None, first: int = 0) -> Tokens:
    """One agent's token; the action is of no interest to the oracles."""
    return Tokens(*(torch.tensor([x]) for x in (cell, 0, reward, cell if arrived is None else arrived, first)))


def chances(model: BayesExplorer, context) -> list[float]:
    """The belief's P(reward) of each of the five actions."""
    return model.imagine(model.root(context)).reward[0, 0].tolist()


def test_the_belief_by_hand():
    model = BayesExplorer(ENV)
    context = model.begin(1)
    model.observe(context, tokens(40, arrived=81, first=1))                    # at birth, in the centre
    assert chances(model, context) == pytest.approx([1 / 81] * 5)
    model.observe(context, tokens(49))                                         # +x, nothing there
    assert chances(model, context) == pytest.approx([1 / 80] * 4 + [0])        # not here; the start is still possible
    model.observe(context, tokens(40))                                         # -x
    assert chances(model, context) == pytest.approx([0] + [1 / 79] * 3 + [0])
    model.observe(context, tokens(41, reward=1))                               # +y pays
    assert chances(model, context) == [0, 0, 0, 0, 1]
    model.observe(context, tokens(40, arrived=41, reward=1, first=1))          # the last step of an episode, then the reset
    assert chances(model, context) == [0, 0, 1, 0, 0]


def test_imagined_evidence_counts_for_its_own_future_alone():
    model = BayesExplorer(ENV)
    context = model.begin(1)
    model.observe(context, tokens(40, arrived=81, first=1))
    state = model.fork(model.root(context), torch.tensor([[0, 0]]))
    state = model.advance(state, torch.tensor([[0, 4]]), torch.tensor([[0, 1]]), torch.tensor([[49, 40]]))
    reward = model.imagine(state).reward[0]
    assert reward[0].tolist() == pytest.approx([1 / 80] * 4 + [0])             # first future: +x, nothing there
    assert reward[1].tolist() == [0, 0, 0, 0, 1]                               # second: stay, and it paid
    swapped = model.imagine(model.fork(state, torch.tensor([[1, 0]]))).reward[0]
    assert torch.equal(swapped, reward.flip(0))
    assert chances(model, context) == pytest.approx([1 / 81] * 5)              # reality is untouched


@pytest.fixture(scope="module")
def explorer():
    return rollout(BayesExplorer(ENV), ENV, GOALS, 1, 9, PlanConfig.preset("bayes"))


def test_the_first_episode_searches_no_cell_twice(explorer):
    unlucky = explorer.episode_return[:, 0, 0] == 0
    assert 45 < unlucky.sum() < 75                          # 61 expected: 20 of 81 cells are searched
    for cells in explorer.next_cell[unlucky][:, 0, :20].tolist():
        assert len(set(cells)) == 20


def test_later_episodes_walk_through_known_cells_to_new_ones(explorer):
    """The start is known by then, so a step or two may be lost; the chance of finding goes on at nearly one cell a step."""
    unlucky = explorer.episode_return[:, 0, :2].sum(-1) == 0
    for cells in explorer.next_cell[unlucky][:, 0, :40].tolist():
        assert len(set(cells)) >= 38


def test_a_found_goal_is_never_left(explorer):
    share = explorer.episode_return[:, 0] / explorer.max_return[:, None]                  # goal episode
    found = (share > 0).long().cumsum(-1)
    assert (share[found > 1] == 1).all()                    # optimal from the episode after the first find on
    assert (share[:, -1] == 1).all()                        # which comes for every goal
    assert share[:, 0].mean() < 0.3 and share.mean() > 0.75


def test_only_darkroom_has_an_exact_belief():
    with pytest.raises(ValueError, match="env is 'dark_key_to_door'; allowed: 'darkroom'"):
        BayesExplorer(KEY)


@pytest.mark.parametrize("env, tasks", [
    (ENV, [(0, 0), (4, 4), (5, 4)]),
    (EnvConfig("darkroom_permuted", horizon=50), [0, 17, 119]),
    (KEY, [((4, 5), (5, 5)), ((4, 4), (4, 4)), ((0, 0), (8, 8))]),
])
def test_the_simulator_is_always_right(env, tasks):
    """Random lives: at every step, what it imagines of the action taken is what happens."""
    model, world, g = Simulator(env, tasks), GridWorld(env, tasks, 4), torch.Generator().manual_seed(0)
    context, cell = model.begin(12), world.reset().flatten()
    now = Tokens(cell, *(torch.full_like(cell, x) for x in (5, 0, 81, 1)))
    for _ in range(2 * env.horizon):
        model.observe(context, now)
        action = torch.randint(5, (12,), generator=g)
        imagined, outcome = model.imagine(model.root(context)), world.step(action.view(3, 4))
        assert torch.equal(imagined.reward[torch.arange(12), 0, action], outcome.reward.flatten().float())
        assert torch.equal(imagined.next_cell[torch.arange(12), 0, action], outcome.next_cell.flatten())
        now = Tokens(outcome.cell.flatten(), action, outcome.reward.flatten(), outcome.next_cell.flatten(),
                     torch.full_like(action, outcome.done))


def test_the_oracles_are_learners_and_world_models():
    for model in (Simulator(ENV, GOALS), BayesExplorer(ENV)):
        assert isinstance(model, WorldModel) and isinstance(model, Learner)


def test_a_random_policy_earns_what_the_random_walk_says():
    """Expected visits of each cell: powers of the walk's transition matrix."""
    walk = torch.zeros(81, 81).scatter_add_(1, GridRules.of(ENV, GOALS).next_cell[0], torch.full((81, 5), 0.2))
    at, visits = torch.eye(81)[40], torch.zeros(81)
    for _ in range(20):
        at = at @ walk
        visits += at
    life = rollout(RandomPolicy(ENV), ENV, GOALS, 40, 50)
    expected = visits / life.max_return
    share = (life.episode_return / life.max_return[:, None, None]).mean(dim=(1, 2))
    assert share.mean().item() == pytest.approx(expected.mean().item(), rel=0.05) and not life.planned.any()
    held_out = [GOALS.index(goal) for goal in split_tasks("darkroom", 0)[1]]
    assert expected[held_out].mean().item() == pytest.approx(0.0177, abs=1e-4)           # the dashed line of the figures


def test_a_random_policy_cannot_plan():
    with pytest.raises(ValueError, match="this agent has no world model"):
        rollout(RandomPolicy(ENV), ENV, GOALS[:1], 1, 1, PlanConfig.preset("bayes"))
