# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,jupyter,-all
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does a world model believe about cells it has never seen?
#
# DICP puts a world model on the Transformer of notebook 02. You will be able to
#
# - write down its loss, and say what each head predicts,
# - show that a model of what good agents do takes its own imagined steps for evidence,
# - train one that does not, from the same histories, and say what that costs.
#
# **You need** notebooks 01 and 02. **Time**: 45 minutes; the code runs in 40 seconds on one CPU core (`paper`: hours on a
# GPU). First, the figure that you will soon draw.

# %% tags=["parameters"]
env = "darkroom"      # the world of this course
profile = "fast"      # fast: shipped weights, seconds | paper: the paper's training settings, hours on a GPU
seed = 0              # of the dice and of the weights (those of seed 0 are shipped, others are trained: minutes)
retrain = False       # True: train everything from nothing
my_claims = None      # your guess: share of plans that promise a reward although nothing was ever found, 0 to 1
my_hit = None         # your guess: share of steps onto a new cell that pay, where PPO chose the step, 0 to 1

# %%
from dataclasses import replace
from math import isclose, log
from statistics import median

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from dicp import exercises, parameters, plot
from dicp.artifacts import load_or_train, sample_histories
from dicp.beliefs import believed_rewards, first_arrivals, last_episodes, log_of, p_reward, remember, tokens_of, windows_of
from dicp.config import Config, EnvConfig, PlanConfig
from dicp.envs import GridRules, all_tasks, cell_to_xy, split_tasks
from dicp.envs.gym import ACTIONS
from dicp.models import interventional
from dicp.oracles import RandomPolicy, exact_belief
from dicp.planning import beam_search
from dicp.rollout import rollout
from dicp.training import Trainer, world_model_loss
from dicp.windows import Tokens, Windows, WindowSampler

p = parameters.check(globals(), env=("darkroom",), profile=("fast", "paper"), seed=range(100), retrain=bool,
                     my_claims=float | None, my_hit=float | None)
plot.style()

# %%
world, (train_goals, held_out) = EnvConfig(p.env), split_tasks(p.env, 0)
configs = {kind: Config.preset(p.env, p.profile, kind, p.seed) for kind in ("observational", "interventional")}
trained = {kind: load_or_train(config, p.retrain) for kind, config in configs.items()}
models = {kind: made.model.requires_grad_(False) for kind, made in trained.items()}
believers = models | {"exact belief": exact_belief(world)}

life = rollout(RandomPolicy(world), world, held_out, n_rollouts=64, n_episodes=10, seed=p.seed)
nothing = life.reward.sum(-1).flatten() == 0                     # agents that stumbled about and found nothing
read = Tokens(*(field[nothing] for field in tokens_of(life, world)))

def beliefs(name, n_episodes, agents=slice(64)):                 # -> agent cell
    seen = Tokens(*(field[agents, : n_episodes * world.horizon + 1] for field in read))
    return believed_rewards(believers[name], remember(believers[name], seen), world, seen.cell[:, -1])

visited = read.arrived[0, : 2 * world.horizon + 1].unique()[:-1]   # without the last, which stands for "nowhere yet"
row = [beliefs(name, 2, agents=slice(1))[0] for name in believers]
figure = plot.belief_panels({"": row}, believers, title="Two episodes in the dark, three opinions on where a reward may be",
                            marks=[{"visited": visited, "agent": 40}] * 3)

# %% [markdown]
# Dots: cells where this agent has been, without a reward. Disc: where it is now. Colour: the reward that each model
# expects in each cell. The left one is the paper's kind. (All pictures: one training seed, held-out goals if nothing else
# is said.)
#
# ## What does a world model predict?
# The reward, the next observation and the return-to-go $R_t$ (all rewards from $t$ to the episode's end), for an action
# $a_t$ after a history $h_t$ (Eq. 2 of the paper):
#
# $$L = L_\text{imitation} - \lambda \sum_t \log g(r_t, o_{t+1}, R_t \mid h_t, a_t)$$
#
# Ours factors $g$: a small head on (what the Transformer read, the action) with outputs $r$, $x'$, $y'$, $R$. (The
# authors' code leaves $R$ out.)

# %%
sample, dice = sample_histories(p.env), torch.Generator().manual_seed(p.seed)
model = models["observational"]
n_episodes = model.config.context_length // world.horizon
windows = WindowSampler(world, sample.load(held_out)).history(1000, n_episodes, 16, dice)
h = model(windows.tokens)                                                                # window step d_model
again = (windows.reward == 1) & (windows.tokens.last_reward == 0) & (windows.tokens.last_reward.cumsum(1) > 2)
w, t = again.nonzero()[0].tolist()                       # about to reach a goal that it has been at before
said = model.world_model_head(h[w, t])                                                   # every action at once
where = said.next_x.softmax(-1)[:, :, None] * said.next_y.softmax(-1)[:, None, :]        # action x y
pays = said.reward.softmax(-1)[:, 1]
plot.belief_panels(
    {"": where.flatten(1)}, [f"{a}\nP(reward) = {r:.2f}" for a, r in zip(ACTIONS, pays, strict=True)],
    title="One moment of a held-out history: five actions, five predictions", label="P(next cell)",
    marks=[{"agent": int(windows.tokens.cell[w, t]), "goal": int(windows.next_cell[w, t])}] * 5)
assert pays.argmax() == windows.action[w, t] and pays.max() > 0.8


# %% [markdown]
# The disc is the agent, the star a goal that none of the weights was trained on: the model has it from the context. Nearly
# all the probability of a next cell lies where the rules put it.
#
# The loss is the negative logarithm of the probability of what happened. Here it is plain, one transition at a time, and
# beside it the library's, all windows at once.

# %%
def surprise(w, t):                                      # - log g of one transition
    said = model.world_model_head(h[w, t], windows.action[w, t])
    x, y = divmod(int(windows.next_cell[w, t]), world.size)
    happened = (int(windows.reward[w, t]), x, y, int(windows.return_to_go[w, t]))
    return -sum(float(logits.log_softmax(-1)[i]) for logits, i in zip(said, happened, strict=True))

few = type(windows)(Tokens(*(field[:3] for field in windows.tokens)), *(field[:3] for field in windows[1:]))
plain = [surprise(w, t) for w in range(3) for t in range(windows.action.shape[1])]
library = sum(world_model_loss(model.world_model_head(h[:3], few.action), few, world.size).values())
assert isclose(sum(plain) / len(plain), float(library), rel_tol=1e-4)


# %% [markdown]
# ## Does it need the past?
# Take one episode out of each window, the last, and predict all of its transitions: first with nothing before it, then with
# one earlier episode of the same agent in front, with two, with three. Which of the three predictions will gain? (The paper
# asks this of Meta-World, in its Figure 4.)

# %%
def errors(k):                                           # the same last episode, with k episodes before it
    part, last = last_episodes(windows, (k + 1) * world.horizon, world), slice(-world.horizon, None)
    said = model.world_model_head(model(part.tokens)[:, last], part.action[:, last])
    reward, cell, returns = (x[:, last] for x in (part.reward, part.next_cell, part.return_to_go))
    nll = F.cross_entropy(said.reward.movedim(-1, 1), reward, reduction="none")
    expected = said.return_to_go.softmax(-1) @ torch.arange(world.horizon + 1.0)
    wrong = said.next_x.argmax(-1) * world.size + said.next_y.argmax(-1) != cell
    return torch.stack((nll, (expected - returns).abs(), wrong)).mean(1)                                 # kind step

error = torch.stack([errors(k) for k in range(n_episodes)], dim=1)                                   # kind episode step
figure, panels = plt.subplots(1, 3, figsize=(10, 3.5))
for ax, values, what in zip(panels, error, ("surprise at the reward, nats", "error of the return-to-go",
                                            "wrong next cells, share"), strict=True):
    plot.by_context(values, what=what, ax=ax)
panels[2].set_ylim(0, 1)
figure.suptitle("The goal has to be read from the context, the moves do not", fontweight="bold", x=0.01, ha="left")
nll, returns, wrong = error.mean(-1)
assert nll[-1] < 0.3 * nll[0] and returns[-1] < 0.6 * returns[0] and wrong.max() < 0.05


# %% [markdown]
# Thin: step by step; bold: the mean of the episode. One earlier episode says where the goal is, the others add little; how
# to move lies in the weights.
#
# ## What does it expect where it has never been?
# Ask as a planner asks: *imagine a shortest walk to the cell (first along x, then y), nothing found on the way; what is
# P(reward) as you arrive?* The walk is part of the question. Whether it should matter, you will see. Plain, for one agent
# and one cell:

# %%
def imagined_arrival(model, context, cell, target):
    state = model.root(context)
    while True:
        (x, y), (u, v) = divmod(cell, world.size), divmod(target, world.size)
        action = 0 if x < u else 1 if x > u else 2 if y < v else 3 if y > v else 4        # +x, -x, +y, -y, stay
        cell += (world.size, -world.size, 1, -1, 0)[action]
        if cell == target:
            return float(model.imagine(state).reward[0, 0, action])
        state = model.advance(state, torch.tensor([[action]]), torch.tensor([[0]]), torch.tensor([[cell]]))

one = Tokens(*(field[:1, : 2 * world.horizon + 1] for field in read))
for (name, believer), belief in zip(believers.items(), row, strict=True):
    context = remember(believer, one)
    plain = torch.tensor([imagined_arrival(believer, context, 40, target) for target in range(world.n_cells)])
    assert torch.allclose(plain, belief, atol=1e-4), name

# %% [markdown]
# The library asks about all cells of all agents at once, and agrees. Now the same agent through six fruitless episodes.
# The exact belief is Bayes' rule: any cell not yet visited is as likely as any other. (The observational model's context
# holds the last four episodes, the paper's length; the interventional one's holds six.)

# %%
after, agent = (1, 2, 4, 6), slice(1)
seen = [read.arrived[0, : n * world.horizon + 1].unique()[:-1] for n in after]
maps = {name: [beliefs(name, n, agent)[0] for n in after] for name in believers}
plot.belief_panels(maps, [f"after {n} episode{'s' * (n > 1)}" for n in after], inches=2.0,
                   marks=[{"visited": cells, "agent": 40} for cells in seen],
                   title="Without a single reward, the observational model sees rewards in the corners")
for n, cells in zip(after, seen, strict=True):
    new = torch.ones(world.n_cells, dtype=torch.bool).index_fill(0, cells, False)
    visit = {name: float(maps[name][after.index(n)][~new].mean()) for name in believers}
    assert visit["observational"] > 0.01 > 100 * visit["interventional"]

# %% [markdown]
# The interventional model (its turn comes) is nearly the exact belief; the observational one expects something far away,
# even where it has been.
#
# ## Does it talk itself into it?
# Left: the same answers for all wanderers after two episodes, by the length of the imagined walk. Right: let the paper's
# planner search 8 steps ahead at the start of an episode. Nothing has ever been found, so no plan can know of a reward. In
# how many does the best plan claim one all the same? Set `my_claims`.

# %%
distance = (cell_to_xy(torch.arange(world.n_cells)) - world.size // 2).abs().sum(-1)
steps, episodes, paper = range(1, 9), range(7), PlanConfig.preset("paper")

def claims(model, n):                                    # share of plans with a reward in them
    context = remember(model, Tokens(*(field[:64, : n * world.horizon + 1] for field in read)))
    return float((beam_search(model, model.root(context), paper, world.horizon).reward.sum(-1) > 0).float().mean())

by_steps = {name: [float(beliefs(name, 2)[:, distance == d].mean()) for d in steps] for name in believers}
claimed = {kind: [claims(model, n) for n in episodes] for kind, model in models.items()}
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
plot.belief_curves(by_steps, steps, title="More imagined steps, more belief", ylabel="P(reward) on arrival",
                   xlabel="imagined steps to the cell", ax=left)
plot.belief_curves(claimed, episodes, title="One model's plans promise rewards", ylabel="share of plans", level=p.my_claims,
                   xlabel="fruitless episodes in context", ax=right)
assert by_steps["observational"][-1] > 5 * by_steps["observational"][1]
assert min(claimed["observational"]) > 0.5 and max(claimed["interventional"]) < 0.05

# %% [markdown]
# Every imagined step makes it surer. This is *self-delusion* (Ortega et al. 2021, arXiv 2110.10819).
#
# ## Is that a bug, or the right answer to a wrong question?
# In the histories, somebody who walks eight steps in one direction mostly *knows why*: actions are evidence,
#
# $$P(\text{goal} \mid h, a) \propto P(\text{goal} \mid h)\, \pi(a \mid h, \text{goal}).$$
#
# But an imagined action was chosen by nobody: $P(\text{goal} \mid h, \text{do}(a)) = P(\text{goal} \mid h)$. Apply both
# rules by hand, trusting the walker as much as a late PPO policy deserves.

# %%
rules = GridRules.of(world, all_tasks(p.env))
goal_at = (cell_to_xy(torch.arange(world.n_cells))[:, None] - cell_to_xy(torch.arange(world.n_cells))).abs().sum(-1)
closer = goal_at[rules.next_cell[0]] < goal_at[:, None]                                   # cell action goal
source = sample.load(held_out)                                                            # task stream step
cell, action = (x[:, :, -10 * world.horizon :].long() for x in (source.cell, source.action))    # its last ten episodes
goals = torch.tensor([x * world.size + y for x, y in held_out])[:, None, None].expand_as(cell)
trust = float(closer[cell, action, goals][cell != goals].float().mean())         # steps that lead nearer to the goal
n_closer = closer.sum(1, keepdim=True)
policy = torch.where(closer, trust / n_closer.clamp(min=1), (1 - trust) / (5 - n_closer))

def with_walk(target, takes_actions_for_evidence):                                # P(reward) on arrival, from the centre
    at, belief = 40, torch.ones(world.n_cells)
    while at != target:
        (x, y), (u, v) = divmod(at, world.size), divmod(target, world.size)
        action = 0 if x < u else 1 if x > u else 2 if y < v else 3
        belief = belief * (policy[at, action] if takes_actions_for_evidence else 1)
        at = int(rules.next_cell[0, at, action])
        belief[at] = belief[at] if at == target else 0                           # nothing found on the way
    return float(belief[target] / belief.sum())


# %%
far = {d: (distance == d).nonzero()[:, 0].tolist() for d in steps}
rule = {name: [sum(with_walk(target, flag) for target in far[d]) / len(far[d]) for d in steps]
        for name, flag in (("P(r | h, a)", True), ("P(r | h, do(a))", False))}
fresh = {name: [float(beliefs(name, 0, slice(1))[0, distance == d].mean()) for d in steps] for name in models}
plot.belief_curves(rule | fresh, steps, title="The observational model trusts the walker; nobody walked", thin=rule,
                   xlabel="imagined steps to the cell, from an empty context", ylabel="P(reward) on arrival")
assert rule["P(r | h, a)"][-1] > 0.3 and rule["P(r | h, do(a))"][-1] < 0.02

# %% [markdown]
# The model has learned Bayes' rule well, with a little less trust, because not everybody in the histories is that good. It
# answers $P(r \mid h, a)$; a planner asks $P(r \mid h, \text{do}(a))$.
#
# ## What do the data say?
# Take steps onto a new cell, no reward so far. Those that PPO chose, on training and on held-out goals; and those that
# dice chose. How often did PPO's pay? Set `my_hit`.

# %%
aimless = windows_of(rollout(RandomPolicy(world), world, held_out, 128, n_episodes, seed=p.seed + 1), world)
trained_on = WindowSampler(world, sample.load(sample.tasks[len(held_out) :])).history(1000, n_episodes, 16, dice)
observed, predicted = {}, {kind: [] for kind in models}
for who, w in (("PPO,\ntraining goals", trained_on), ("PPO,\nheld-out goals", windows), ("dice,\nheld-out goals", aimless)):
    new = first_arrivals(w, world)[0]
    observed[who] = float(w.reward[new].float().mean()), int(new.sum())
    for kind, model in models.items():
        predicted[kind].append(float(p_reward(model, w)[new].mean()))
plot.who_chose(observed, predicted, guess=p.my_hit, title="The same step pays more often if somebody who knows chose it")
ppo, _, by_dice = (share for share, _ in observed.values())
said, ours = predicted["observational"], predicted["interventional"]
assert ppo > 4 * by_dice and abs(said[0] - ppo) < 0.35 * ppo and said[2] > 2 * by_dice > ours[2] > 0.5 * by_dice

# %% [markdown]
# Both are right about something: the observational model about PPO (less on held-out goals: it has learned that these
# cells never paid), the interventional one about steps that nobody had a reason for.
#
# ## Can you bet on what it says?
# *Calibration*: of all predictions of 2%, do 2% come true? New cells again, walkers that know nothing, told apart by how
# much of the room they had seen. The bets are fair only if all 81 goals come equally often (the held-out ones alone would
# test eight places); so most goals here are training goals.

# %%
anywhere = windows_of(rollout(RandomPolicy(world), world, all_tasks(p.env), 25, n_episodes, seed=p.seed + 2), world)
new, n_visited = first_arrivals(anywhere, world)
bets = {kind: p_reward(model, anywhere)[new] for kind, model in models.items()}
figure, panels = plt.subplots(1, 2, figsize=(10.5, 4.5), sharex=True, sharey=True)
for ax, (kind, bet) in zip(panels, bets.items(), strict=True):
    plot.calibration(bet.clamp(min=1e-3), anywhere.reward[new], n_visited[new], title=kind, ax=ax, n_bins=4,
                     groups=((0, 9), (10, 19), (20, 60)))
figure.suptitle("Under actions that do not know the goal, one model can be trusted", fontweight="bold", x=0.01, ha="left")
sure = {kind: bet.topk(len(bet) // 5).indices for kind, bet in bets.items()}            # each model's boldest bets
excess = {kind: float(bets[kind][i].mean() / anywhere.reward[new][i].float().mean()) for kind, i in sure.items()}
assert excess["observational"] > 4 and excess["interventional"] < 2.5

# %% [markdown]
# Left: bold claims come true no more often than modest ones. Right: one claim for every new cell, close to what comes.
#
# ## How do you get such a model out of the same histories?
# Train it on what nobody could have known. Before PPO's *first* update, the policies of all goals are the same, and nearly
# uniform. So windows are made of first episodes only (a fiftieth of the data), of *different streams of one task*: many
# walkers who know nothing, one goal, to be remembered. The loss stays the plain cross entropy. No simulator, no new data.

# %% [markdown]
# ## How does it remember?
# It predicts where the step leads, then *looks that cell up* among the cells arrived at: one attention whose scores $s_i$ are
# 8 for the same cell, $-\infty$ for another and 0 for a null key ("not there"); $v_i$ is the token read on arrival, with
# its reward:
#
# $$w = \text{softmax}(0,\ s_1, \dots, s_n), \qquad P(r) = \text{MLP}\big(\textstyle\sum_i w_i v_i,\ \dots\big)$$
#
# The dots: a second look-up, of the cell together with the rewards so far in the episode. Darkroom has no use for it; where
# a door pays only with a key, it matters. Plain, for two cells, and against the library:

# %%
model, n = models["interventional"], models["interventional"].config.context_length
tokens = Tokens(*(field[:1, :n] for field in read))      # one wanderer, a full context
memory, arrived = remember(model, tokens), tokens.arrived[0]
past, n_rewards = memory.past, int(memory.stage)

def plain_look_up(recall, thing, things):                # -> (weights: null key first, what is found)
    weights = torch.tensor([0.0, *(8.0 if other == thing else -torch.inf for other in things.tolist())]).softmax(0)
    return weights, weights @ torch.stack([recall.null_value, *past.reward_value[0]])

def plain_belief(cell):                                  # -> (P(reward), weights of the first look-up)
    weights, found = plain_look_up(model.by_cell, cell, past.cell[0])
    _, with_rewards = plain_look_up(model.by_stage, cell * interventional.STAGES + n_rewards, past.staged_cell[0])
    return float(model.judge(torch.cat((found, with_rewards))).softmax(-1)[1]), weights

often = int(arrived[arrived < world.n_cells].bincount().argmax())
never = next(cell for cell in range(world.n_cells) if cell not in arrived)
(p_often, w_often), (p_never, w_never) = plain_belief(often), plain_belief(never)
for cell, plain in ((often, p_often), (never, p_never)):
    asked = torch.full_like(tokens.cell, cell)           # at every position; the last is ours
    library = p_reward(model, Windows(tokens, asked * 0, asked * 0, asked, *(asked,) * 3))[0, -1]
    assert isclose(plain, library, rel_tol=1e-3, abs_tol=1e-6)
plot.look_up({f"a cell it has been at: P(reward) = {p_often:.3f}": w_often,
              f"a cell it has never seen: P(reward) = {p_never:.3f}": w_never}, world.horizon,
             title="Where the reward head looks before it answers")
assert w_often[0] < 0.1 and w_never[0] > 0.9

# %% [markdown]
# ## Can you train it yourself?
# A hundred and fifty updates are enough to see it. Here dice make the first episodes (the shipped weights come from
# PPO's own). The head judges what was found in a cell, not the cell: so it cannot learn *which* cells never paid, only that
# a visited one pays again or never. "Any cell may pay" is thereby built in: a prior that we chose.

# %%
fast = Config.preset(p.env, "fast", "interventional", p.seed)
short = replace(fast.train, updates=150, warmup=20, learning_rate=1e-2, batch_size=16)
first_episodes = log_of(rollout(RandomPolicy(world), world, train_goals, 100, n_episodes=1, seed=p.seed + 3))
trainer = Trainer(replace(fast, train=short), first_episodes)
for _ in range(short.updates):
    trainer.step()
believers["yours"] = trainer.model.requires_grad_(False)

def against_equals(name):                                # belief in each held-out cell / in others as far, empty context
    belief, cells = beliefs(name, 0, slice(1))[0], torch.tensor([x * world.size + y for x, y in held_out])
    others = torch.ones(world.n_cells, dtype=torch.bool).index_fill(0, cells, False)
    return [float(belief[c] / belief[others & (distance == distance[c])].mean()) for c in cells]

ratios = {name: against_equals(name) for name in ("observational", "interventional", "yours")}
losses = {"yours": trainer.log["reward"], "recorded run": trained["interventional"].log["reward"][: short.updates]}
rate = float(first_episodes.reward.float().mean())
blind = -rate * log(rate) - (1 - rate) * log(1 - rate)
plot.learned_to_remember(losses, blind, ratios)
assert trainer.log["reward"][-20:].mean() < 0.5 * blind
assert median(ratios["observational"]) < 0.5 < median(ratios["interventional"])

# %% [markdown]
# Left: the loss falls below what anybody without a memory can reach. Right: from an empty context, how likely is each
# held-out goal, beside other cells as far away? One model has learned the list of goals that never came up.
#
# ## Where does the interventional model fail?
# It looks up one cell at a time: it cannot count how many are left, nor rule out the others once the goal is found. It
# remembers its context only. It never saw anybody who knows the goal. What will it say about a cell searched seven
# episodes ago? About an expert's returns?

# %%
when, only_first = range(1, 11), []
for n in when:
    seen = F.one_hot(read.arrived[:64, : n * world.horizon + 1], world.n_cells + 1)[..., :-1]
    first, later = (part.any(1) for part in (seen[:, : world.horizon + 1], seen[:, world.horizon + 1 :]))
    only_first.append(float(beliefs("interventional", n)[first & ~later].mean()))
late = windows.return_to_go[:, -world.horizon] > world.horizon / 2           # its last episode is an expert's
expert = {"observed": windows.return_to_go[late, -world.horizon :].float().mean(0)}
for kind, model in models.items():
    said = model.predict(windows).return_to_go[late, -world.horizon :].softmax(-1)
    expert[kind] = (said @ torch.arange(world.horizon + 1.0)).mean(0)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
plot.belief_curves({"interventional": only_first, "exact belief": [0.0] * len(when)}, when, ax=left, xlabel="episodes lived",
                   title="What leaves the context is new again", ylabel="P(reward) where it has\nbeen in episode 1 only")
plot.belief_curves(expert, range(1, world.horizon + 1), title="It cannot imagine an expert", ylabel="return-to-go",
                   xlabel="step of an expert's episode", thin=("observed",), ax=right)
n_held = models["interventional"].config.context_length // world.horizon
assert max(only_first[:n_held]) < 0.002 and min(only_first[n_held:]) > 0.005
assert expert["interventional"][0] < 0.3 * expert["observed"][0]


# %% [markdown]
# With the paper's context of four episodes it would forget two episodes earlier: this is why ours is longer than the
# paper's. And its return-to-go is that of a drunkard: a planner may ask it about rewards only, and has to do the improving
# itself.
#
# ## Exercises
# **1.** The loss needs the return-to-go of every step of a history of many episodes, back to back.

# %% tags=["exercise"]
def return_to_go(rewards, horizon): ...               # your turn: rewards [step] -> [step]; a sum stops at its episode's end
exercises.check_return_to_go(return_to_go)


# %% jupyter={"source_hidden": true} tags=["solution"]
def return_to_go(rewards, horizon):
    return rewards.reshape(-1, horizon).flip(1).cumsum(1).flip(1).flatten()
exercises.check_return_to_go(return_to_go, strict=True)


# %% [markdown]
# **2.** The exact belief: all cells equally likely, `n_visited` of them have paid nothing. What is P(reward) on a new one?

# %% tags=["exercise"]
def bayes_hit(n_cells, n_visited): ...                # your turn: a number
exercises.check_bayes_hit(bayes_hit)


# %% jupyter={"source_hidden": true} tags=["solution"]
def bayes_hit(n_cells, n_visited):
    return 1 / (n_cells - n_visited)
exercises.check_bayes_hit(bayes_hit, strict=True)


# %% [markdown]
# **3.** Calibration: cut [0, 1] into `n_bins` bins of equal width; for each, the mean prediction and the share that came
# true (NaN where a bin is empty; p = 1 belongs to the last).

# %% tags=["exercise"]
def calibration(p, hit, n_bins): ...                  # your turn: p [n], hit [n] -> (mean p, share of hits), each [n_bins]
exercises.check_calibration(calibration)


# %% jupyter={"source_hidden": true} tags=["solution"]
def calibration(p, hit, n_bins):
    bins = (p * n_bins).long().clamp(max=n_bins - 1)
    inside = [bins == b for b in range(n_bins)]
    return torch.stack([p[i].mean() for i in inside]), torch.stack([hit[i].float().mean() for i in inside])
exercises.check_calibration(calibration, strict=True)

# %% [markdown]
# ## What have you learned?
# A world model on the Transformer of AD reads the goal from its context, and predicts well what a good agent's next step
# brings. Because good agents' actions are evidence, it believes in rewards that it has walked to in its mind. Trained on
# the episodes that came before anybody knew anything, with a memory to look things up in, it expects what is there to be
# expected.
#
# **Next**: what does a planner make of the one model, and what of the other? Notebook 04.
