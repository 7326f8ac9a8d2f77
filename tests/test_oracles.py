"""The controls: what the exact belief knows at each step, that it wastes none, and that the simulator is never wrong."""

import math

import pytest
import torch

from dicp.beliefs import tokens_of
from dicp.config import EnvConfig, MetaWorldConfig, PlanConfig
from dicp.config.env import NoisyConfig, TreasureConfig
from dicp.envs import GridRules, GridWorld, all_tasks, split_tasks
from dicp.explorers import ActionExplorer, Belief, Explorer, GoalExplorer, exact_belief
from dicp.oracles import RandomPolicy, Simulator
from dicp.planning import WorldModel
from dicp.rollout import Learner, rollout
from dicp.types import Tokens
from dicp.windows import without_past

ENV, GOALS = EnvConfig(), all_tasks("darkroom")
PERMUTED, KEY = EnvConfig("darkroom_permuted", horizon=50), EnvConfig("dark_key_to_door", horizon=50)


def tokens(cell: int, reward: int = 0, outcome: int | None = None, first: int = 0, action: int = 0) -> Tokens:
    """One agent's token; explorers of goals take no interest in the action."""
    return Tokens(*(torch.tensor([x]) for x in (cell, action, reward, cell if outcome is None else outcome, first)))


def chances(model: Explorer, context) -> list[float]:
    """The belief's P(reward) of each of the five actions."""
    return model.imagine(model.root(context)).reward[0, 0].tolist()


def test_each_world_has_its_belief():
    for env, kind, n_goals in ((ENV, GoalExplorer, 1), (KEY, GoalExplorer, 2), (PERMUTED, ActionExplorer, 1)):
        assert type(exact_belief(env)) is kind and exact_belief(env).n_goals == n_goals


# ---- Darkroom ------------------------------------------------------------------------------------------------------------


def test_the_belief_by_hand():
    model = GoalExplorer(ENV)
    context = model.begin(1)
    model.observe(context, tokens(40, outcome=81, first=1))                    # at the start, in the centre
    assert chances(model, context) == pytest.approx([1 / 81] * 5)
    model.observe(context, tokens(49))                                         # +x, nothing there
    assert chances(model, context) == pytest.approx([1 / 80] * 4 + [0])        # not here; the start is still possible
    model.observe(context, tokens(40))                                         # -x
    assert chances(model, context) == pytest.approx([0] + [1 / 79] * 3 + [0])
    model.observe(context, tokens(41, reward=1))                               # +y pays
    assert chances(model, context) == [0, 0, 0, 0, 1]
    model.observe(context, tokens(40, outcome=41, reward=1, first=1))          # the last step of an episode, then the reset
    assert chances(model, context) == [0, 0, 1, 0, 0]


def test_imagined_evidence_counts_for_its_own_future_alone():
    model = GoalExplorer(ENV)
    context = model.begin(1)
    model.observe(context, tokens(40, outcome=81, first=1))
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
    return rollout(GoalExplorer(ENV), ENV, GOALS, 1, 9, PlanConfig.preset("bayes"))


def test_the_first_episode_searches_no_cell_twice(explorer):
    unlucky = explorer.episode_return[:, 0, 0] == 0
    assert 45 < unlucky.sum() < 75                          # 61 expected: 20 of 81 cells are searched
    for cells in explorer.next_observation[unlucky][:, 0, :20].tolist():
        assert len(set(cells)) == 20


def test_later_episodes_walk_through_known_cells_to_new_ones(explorer):
    """The start is known by then, so a step or two may be lost; the chance of finding goes on at nearly one cell a step."""
    unlucky = explorer.episode_return[:, 0, :2].sum(-1) == 0
    for cells in explorer.next_observation[unlucky][:, 0, :40].tolist():
        assert len(set(cells)) >= 38


def test_a_found_goal_is_never_left(explorer):
    share = explorer.episode_return[:, 0] / explorer.max_return[:, None]                  # goal episode
    found = (share > 0).long().cumsum(-1)
    assert (share[found > 1] == 1).all()                    # optimal from the episode after the first find on
    assert (share[:, -1] == 1).all()                        # which comes for every goal
    assert share[:, 0].mean() < 0.3 and share.mean() > 0.75


# ---- Dark Key-to-Door ----------------------------------------------------------------------------------------------------


def test_the_belief_over_key_and_door_by_hand():
    """The key lies at 49, one step from the start, the door at 51; +x is action 0, +y is 2."""
    model = exact_belief(KEY)
    context = model.begin(1)
    model.observe(context, tokens(40, outcome=81, first=1))
    assert chances(model, context) == pytest.approx([1 / 81] * 5)
    model.observe(context, tokens(41))                                         # no key at 41
    model.observe(context, tokens(40))                                         # nor at 40
    assert chances(model, context) == pytest.approx([1 / 79, 1 / 79, 0, 1 / 79, 0])
    model.observe(context, tokens(49, reward=1))                               # the key
    assert chances(model, context) == pytest.approx([1 / 81] * 5)              # of the door nothing is known, not even here
    model.observe(context, tokens(49))                                         # stay: no door here, the key is taken
    assert chances(model, context) == pytest.approx([1 / 80] * 4 + [0])
    model.observe(context, tokens(50))
    assert chances(model, context) == pytest.approx([1 / 79] * 3 + [0, 0])
    model.observe(context, tokens(51, reward=1))                               # the door
    assert chances(model, context) == [0] * 5                                  # nothing pays any more
    model.observe(context, tokens(50))
    model.observe(context, tokens(49))                                         # no evidence against the key or the door
    assert chances(model, context) == [0] * 5
    model.observe(context, tokens(40, first=1))                                # the next episode
    assert chances(model, context) == [1, 0, 0, 0, 0]
    model.observe(context, tokens(49, reward=1))
    assert chances(model, context) == [0] * 5                                  # two steps from the door
    model.observe(context, tokens(50))
    assert chances(model, context) == [0, 0, 1, 0, 0]


def test_a_key_taken_in_the_last_step_of_an_episode_is_a_key():
    model = exact_belief(KEY)
    context = model.begin(1)
    model.observe(context, tokens(40, outcome=81, first=1))
    model.observe(context, tokens(40, reward=1, outcome=41, first=1))          # +y, then the reset
    assert chances(model, context) == [0, 0, 1, 0, 0]


def test_imagined_keys_open_imagined_doors():
    """Two futures: one finds the key at 49, one does not; then both go to 50."""
    model = exact_belief(KEY)
    context = model.begin(1)
    model.observe(context, tokens(40, outcome=81, first=1))
    state = model.fork(model.root(context), torch.tensor([[0, 0]]))
    state = model.advance(state, torch.tensor([[0, 0]]), torch.tensor([[1, 0]]), torch.tensor([[49, 49]]))
    state = model.advance(state, torch.tensor([[2, 2]]), torch.tensor([[0, 0]]), torch.tensor([[50, 50]]))
    reward = model.imagine(state).reward[0]
    assert reward[0].tolist() == pytest.approx([1 / 80] * 4 + [0])             # the door is not at 50, may be at 49
    assert reward[1].tolist() == pytest.approx([1 / 79] * 3 + [0, 0])          # the key is at neither
    state = model.advance(state, torch.tensor([[2, 2]]), torch.tensor([[1, 1]]), torch.tensor([[51, 51]]))
    reward = model.imagine(state).reward[0]
    assert not reward[0].any() and reward[1].tolist() == pytest.approx([1 / 81] * 5)
    assert chances(model, context) == pytest.approx([1 / 81] * 5)


# ---- Darkroom-Permuted ---------------------------------------------------------------------------------------------------


def believed(model: ActionExplorer, context) -> list[list]:
    """(next cell, probability, entropy) of each of the five actions."""
    imagined = model.imagine(model.root(context))
    return [[round(float(x[0, 0, action]), 4) for x in (imagined.next_observation, imagined.probability, imagined.entropy)]
            for action in range(5)]


def born() -> tuple[ActionExplorer, Belief]:
    model = ActionExplorer(PERMUTED)
    context = model.begin(1)
    model.observe(context, tokens(0, outcome=81, first=1, action=5))
    return model, context


STAY, KNOWN = -0.6 * math.log(0.6) - 0.4 * math.log(0.2), 1.0397                # 1.0397 nats: halves of log 2 and log 4


def test_nothing_is_known_of_the_actions_at_birth():
    """In the corner, three of five moves lead nowhere; away from the walls, all lead elsewhere."""
    model, context = born()
    assert believed(model, context) == [[0, 0.6, round(STAY, 4)]] * 5
    context.cell[:] = 40
    next_cell, probability, entropy = zip(*believed(model, context), strict=True)
    assert set(next_cell) <= {31, 39, 40, 41, 49} and set(probability) == {0.2} and set(entropy) == {round(math.log(5), 4)}


def test_an_action_is_known_once_it_has_moved():
    """Action 2 leads from the corner to 9, so it is +x; stay and -y (at the wall) are two of the four moves left."""
    model, context = born()
    model.observe(context, tokens(9, action=2))
    assert context.possible.sum() == 24
    assert believed(model, context) == [[9, 0.5, KNOWN]] * 2 + [[18, 1, 0]] + [[9, 0.5, KNOWN]] * 2


def test_at_a_wall_several_hypotheses_remain():
    """Action 1 led nowhere in the corner: -x, -y or stay. Of each other action, one half leads nowhere, too."""
    model, context = born()
    model.observe(context, tokens(0, action=1))
    assert context.possible.sum() == 3 * 24
    assert believed(model, context) == [[0, 0.5, KNOWN], [0, 1, 0], *[[0, 0.5, KNOWN]] * 3]
    model.observe(context, tokens(9, action=0))                                # +x
    model.observe(context, tokens(0, action=3))                                # -x: so action 1 is -y or stay
    assert context.possible.sum() == 2 * 2


def test_the_last_action_is_known_without_a_trial():
    model, context = born()
    for action, cell in ((4, 9), (3, 10), (2, 1), (1, 0)):                     # +x, +y, -x, -y
        model.observe(context, tokens(cell, action=action))
    assert context.possible.sum() == 1
    assert [x[:2] for x in believed(model, context)] == [[0, 1], [0, 1], [0, 1], [1, 1], [9, 1]]


def test_the_goal_is_known_and_pays_where_an_action_is_expected_to_lead():
    model, context = born()
    model.observe(context, tokens(9, action=0))                                # +x
    model.observe(context, tokens(10, action=3))                               # +y
    for cell, expected in ((79, [0, 0, 0, 1, 0]), (71, [1, 0, 0, 0, 0]), (40, [0] * 5)):
        context.cell[:] = cell
        assert chances(model, context) == expected
    context.cell[:] = 80                                                       # here +x and +y lead nowhere
    assert chances(model, context)[0] == chances(model, context)[3] == 1


def test_imagined_moves_are_evidence_for_their_own_future_alone():
    model, context = born()
    state = model.fork(model.root(context), torch.tensor([[0, 0, 0]]))
    action, cell = torch.tensor([[0, 0, 1]]), torch.tensor([[9, 0, 1]])
    state = model.advance(state, action, torch.zeros_like(action), cell)
    assert state.possible.sum(-1).flatten().tolist() == [24, 72, 24]
    imagined = model.imagine(state)
    reached = imagined.next_observation[0]
    assert reached[0, 0] == 18 and reached[2, 1] == 2 and reached[1, 0] == 0
    swapped = model.imagine(model.fork(state, torch.tensor([[2, 0, 1]])))
    for mine, other in zip(swapped[3:], imagined[3:], strict=True):
        torch.testing.assert_close(mine, other[:, [2, 0, 1]])
    assert torch.equal(swapped.next_observation, imagined.next_observation[:, [2, 0, 1]])
    assert context.possible.sum() == 120


@pytest.mark.parametrize("env, tasks", [
    (ENV, [(0, 0), (4, 4), (5, 4)]), (PERMUTED, [0, 17, 119]), (KEY, [((4, 5), (5, 5)), ((4, 4), (4, 4)), ((0, 0), (8, 8))])])
def test_the_truth_is_always_possible_and_chances_are_right(env, tasks):
    """Random rollouts. What is believed certain happens, what is believed impossible does not."""
    model, world, g = exact_belief(env), GridWorld(env, tasks, 8), torch.Generator().manual_seed(0)
    context, cell, row = model.begin(24), world.reset().flatten(), torch.arange(24)
    now = Tokens(cell, *(torch.full_like(cell, x) for x in (5, 0, 81, 1)))
    for _ in range(2 * env.horizon):
        model.observe(context, now)
        assert context.possible.any(-1).all()
        action = torch.randint(5, (24,), generator=g)
        imagined, outcome = model.imagine(model.root(context)), world.step(action.view(3, 8))
        reward, next_cell = outcome.reward.flatten(), outcome.next_observation.flatten()
        expected = imagined.next_observation[row, 0, action]
        sure = torch.ones(24) if imagined.probability is None else imagined.probability[row, 0, action]
        assert torch.equal(expected[sure > 0.999], next_cell[sure > 0.999])
        chance, led = imagined.reward[row, 0, action], expected == next_cell
        assert reward[led & (chance > 0.999)].all() and not reward[led & (chance == 0)].any()
        now = Tokens(outcome.observation.flatten(), action, reward, next_cell, torch.full_like(action, outcome.done))


# ---- all worlds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env, tasks, n_episodes", [
    (PERMUTED, [0, 17, 63, 119], 3),
    (KEY, [((4, 5), (5, 5)), ((4, 4), (4, 4)), ((0, 0), (8, 8)), ((8, 1), (2, 7))], 8),
])
def test_who_starts_with_the_rules_alone_ends_optimal(env, tasks, n_episodes):
    rollouts = rollout(exact_belief(env), env, tasks, 2, n_episodes, PlanConfig.preset("bayes"))
    share = rollouts.episode_return / rollouts.max_return[:, None, None]
    assert (share[..., -1] == 1).all() and share[..., 0].mean() < 0.99, share.mean(1)


@pytest.mark.parametrize("env, tasks", [
    (ENV, [(0, 0), (4, 4), (5, 4)]),
    (PERMUTED, [0, 17, 119]),
    (KEY, [((4, 5), (5, 5)), ((4, 4), (4, 4)), ((0, 0), (8, 8))]),
])
def test_the_simulator_is_always_right(env, tasks):
    """Random rollouts: at every step, what it imagines of the action taken is what happens."""
    model, world, g = Simulator(env, tasks), GridWorld(env, tasks, 4), torch.Generator().manual_seed(0)
    context, cell = model.begin(12), world.reset().flatten()
    now = Tokens(cell, *(torch.full_like(cell, x) for x in (5, 0, 81, 1)))
    for _ in range(2 * env.horizon):
        model.observe(context, now)
        action = torch.randint(5, (12,), generator=g)
        imagined, outcome = model.imagine(model.root(context)), world.step(action.view(3, 4))
        assert torch.equal(imagined.reward[torch.arange(12), 0, action], outcome.reward.flatten().float())
        assert torch.equal(imagined.next_observation[torch.arange(12), 0, action], outcome.next_observation.flatten())
        now = Tokens(outcome.observation.flatten(), action, outcome.reward.flatten(), outcome.next_observation.flatten(),
                     torch.full_like(action, outcome.done))


def test_the_oracles_are_learners_and_world_models():
    for model in (Simulator(ENV, GOALS), GoalExplorer(ENV), GoalExplorer(KEY), ActionExplorer(PERMUTED)):
        assert isinstance(model, WorldModel) and isinstance(model, Learner)


def test_a_random_policy_earns_what_the_random_walk_says():
    """Expected visits of each cell: powers of the walk's transition matrix."""
    walk = torch.zeros(81, 81).scatter_add_(1, GridRules.of(ENV, GOALS).next_cell[0], torch.full((81, 5), 0.2))
    at, visits = torch.eye(81)[40], torch.zeros(81)
    for _ in range(20):
        at = at @ walk
        visits += at
    rollouts = rollout(RandomPolicy(ENV), ENV, GOALS, 40, 50)
    expected = visits / rollouts.max_return
    share = (rollouts.episode_return / rollouts.max_return[:, None, None]).mean(dim=(1, 2))
    assert share.mean().item() == pytest.approx(expected.mean().item(), rel=0.05) and not rollouts.planned.any()
    held_out = [GOALS.index(goal) for goal in split_tasks("darkroom", 0)[1]]
    assert expected[held_out].mean().item() == pytest.approx(0.0177, abs=1e-4)           # the dashed line of the figures


def test_a_random_policy_cannot_plan():
    with pytest.raises(ValueError, match="this agent has no world model"):
        rollout(RandomPolicy(ENV), ENV, GOALS[:1], 1, 1, PlanConfig.preset("bayes"))


@pytest.mark.parametrize("sentence, call", [
    ("env is None; allowed: a world's config, as EnvConfig", lambda: RandomPolicy(None)),
    ("env is MetaWorldConfig.*; allowed: a grid's config", lambda: exact_belief(MetaWorldConfig())),
    ("env.name is 'darkroom'; allowed: 'darkroom_permuted'", lambda: ActionExplorer(ENV)),
    ("env.name is 'darkroom_permuted'; allowed: 'darkroom', 'dark_key", lambda: GoalExplorer(PERMUTED)),
    ("batch is 0; allowed: a whole number of at least 1", lambda: GoalExplorer(ENV).begin(0)),
    ("batch is 1[0-9]*; allowed: fewer agents .*GiB", lambda: GoalExplorer(ENV).begin(2**50)),
    ("batch is 3; allowed: a multiple of the number of tasks, 2", lambda: Simulator(ENV, GOALS[:2]).begin(3)),
    (r"tasks is \[\]; allowed: at least one task", lambda: Simulator(ENV, [])),
    ("context_length is True; allowed", lambda: RandomPolicy(ENV).begin(1, True)),
])
def test_impossible_oracles_are_refused(sentence, call):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_memory_of_a_part_of_an_episode_is_refused():
    with pytest.raises(ValueError, match="context_length is 70; allowed: multiples of the horizon 20"):
        exact_belief(ENV).begin(1, 70)


@pytest.mark.parametrize("env, tasks", [
    (EnvConfig("darkroom", size=4, horizon=6), [(0, 3), (2, 1)]),
    (EnvConfig("dark_key_to_door", size=4, horizon=6), [((0, 0), (3, 1)), ((2, 1), (2, 3))]),
    (EnvConfig("darkroom_permuted", size=4, horizon=6), [5, 70]),
    (TreasureConfig(size=4, horizon=6, n_train=4, n_held_out=2), [((0, 0), (3, 1)), ((2, 1), (2, 3))]),
    (NoisyConfig(size=4, horizon=6), [(0, 3), (2, 1)])], ids=lambda x: getattr(x, "name", ""))
@pytest.mark.parametrize("n_episodes", [1, 2])
def test_a_bounded_memory_believes_what_its_last_episodes_say(env, tasks, n_episodes):
    """At each step: as one that begins with the oldest episode which is remembered."""
    model = exact_belief(env)
    read = tokens_of(rollout(RandomPolicy(env), env, tasks, 3, 5, seed=1), env)
    bounded, whole, differs = model.begin(6, n_episodes * 6), model.begin(6), False
    for t in range(30):
        model.observe(bounded, read.at(t)), model.observe(whole, read.at(t))
        start, fresh = max(t // 6 - n_episodes + 1, 0) * 6, model.begin(6)
        for s in range(start, t + 1):
            token = read.at(s) if s > start else without_past(Tokens.stack([read.at(s)]), env, 1).at(0)
            model.observe(fresh, token)
        assert torch.equal(bounded.possible, fresh.possible) and torch.equal(bounded.cell, fresh.cell)
        assert torch.equal(bounded.stage, fresh.stage)
        differs = differs or not torch.equal(bounded.possible, whole.possible)
        assert bounded.n_transitions == min(t, (n_episodes - 1) * 6 + t % 6) and whole.n_transitions == math.inf
    part = bounded.rows(torch.tensor([4, 1]))
    model.observe(part, read.at(30).rows(torch.tensor([4, 1]))), model.observe(bounded, read.at(30))
    assert differs and torch.equal(part.possible, bounded.possible[[4, 1]])
