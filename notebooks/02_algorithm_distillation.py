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
# # Can a Transformer learn how to learn?
#
# It reads learning histories and predicts the source's next action. Then its weights are frozen, and it meets a goal it
# has never seen. Soon you will be able to
#
# - train a causal Transformer on histories written as tokens,
# - let the frozen model improve in context, and say why it can,
# - break it in several ways, and name its limit.
#
# **You need** notebook 01. **Time**: 40 minutes to read; half a minute to run on one CPU core (profile `paper`: hours on a
# GPU). First, a figure that you will soon draw.

# %% tags=["parameters"]
env = "darkroom"      # the world of this course
profile = "fast"      # fast: shipped weights, seconds | paper: the paper's training settings, hours on a GPU
seed = 0              # of the dice and of the weights (those of seed 0 are shipped, others are trained: minutes)
retrain = False       # True: collect the histories and train the model here, from nothing: minutes

# %%
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from dicp import exercises, parameters, plot, results
from dicp.artifacts import load_or_train, sample_histories
from dicp.beliefs import tokens_of
from dicp.config import Config, EnvConfig
from dicp.envs import GridRules, GridWorld, split_tasks
from dicp.rollout import rollout
from dicp.training import Trainer, cross_entropy, learning_rate
from dicp.windows import Tokens, Windows, WindowSampler

p = parameters.check(globals(), env=("darkroom",), profile=("fast", "paper"), seed=range(100), retrain=bool)
plot.style()

# %%
world, (train_goals, unseen) = EnvConfig(p.env), split_tasks(p.env, 0)
config = Config.preset(p.env, p.profile, seed=p.seed)
model, origin, log_of_training, _ = load_or_train(config, p.retrain)
model.requires_grad_(False)                                          # frozen from here on

goal = unseen[2]
lives = rollout(model, world, [goal], n_rollouts=64, n_episodes=50, seed=p.seed)
episode_return = lives.episode_return[0]                             # life episode
found = (episode_return.cumsum(1) == 0).sum(1)                       # first episode with a reward; 50: never
one = int((found - 8).abs().argmin())                                # a life that finds the goal neither early nor late
shown = (0, int(found[one]), int(found[one]) + 4, 49)
figure, panels = plt.subplots(1, 4, figsize=(11.5, 3.5))
for ax, episode in zip(panels, shown, strict=True):
    steps = slice(episode * world.horizon, (episode + 1) * world.horizon)
    way = torch.cat((lives.cell[0, one, steps][:1], lives.next_cell[0, one, steps]))
    title = f"episode {episode + 1}: return {episode_return[one, episode]}"
    plot.trajectories([way], title=title, start=40, goal=goal[0] * 9 + goal[1], ax=ax)
plot.claim(figure, "One life with frozen weights: lost, lucky, better, expert")

# %% [markdown]
# Star: a goal that no weight was trained on. The agent does not see it either, only its own cell and its reward. All that
# changes from left to right is what it *remembers*. This is **Algorithm Distillation**, AD (Laskin et al. 2022, arXiv
# 2210.14215): whoever predicts the actions of somebody who learns has to model the learning.
#
# ## What does it read?
# One token a step: where you are, what you did last, what it earned, where it led, and whether an episode begins. Plainly:

# %%
sample, dice = sample_histories(p.env), torch.Generator().manual_seed(p.seed)
log = sample.load(sample.tasks[len(unseen):])                        # eight training goals, ten streams each
sampler, n_episodes = WindowSampler(world, log), config.model.context_length // world.horizon
batch = sampler.history(400, n_episodes, max_stride=16, generator=dice)      # cut from the histories at random
mask = (batch.reward[:, 36:40].sum(1) > 0) & (batch.reward[:, :34].sum(1) == 0)
w = int(mask.int().argmax())                                         # a window with its first reward at steps 34 to 40
window = Windows(Tokens(*(field[w] for field in batch.tokens)), *(field[w] for field in batch[1:]))

def token(t):                                                        # what the agent knows before it acts at step t
    if t == 0: return int(window.tokens.cell[0]), world.n_actions, 0, world.n_cells, 1          # born: no last action
    last = (int(x[t - 1]) for x in (window.action, window.reward, window.next_cell))
    return int(window.tokens.cell[t]), *last, int(t % world.horizon == 0)

plot.tokens(window, range(33, 46), title="A history as the Transformer reads it, and what it must say")
assert all(token(t) == tuple(int(field[t]) for field in window.tokens) for t in range(len(window.action)))

# %% [markdown]
# "Where it led" differs from the next $o_t$ only at a new episode: the reset lies between them. Not in the token: the goal,
# the number of the episode, how good the source was by then.
#
# ## Who may look at whom?
# Position $t$ predicts $a_t$, and $a_t$ stands in token $t + 1$. Looking ahead would be cheating, so attention is masked:
# row $t$ sees columns $0 \dots t$. Do not take our word: swap one token after the other for another window's, and measure
# which predictions move.

# %%
few = Tokens(*(field[:32] for field in batch.tokens))
at = torch.arange(few.cell.shape[1])

def predictions(tokens):                                             # -> window position action
    return model.policy_head(model(tokens)).softmax(-1)

before = predictions(few)
swapped = [Tokens(*(torch.where(at == j, field.roll(1, 0), field) for field in few)) for j in at]
change = torch.stack([(predictions(tokens) - before).abs().amax((0, 2)) for tokens in swapped], dim=1)
plot.influence(change, world.horizon, title="A token changes its own and later\npredictions, never an earlier one",
               note="the largest of 32 windows; white lines: new episodes")
assert change.triu(1).max() < 1e-6 < change.diag()[1:].min()


# %% [markdown]
# ## What is it trained on?
# Eq. 1: the negative log-probability of the source's action, at *every* step $t$ of a window:
#
# $$L(\theta) = - \sum_t \log p_\theta(a_t \mid o_t, h_{t-1})$$
#
# Because no position sees the future, one pass over a window of 80 gives 80 exams: "what comes next?" after 1 token, after
# 2, ..., after 80. Slowly, each with its own pass over exactly what was known; then all at once:

# %%
def surprise(t):                                                     # at the source's action, nothing after t in sight
    known = Tokens(*(field[None, : t + 1] for field in window.tokens))
    return -float(model.policy_head(model(known))[0, -1].log_softmax(-1)[window.action[t]])

slow = sum(surprise(t) for t in range(len(window.action))) / len(window.action)
at_once = cross_entropy(model.policy_head(model(Tokens(*(field[None] for field in window.tokens)))), window.action[None])
assert math.isclose(slow, at_once, rel_tol=1e-4)

# %% [markdown]
# ## Which episodes does a window hold?
# Four episodes fit into 80 transitions. Four *in a row* show hardly any improvement: whoever imitates them learns to go on
# as before. So take every $k$-th episode, $k$ drawn from 1 to 16 for each window: the same history, steeper. Guess: by how
# much does the return rise from a window's first to its last episode, for four in a row?

# %%
my_guess = None       # rise of the mean return inside a window of four consecutive episodes, e.g. 2

every = sampler.data[..., 2].long().sum(-1).view(-1, sampler.n_episodes)     # return: history episode

def episodes_of(n_windows, stride):                                  # -> window episode
    start = torch.rand(n_windows, generator=dice) * (sampler.n_episodes - stride * (n_episodes - 1))
    return start.long()[:, None] + stride * torch.arange(n_episodes)

inside, examples = {}, {}
for name, stride in (("4 in a row\n(stride 1)", 1), ("every 5th\n(stride 5)", 5), ("every 16th\n(stride 16)", 16)):
    episodes = episodes_of(4000, stride)
    streams = torch.randint(len(every), (4000, 1), generator=dice)
    inside[name], examples[name] = every[streams, episodes].float().mean(0), episodes[:3].sort(0).values + 1
plot.windows(examples, inside, title="A stride between the episodes makes the improvement steep", guess=my_guess)
rise, steeper, steepest = (float(x[-1] - x[0]) for x in inside.values())
assert 0 < 2 * rise < steeper < steepest

# %% [markdown]
# ## Can you train one in ten seconds?
# Eight goals, eighty updates. The loop below is the whole of training. Run it twice: with the loss on every position, and,
# as the authors' code has it, on the *last* position of the window alone. Which positions will the second one be good at?

# %%
n_updates = 80
quick = replace(config, model=replace(config.model, dropout=0.0), train=replace(
    config.train, updates=n_updates, batch_size=64, warmup=20, max_stride=16, n_streams=log.cell.shape[1]))

def update(trainer, positions):
    train = trainer.config.train
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate(train, trainer.update)           # a short warm-up, then a cosine
    windows = trainer.sampler.history(train.batch_size, n_episodes, train.max_stride, trainer.generator)
    logits = trainer.model.policy_head(trainer.model(windows.tokens))[:, positions]
    loss = F.cross_entropy(logits.flatten(0, 1), windows.action[:, positions].flatten())
    trainer.optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), train.max_grad_norm)
    trainer.optimizer.step()
    trainer.update += 1
    return float(loss.detach())

dense, last_only, library = (Trainer(quick, log) for _ in range(3))
loss = {"every position": [update(dense, slice(None)) for _ in range(n_updates)],
        "the last one": [update(last_only, slice(-1, None)) for _ in range(n_updates)]}
for _ in range(3): library.step()
assert np.allclose(library.log["policy"], loss["every position"][:3], rtol=1e-4)

# %%
mine = dense.model.requires_grad_(False)
learners = {"every position": mine, "last position": last_only.model.requires_grad_(False), f"{origin}: 73 goals": model}

def by_position(net):                                                # surprise, mean of 400 windows: position
    return F.cross_entropy(net.policy_head(net(batch.tokens)).movedim(-1, 1), batch.action, reduction="none").mean(0)

plot.training(loss["every position"], log_of_training["policy"], {name: by_position(net) for name, net in learners.items()},
              horizon=world.horizon, title="Eighty exams a window teach every position, one exam only the last")
yours, last, _ = (float(by_position(net).mean()) for net in learners.values())
assert yours < 0.7 * last

# %% [markdown]
# Left: your loss over the shipped model's. Right: trained on the last position alone, it is worse than dice early in the
# window. But a life *begins* with an empty context. (In the other two, surprise falls from episode to episode: the context
# says more and more.)
#
# ## Has yours learned to learn?
# It has seen eight goals, the shipped one seventy-three. Let both live in eight goals of training and in the eight
# unseen ones. Guess: what share of the highest return will *yours* get on unseen goals?

# %%
my_guess = None       # share of the highest return that your own model gets on unseen goals, 0 to 1

def late_return(net, goals):                                         # of each goal, episodes 41 to 50, highest = 1
    life = rollout(net, world, goals, n_rollouts=4, n_episodes=50, seed=p.seed)
    return (life.episode_return[..., 40:] / life.max_return[:, None, None]).mean((1, 2))

trained_on = sample.tasks[len(unseen):]
share = {f"{name},\n{what} goals": late_return(net, goals) for name, net in (("8 goals (yours)", mine), ("73 goals", model))
         for what, goals in (("training", trained_on), ("unseen", unseen))}
plot.by_goal(share, guess=my_guess, title="Eight goals are learned by heart, seventy-three are learned from",
             note="a dot a goal, 4 rollouts each; one training seed each")
yours_seen, yours_unseen, theirs_seen, theirs_unseen = (float(x.mean()) for x in share.values())
assert yours_unseen < 0.6 * yours_seen and theirs_unseen > 0.8 * theirs_seen

# %% [markdown]
# A dot is a goal. Yours has learned a list: which of my eight is it? With many goals the *rule* is cheaper than the list: "go
# back to where it paid". (Only eighty updates? On its own goals they are enough for most.)
#
# ## Does it improve in context?
# Unseen goals, frozen weights, actions sampled from $p_\theta$. Guess after how many env steps it first earns half of the
# highest return.

# %%
my_guess = None       # env steps in context until the mean return is half of the highest, e.g. 200

weights = {name: value.clone() for name, value in model.state_dict().items()}
life = rollout(model, world, unseen, n_rollouts=8, n_episodes=50, seed=p.seed)
assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())      # nothing was trained

full = results.recorded(p.env)
same = dict(run="ad", greedy=False, max_stride=config.train.max_stride, context_length=config.model.context_length)
live = results.compact(results.from_life(life, config, unseen, rollout_seed=p.seed, **same))
controls = full[full["run"].isin(["source", "random"])]
plot.returns(pd.concat([live, controls]), recorded=full[full["run"] == "ad"], paper=["AD"], value="normalised",
             guess=my_guess, title="Frozen weights, unseen goals: the return climbs")
mean = results.normalised(live).groupby(live["episode"]).mean()
assert mean[41:].mean() > 0.7 > 0.4 > mean[:3].mean()

# %% [markdown]
# Faint: our recorded full run, and the paper's AD. We differ from the paper in the strides and in the loss on every position;
# it averages five splits, we show one. The source is a hundred streams that share what they find; AD is alone.
#
# ## When does a single life improve?
# In notebook 01 the picture of a hundred streams filled column by column. Here are 64 lives in one room; none knows of
# the others. What will their picture look like?

# %%
order = found.argsort(stable=True)
ax = plot.stream_returns(episode_return[order], title="Every life has its own moment, and mostly keeps its find",
                         note=f"one unseen goal, highest possible return {lives.max_return[0]}; sorted by the first reward")
ax.set(xlabel="episode of the life", ylabel="life", yticks=[1, 32, 64])
before = episode_return[torch.arange(50) < found[:, None]]
later = episode_return[torch.arange(50) > found[:, None] + 10].float() / lives.max_return[0]
assert before.max() == 0 and later.mean() > 0.7

# %% [markdown]
# White *after* colour is a life that lost its find: what it does not repeat leaves its context after four episodes.
#
# ## What changes in its head?
# Read the 64 lives once more, now asking for the probabilities. Align them at each life's first reward, average over all
# that stood in a cell, draw the mean move as an arrow. Guess how likely a *good* action (nearer to the goal, or staying on
# it) is in the episode after the first reward.

# %%
my_guess = None       # probability of a good action one episode after the first reward, 0 to 1

read, context = tokens_of(lives, world), model.begin(64)
steps = [model.observe(context, Tokens(*(field[:, t] for field in read))) for t in range(lives.cell.shape[-1])]
prefers = torch.stack(steps, dim=1).softmax(-1).unflatten(1, (-1, world.horizon))            # life episode step action
rules, cell = GridRules.of(world, [goal]), lives.cell[0].unflatten(1, (-1, world.horizon))

away = (torch.stack(torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij"), -1) - torch.tensor(goal)).abs().sum(-1)
away = away.flatten()                                                                         # of each cell, in steps
good = (away[rules.next_cell[0]] < away[:, None]) | ((away[:, None] == 0) & (away[rules.next_cell[0]] == 0))
p_good = (prefers * good[cell]).sum(-1).mean(-1)                                              # life episode

history = sample.load([goal])                                        # the source's own, for comparison: ten streams
did = good[history.cell[0].long(), history.action[0].long()].float()
did_good = did.unflatten(1, (-1, world.horizon)).mean(-1)                                     # stream episode
source_found = (history.reward[0].unflatten(1, (-1, world.horizon)).sum(-1).cumsum(1) == 0).sum(1)

def when(k, found):                                                  # each life's k-th episode after its first reward
    rows = ((found + k >= 0) & (found + k < 50) & (found < 50)).nonzero()[:, 0]
    return rows, found[rows] + k


# %%
figure, panels = plt.subplots(1, 4, figsize=(13.5, 3.7), width_ratios=(1, 1, 1, 1.1))
after = {-1: "before the first reward", 1: "1 episode after it", 10: "10 episodes after it"}
for ax, (k, name) in zip(panels, after.items(), strict=False):
    where, chances = cell[when(k, found)].flatten(), prefers[when(k, found)].flatten(0, 1)
    visits = torch.bincount(where, minlength=world.n_cells)
    total = torch.zeros(world.n_cells, world.n_actions).index_add(0, where, chances)
    plot.arrows(total / visits.clamp(min=1)[:, None], visits * (visits >= 4), title=name, goal=goal[0] * 9 + goal[1], ax=ax)
ks = range(-5, 16)
aligned = [float(p_good[when(k, found)].mean()) for k in ks]
source = [float(did_good[when(k, source_found)].mean()) for k in ks]
plot.trend(ks, {"AD": aligned, "source": source}, title="P(good action), mean", xlabel="episodes after the first reward",
           level=my_guess, ax=panels[3])
plot.claim(figure, "After the first reward every cell comes to point to it: step by step")
assert aligned[4] < 0.5 < aligned[6] < aligned[15] - 0.1 and sum(aligned[6:12]) > sum(source[6:12])

# %% [markdown]
# One reward would be enough: the goal is known. AD becomes sure over several more episodes. It is *faithful*: the source, too,
# moves its probabilities a little after each episode (grey: what ten streams did in this room). AD is faster, for its training
# windows skip episodes.
#
# ## How does it act so fast?
# By definition, every step reads the whole window again. The library keeps each token's keys and values (a *cache*) and
# reads only the new one. The same dice, both ways:

# %%
dice, room = torch.Generator().manual_seed(p.seed), GridWorld(world, [goal])
seen = [(int(room.reset()), world.n_actions, 0, world.n_cells, 1)]
actions = []
for _ in range(n_episodes * world.horizon):
    tokens = Tokens(*(torch.tensor([column]) for column in zip(*seen, strict=True)))         # all of them, every time
    logits = model.policy_head(model(tokens))[:, -1]
    noise = -torch.empty_like(logits).exponential_(generator=dice).log()
    actions.append(int((logits + noise).argmax()))                   # Gumbel's trick: a sample from softmax(logits)
    step = room.step(torch.tensor([[actions[-1]]]))
    seen.append((int(step.cell), actions[-1], int(step.reward), int(step.next_cell), int(step.done)))
assert actions == rollout(model, world, [goal], 1, n_episodes, seed=p.seed).action.flatten().tolist()

# %% [markdown]
# Once the window is full, the oldest keys are dropped and the others stay as they are: not quite a fresh window, but in
# returns we measured no difference.
#
# ## What if it always takes the best action?
# Sampling looks wasteful. *Greedy*: take the most likely action instead, same weights, same room. Guess how many different
# cells it sees in ten episodes, 200 steps.

# %%
my_guess = None       # different cells that greedy AD sees in 200 steps, 1 to 81

greedy = rollout(model, world, unseen, n_rollouts=1, n_episodes=10, seed=p.seed, greedy=True)
i = int(greedy.reward.sum((1, 2)).argmin())                          # a room where greed finds nothing
sampled = rollout(model, world, [unseen[i]], n_rollouts=16, n_episodes=10, seed=p.seed)
unlucky = int(sampled.reward[0].sum(-1).argmin())                    # and a life there that finds as little
figure, panels = plt.subplots(1, 2, figsize=(8.5, 4.3))
walks = {"greedy": greedy.next_cell[i, 0], "sampled": sampled.next_cell[0, unlucky]}
for ax, (name, cells) in zip(panels, walks.items(), strict=True):
    visits = torch.bincount(cells, minlength=world.n_cells)
    guessed = f" (your guess: {my_guess})" if my_guess and name == "greedy" else ""
    plot.grid_heatmap(visits / visits.sum(), ax, title=f"{name}: {int((visits > 0).sum())} cells{guessed}", start=40,
                      goal=unseen[i][0] * 9 + unseen[i][1], gamma=0.4, vmax=0.5)
plot.claim(figure, "Ten episodes without a find: greed repeats itself, dice explore")
assert len(walks["greedy"].unique()) < 0.6 * len(walks["sampled"].unique())

# %% [markdown]
# Colour is the share of its steps. Nothing found, nothing new in the context, so the same walk again. The exploration of AD
# *is* its dice.
#
# ## What else breaks it?
# The recorded runs. *Context 20*: it remembers the last 20 transitions instead of 80.
# *Consecutive*: trained on windows of stride 1. Right, live: shorter and shorter memories. Guess the context that halves
# the return.

# %%
my_guess = None       # the context, in transitions, at which the late return falls to half, e.g. 40

names = {"ad": "AD", "ad_context_20": "context 20", "ad_consecutive": "consecutive", "ad_greedy": "greedy"}
broken = full[full["run"].isin(names)]
summary = results.summary(broken, by=("run", "method", "planner")).set_index("run").loc[list(names)].reset_index()
lengths = (2, 5, 10, 20, 40, 80)
shorter = [rollout(model, world, unseen, 4, 50, seed=p.seed, context_length=n) for n in lengths]
late = [float((x.episode_return[..., 40:] / x.max_return[:, None, None]).mean()) for x in shorter]
figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 3.6), width_ratios=(1.15, 1))
plot.bars(summary, "all_episodes", labels=list(names.values()), title="recorded: all 50 episodes", ax=left)
plot.trend(lengths, {"AD": late}, title="live: episodes 41 to 50", xlabel="context, in transitions (an episode: 20)",
           ylabel="return (highest possible = 1)", guess=my_guess, ax=right)
figure.get_layout_engine().set(wspace=0.1)
plot.claim(figure, "Greed and flat windows break it; a memory of one episode nearly suffices")
value = summary[summary["metric"] == "all_episodes"].set_index("run")["value"]
assert value["ad_greedy"] < 0.6 * value["ad"] and value["ad_consecutive"] < 0.9 * value["ad"] and late[1] < 0.6 * late[-1]

# %% [markdown]
# A surprise (Laskin et al. needed two to four episodes): a memory of one episode nearly suffices in Darkroom, because every
# visit to the goal renews it. Half an episode does not: on the way the agent forgets where it was going.
#
# ## What is its limit?
# Look only at the search: by which episode has the goal been found *once*? Whom will AD resemble, the source, or somebody
# who throws dice?

# %%
search = full[full["run"].isin(["ad", "source", "random", "exact_belief"])]
plot.returns(search, value="solved_so_far", optimum=False, title="AD looks for the goal hardly better than chance")
by_five = search[search["episode"] == 5].groupby("run")["solved_so_far"].mean()
assert by_five["ad"] < by_five["random"] + 0.15 < by_five["source"] < 1


# %% [markdown]
# The source's streams are led to a goal that *others* have found. AD lives one life. What it can distil is how a stream behaves
# while nobody knows anything: at random. An imitator explores no better than its source.
#
# The *exact belief* ("not here, so elsewhere") needs a fraction of the time. That takes knowing what an action would lead
# to: a **world model**, and a plan.
#
# ## Exercises
# Ten minutes each. Replace the dots; the check says "not attempted", "close: ..." with a hint, or "correct".

# %% tags=["exercise"]
# 1. Who may look at whom: [n, n] of True and False, row i looks at column j.
def causal_mask(n): ...

exercises.check_causal_mask(causal_mask)


# %% jupyter={"source_hidden": true} tags=["solution"]
def causal_mask(n):
    return torch.arange(n)[None, :] <= torch.arange(n)[:, None]

exercises.check_causal_mask(causal_mask, strict=True)


# %% tags=["exercise"]
# 2. One action a row, drawn from softmax(logits) by the generator. logits: [batch, action]
def sample_action(logits, generator): ...

exercises.check_sample_action(sample_action)


# %% jupyter={"source_hidden": true} tags=["solution"]
def sample_action(logits, generator):
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]

exercises.check_sample_action(sample_action, strict=True)


# %% tags=["exercise"]
# 3. The steps of a window: episode `start` and then every `stride`-th, `n_episodes` in all, `horizon` steps each.
def stride_window(start, stride, n_episodes, horizon): ...           # -> [n_episodes * horizon]

exercises.check_stride_window(stride_window)


# %% jupyter={"source_hidden": true} tags=["solution"]
def stride_window(start, stride, n_episodes, horizon):
    episodes = start + stride * torch.arange(n_episodes)
    return (episodes[:, None] * horizon + torch.arange(horizon)).flatten()

exercises.check_stride_window(stride_window, strict=True)

# %% [markdown]
# ## What you have learned
# 1. AD is next-action prediction on learning histories, every position supervised; strides make the improvement in a window
#    steep enough to be learned.
# 2. With frozen weights it improves on unseen goals, since many tasks taught it the rule and not the goals; sampling is its
#    exploration.
# 3. It inherits the source's small steps, and it searches no better than a source that knows nothing yet.
#
# **Next question**: can the same Transformer also say what an action would *lead to*, and can you believe it where nobody
# has been? On to `03_world_model`.
