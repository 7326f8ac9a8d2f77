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
# # What does an agent leave behind while it learns?
#
# Its *learning history*: everything it saw and did, and the only training data of this course. You will be able to
#
# - say what a task, a stream and a learning history are, and look inside one,
# - explain why the histories of PPO improve in small steps, and break that,
# - collect histories, store them, and go on where a killed process stopped.
#
# **You need** Python and the word "policy". **Time**: half an hour; the code runs in half a minute on one CPU core.
# First, what you will soon draw.

# %% tags=["parameters"]
env = "darkroom"      # the world of this course
split = 0             # which tasks are held out: 0 to 4, the paper's five splits
seed = 0              # of the agents' first weights and of their dice

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from dicp import exercises, history, parameters, plot
from dicp.config import EnvConfig, SourceConfig
from dicp.envs import GridRules, all_tasks, cell_to_xy, split_tasks
from dicp.envs.grid import MOVES
from dicp.envs.gym import ACTIONS
from dicp.source import train_ppo

p = parameters.check(globals(), env=("darkroom",), split=range(5), seed=range(100))
plot.style()

# %%
world, source = EnvConfig(p.env), SourceConfig()
train_tasks, held_out = split_tasks(p.env, p.split)
distances = (1, 3, 5, 8)                                     # from the centre, where every episode starts
goals = [next((x, y) for x, y in train_tasks if abs(x - 4) + abs(y - 4) == d) for d in distances]
log = train_ppo(world, goals, source, seed=p.seed)           # four agents learn, each for one goal: about 10 s

cell, action = (part.long().unflatten(-1, (-1, world.horizon)) for part in (log.cell, log.action))
goal, phases = goals[2][0] * 9 + goals[2][1], ((1, 3), (7, 9), (48, 50))
figure, panels = plt.subplots(1, 3, figsize=(10, 4.3))
for ax, (first, last) in zip(panels, phases, strict=True):
    visits = torch.bincount(cell[2, :, first - 1 : last].flatten(), minlength=81)
    share = visits / visits.sum()
    plot.grid_heatmap(share, ax, title=f"episodes {first} to {last}", goal=goal, start=40, gamma=0.4, vmax=0.7)
plot.claim(figure, "The same agent, early and late: wandering becomes a straight walk",
           note=f"one training goal, {distances[2]} steps from the start; 100 streams, one seed")

# %% [markdown]
# Where one hundred copies of an agent were, in the dark: colour is the share of their steps in each cell, the square is
# the start, the star is the goal. Nobody told them where it is.
#
# ## Which worlds, and what is hidden?
# Three rooms of 9 x 9 cells. You *observe* your cell $(x, y)$ and your reward, no more; five actions: right, left, up,
# down, stay.
#
# | world | hidden | pays |
# |---|---|---|
# | Darkroom | the goal | 1 at every step on it |
# | Darkroom-Permuted | what each action does | the same |
# | Dark Key-to-Door | a key and a door | 1 for each, once, key first |

# %%
rooms = {
    "Darkroom": (gymnasium.make("dicp/Darkroom-v0", goal=goals[2], render_mode="rgb_array"), 4),
    "Darkroom-Permuted": (gymnasium.make("dicp/DarkroomPermuted-v0", permutation=37, render_mode="rgb_array"), 9),
    "Dark Key-to-Door": (gymnasium.make("dicp/DarkKeyToDoor-v0", key=(2, 6), door=(7, 7), render_mode="rgb_array"), 7),
}
figure, panels = plt.subplots(1, 3, figsize=(10, 4.2))
for ax, (name, (room, n_steps)) in zip(panels, rooms.items(), strict=True):
    room.reset(seed=p.seed)
    for _ in range(n_steps):
        room.step(room.unwrapped.optimal_action())           # somebody who knows what is hidden
    ax.imshow(room.render())
    ax.set_title(name)
    ax.axis("off")
plot.claim(figure, "The star, the key and the door are drawn for you, not for the agent")

# %%
other = gymnasium.make("dicp/Darkroom-v0", goal=goals[3])
room = rooms["Darkroom"][0]
start = np.array_equal(room.reset()[0], other.reset()[0])
steps = [(room.step(a), other.step(a)) for a in (0, 2, 1, 1, 3, 4)]       # the same actions in two rooms
assert start and all(np.array_equal(here[0], there[0]) for here, there in steps)      # show the same observations

# %% [markdown]
# The last cell steps through two rooms with different goals: no observation tells them apart. Only a reward does, and
# only to somebody who *remembers* it. That is why the agent of this course needs a memory.
#
# ## What is a task, and which ones are held out?
# A **task** is what is hidden: one of 81 goals, of 120 permutations, of 6,561 pairs of key and door. Nine tenths are
# for training; the rest is never touched before the exam. Which goals would you keep for the exam?

# %%
my_guess = None       # a goal that you think is held out, e.g. (2, 6)

highest = GridRules.of(world, all_tasks(p.env)).max_return(world.horizon).view(9, 9)      # of every goal: x y
ax = plot.task_split(
    highest, held_out, shown=goals, title="Eight of 81 goals are held out",
    note="number: highest possible return; dark: held out;\nframed: the four goals of this notebook",
)
if my_guess is not None:
    ax.plot(*my_guess, "o", color="#222222", ms=22, mfc="none", mew=2)

assert len(train_tasks) == 73 and len(held_out) == 8 and not set(train_tasks) & set(held_out)
assert set(goals) <= set(train_tasks) and highest[4, 5] == world.horizon


# %% [markdown]
# A seeded shuffle drew the dark cells; there is no rule. The number in a cell is the highest possible return if the goal
# is there: the farther the goal, the more of the 20 steps go into the walk. Returns are comparable only against it.
#
# ## What is a learning history?
# The transitions of one **stream**, in the order in which they happened, *across* episodes, while the policy changes:
#
# $$h = (o_0, a_0, r_0, o_1, a_1, r_1, \ldots)$$
#
# Here are a few steps around the end of a first episode. Where does the last action of it lead?

# %%
def look_inside(task, stream, steps):
    """The transitions of one stream as a table, a row a step."""
    after = history.next_cell(log)
    obs, next_obs = ([tuple(o) for o in cell_to_xy(x[task, stream, steps].int()).tolist()] for x in (log.cell, after))
    return pd.DataFrame({
        "episode": steps // world.horizon + 1, "step": steps % world.horizon + 1, "obs": obs,
        "action": [ACTIONS[a] for a in log.action[task, stream, steps].tolist()],
        "reward": log.reward[task, stream, steps].tolist(), "next_obs": next_obs,
    })


look_inside(task=2, stream=0, steps=torch.arange(16, 24))

# %% [markdown]
# `next_obs` of step 20 is where the agent really arrived; only *then* is it put back to the centre for the next episode.
# Many loggers, the authors' among them, keep the observation *after* that reset. It looks harmless, it is one step in twenty.
#
# What would a world model, trained on such data, believe? Predict: how many of these 50 episodes get a false
# transition?

# %%
my_guess = None       # false transitions among the 50 episodes of one stream, e.g. 10

true = history.next_cell(log)[2, 0]
careless = torch.cat((log.cell[2, 0, 1:], torch.tensor([40])))            # the observation after the reset
false = int((careless != true).sum())
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.6))
guessed = "" if my_guess is None else f" (your guess: {my_guess})"
plot.transitions(log.cell[2, 0], careless, title=f"careless: {false} jumps{guessed}", ax=left)
plot.transitions(log.cell[2, 0], true, title="true: steps to neighbours", ax=right)
plot.claim(figure, "The observation after a reset is not where the action led",
           note="red: transitions that never happened; one stream of one goal, 50 episodes")

distance = (cell_to_xy(log.cell[2, 0].int()) - cell_to_xy(true.int())).abs().sum(-1)
assert distance.max() == 1 and 0 < false <= 50

# %% [markdown]
# Red lines are the careless logger's inventions: almost every episode seems to end with a leap to the centre, most often
# from the goal itself. We therefore store the true terminal cell.
#
# ## Who are the hundred streams?
# One hundred agents walk side by side in the same room, all with the *same* policy and with different dice. After every
# episode PPO learns from all their steps at once. So: do the streams discover the goal each in its own time, or
# together? Guess the episode in which half of them first earn something.

# %%
my_guess = None       # episode in which half of the streams earn a reward, e.g. 20

episode_return = history.episode_returns(log)                             # task stream episode
plot.stream_returns(
    episode_return[2], guess=my_guess, title="One hundred streams share one policy: they improve together",
    note=f"one goal, {distances[2]} steps from the start, one run of PPO",
)
earning = (episode_return[2] > 0).float().mean(0)                         # share of streams that earn, by episode
assert earning[0] < 0.25 and earning[-10:].mean() > 0.9

# %% [markdown]
# The picture fills column by column, not row by row: a history is *not* the diary of an agent that learns alone, it is
# one of a hundred views of a single learner.
#
# ## How does PPO improve?
# PPO acts for an episode in every stream, asks whether each action turned out better than expected (its *advantage*
# $A$), and makes the better ones more likely: fifty times, 100,000 environment steps a goal, as in the paper.
#
# Does a far goal take more updates than a near one? Guess when the farthest first earns half of what is possible.

# %%
my_guess = None       # episode in which the farthest goal first earns half of the highest return, e.g. 25

max_return = GridRules.of(world, goals).max_return(world.horizon)
learning_curves = episode_return.float().mean(1)                          # task episode
ax = plot.lines(
    {f"goal {d} step{'s' * (d > 1)} away": curve for d, curve in zip(distances, learning_curves, strict=True)},
    title="PPO climbs, update by update, towards the best", guess=my_guess,
    xlabel="episode (20 environment steps, then one update)", ylabel="return per episode",
    note="4 training goals, one agent each, mean over 100 streams; dashed: highest possible",
)
ax.hlines(max_return, 1, 50, colors="#222222", linestyles="dashed", lw=0.8, zorder=0)
ax.set_ylim(0, 21)
best_share = (learning_curves[:, -10:].mean(1) / max_return)
assert learning_curves[:, 0].max() < 2 and best_share.median() > 0.9

# %% [markdown]
# Once a goal has been stumbled upon, distance hardly matters: all curves take several updates to climb. (With some
# seeds nobody stumbles upon the farthest goal and its curve stays flat. Such histories are data, too.)
#
# ## How does behaviour change?
# A return is one number. Follow eight streams through three episodes instead, towards the goal of the first figure.
# Before you look: which comes first, the *right direction* or *staying* at the goal?

# %%
my_guess = None       # what comes first: "direction" or "staying"

figure, panels = plt.subplots(1, 3, figsize=(10, 4.3))
arrived = history.next_cell(log).long().view_as(cell)
for ax, episode in zip(panels, (1, 8, 50), strict=True):
    ways = torch.cat((cell[2, :8, episode - 1, :1], arrived[2, :8, episode - 1]), -1)      # stream step
    plot.paths(ways, title=f"episode {episode}", goal=goal, ax=ax)
guessed = "" if my_guess is None else f"; your guess: first {my_guess}"
plot.claim(figure, "Eight streams of one policy: scattered, then drawn to the goal, then all alike",
           note=f"the goal {distances[2]} steps from the start, 8 of 100 streams, one seed{guessed}")

# %% [markdown]
# First everywhere, then roughly the right way with detours and overshooting, in the end a walk that ends in staying.
#
# ## Why in small steps?
# An update knows the old policy $\pi$ only from its data. The gain of a new $\pi'$ is an average of the old advantages,
# but over the states that the *new* policy visits (Kakade & Langford 2002):
#
# $$J(\pi') - J(\pi) = \mathbb{E}_{\pi'}\Big[\sum_t \gamma^t A^{\pi}(s_t, a_t)\Big]$$
#
# Nobody has been there yet. Averaging over the *old* states instead, with the ratio $\rho = \pi'(a|s) / \pi(a|s)$,
# gives the **surrogate**, honest only while $\pi'$ stays near $\pi$:
#
# $$L_\pi(\pi') = J(\pi) + \mathbb{E}_{\pi}\Big[\sum_t \gamma^t \rho_t A^{\pi}(s_t, a_t)\Big]$$

# %% [markdown]
# **TRPO** (Schulman et al. 2015) proves how honest, with $\bar A = \max |A^\pi|$,
#
# $$J(\pi') \;\ge\; L_\pi(\pi') - \frac{4 \gamma \bar A}{(1-\gamma)^2} \max_s \mathrm{KL}\big(\pi(\cdot|s) \,\|\,
# \pi'(\cdot|s)\big)$$
#
# and so climbs inside a **trust region**:
#
# $$\max_{\pi'} \; \mathbb{E}_{\pi}[\rho A] \quad \text{subject to} \quad \mathbb{E}_\pi[\mathrm{KL}(\pi\|\pi')] \le \delta$$
#
# **PPO** (Schulman et al. 2017) drops the constraint and takes away the reward for leaving:
#
# $$L^{\text{clip}} = \mathbb{E}_\pi\big[\min\big(\rho A,\; \mathrm{clip}(\rho, 1-\varepsilon, 1+\varepsilon)\, A\big)\big]$$
#
# Where is this flat? For $A > 0$ beyond $1+\varepsilon$. For $A < 0$: guess.

# %%
my_guess = None       # the ratio at which the line for A < 0 becomes flat, e.g. 1.2

epsilon = source.clip_range
ratio = torch.linspace(0, 2, 201)
figure, panels = plt.subplots(1, 2, figsize=(10, 4.2))
for ax, A, edge, guess in zip(panels, (1, -1), (1 + epsilon, 1 - epsilon), (None, my_guess), strict=True):
    ax.plot(ratio, ratio * A, color="#222222", ls=(0, (4, 3)), lw=1.4, label="surrogate")
    ax.plot(ratio, (ratio * A).clamp(max=A + epsilon * abs(A)), color=plot.COLOURS["ad"], lw=3, label="clipped")
    ax.axvspan(edge, ratio[-1 if A > 0 else 0], color="#00000012", lw=0)
    ax.plot(1, A, "o", color="#222222", ms=8)
    ax.set(title=f"A {'>' if A > 0 else '<'} 0: {'more' if A > 0 else 'less'} of this action", xlim=(0, 2))
    ax.set(xlabel="ratio of new to old probability", ylabel="objective of one sample" if A > 0 else None,
           xticks=[0, 0.5, 1, edge, 1.5, 2], yticks=[0, A, 2 * A])
    plot.mark_guess(ax, guess)
panels[0].legend(loc="upper left")
plot.claim(figure, "Clipping: nothing more to gain once the probability has moved by a factor 1 ± ε")

# %% [markdown]
# Grey is where the gradient is zero: the action has moved far enough the way it should, and the update leaves it alone.
# The dot is the start of the update. If every ratio stayed inside, no probability could move by more than
# $|\pi' - \pi| = \pi \, |\rho - 1| \le \varepsilon$.
#
# ## When it fails: no clip
# The same four goals, the same seed, all else equal; the clip is gone. Predict the mean return at the end.

# %%
my_guess = None       # mean return of the last episodes without the clip, e.g. 10

unclipped = train_ppo(world, goals, replace(source, clip_range=1e9), seed=p.seed)         # about 10 s
curves = {"PPO": learning_curves.mean(0), "no clip": history.episode_returns(unclipped).float().mean((0, 1))}
plot.lines(
    curves, colours=[plot.COLOURS["source"], plot.PLUM], level=my_guess,
    title="Without the clip, PPO leaps ahead and then loses goals for good",
    xlabel="episode (20 environment steps, then one update)", ylabel="return per episode",
    note="mean over 4 training goals and 100 streams, one seed",
)
assert (curves["no clip"] - curves["PPO"])[:8].max() > 0
assert curves["no clip"][-10:].mean() < 0.8 * curves["PPO"][-10:].mean()

# %% [markdown]
# Is that a matter of step size? The histories can tell. Count the actions taken in each cell before and after an update,
# compare their frequencies $\hat p$, and subtract what chance alone makes of so few counts, $\hat p (1-\hat p)/(n-1)$
# for each. What remains is how far an update moves the probability of an action.
#
# Guess, as a share: how far does PPO move it?

# %%
my_guess = None       # change of an action's probability in one update of PPO, e.g. 0.1

def policy_change(log):
    """How far each update moves the probability of an action: root mean square over visited cells and actions."""
    choice = (log.cell.long() * 5 + log.action).unflatten(-1, (-1, world.horizon)).transpose(1, 2).flatten(2)
    counts = torch.zeros(*choice.shape[:2], 81 * 5).scatter_add_(2, choice, torch.ones(choice.shape))
    counts = counts.unflatten(-1, (81, 5))                                # task episode cell action
    n = counts.sum(-1, keepdim=True)
    share = counts / n.clamp(min=1)
    chance = share * (1 - share) / (n - 1).clamp(min=1)
    square = (share[:, 1:] - share[:, :-1]) ** 2 - chance[:, 1:] - chance[:, :-1]
    visits = torch.minimum(n[:, 1:], n[:, :-1])
    visits = visits * (visits > 1)
    return ((visits * square).sum((0, 2, 3)) / (5 * visits.sum((0, 2, 3)))).clamp(min=0).sqrt()


change = {"PPO": policy_change(log), "no clip": policy_change(unclipped), "bound ε": torch.full((49,), epsilon)}
plot.lines(
    change, colours=[plot.COLOURS["source"], plot.PLUM, "#222222"], thin=["bound ε"], level=my_guess,
    title="The clip keeps every update small", xlabel="update", ylabel="change of probability",
    note="root mean square over actions and visited cells of 4 goals, corrected for chance",
)
assert change["PPO"].max() < epsilon < change["no clip"][:10].max()

# %% [markdown]
# With the clip, every update stays far below the bound. Without it, hundreds of gradient steps on a few thousand
# transitions push probabilities to 0 and 1. Such a policy explores no more; where it misses the goal, no data will ever
# bring it back.
#
# So the histories improve gradually *by construction*: fifty small changes, each built on the data of the last. Keep
# this picture, it is what another network will imitate.
#
# ## How do you keep histories?
# `collect` runs the source and writes task by task, the `done` flag last. Four goals, five episodes:

# %%
folder = tempfile.TemporaryDirectory()
path, short = Path(folder.name) / "histories.zarr", replace(source, env_steps=5 * world.horizon)
histories = history.collect(path, world, short, goals, seed=p.seed, n_jobs=1, progress=False)        # about 3 s
stored = histories.load()

histories.discard(goals[2:])                                 # as if the process had been killed half-way
assert histories.done.tolist() == [True, True, False, False]
histories = history.collect(path, world, short, goals, seed=p.seed, n_jobs=1, progress=False)        # goes on there
assert histories.done.all()
assert all(torch.equal(a, b) for a, b in zip(stored, histories.load(), strict=True))
histories.dataset

# %% [markdown]
# One array each for cells, actions and rewards, with named axes and one compressed chunk a task; nothing is read before
# you use it. A second call makes only what is missing, and the same bytes as before.
#
# ## Who can know the goal before the first update?
# In episode 1 no reward has taught anybody anything. If so, agents throw fair five-sided dice *whatever the goal*, and
# steps towards it and away from it cancel: $z$, the difference in standard deviations of fair dice, is near 0. When not?

# %%
my_guess = None       # first episode in which steps towards the goal prevail, e.g. 4

counts = torch.nn.functional.one_hot(stored.action.long(), 5).view(4, 100, 5, 20, 5).sum((1, 3))     # task episode action
wish = (torch.tensor(goals)[:, None, None] - cell_to_xy(stored.cell.int())).sign()      # which way the goal lies
lean = (MOVES[stored.action.long()] * wish).sum(-1)          # +1: a step towards the goal, -1: away from it
variance = wish.abs().sum(-1) * 2 / 5                        # of `lean`, if the die is fair; its mean is 0
z = lean.view(4, 100, 5, 20).sum((1, 3)) / variance.view(4, 100, 5, 20).sum((1, 3)).sqrt()           # task episode

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6))
for i, shade in enumerate(shades := ["#222222", "#555555", "#8c8c8c", "#b5b5b5"]):
    left.bar(np.arange(5) + 0.2 * i - 0.3, counts[i, 0] / 2000, width=0.18, color=shade)
left.axhline(0.2, color="#222222", ls=(0, (4, 3)), lw=1.2)
left.set_title("episode 1: fair dice, whatever the goal")
left.set(xticks=range(5), xticklabels=ACTIONS, ylabel="share of the actions")
plot.lines({f"goal {d} away": row for d, row in zip(distances, z, strict=True)}, guess=my_guess, ax=right,
           colours=shades, title="later: who is paid turns to it", xlabel="episode", ylabel="steps towards minus away (z)")
right.axhspan(-3.3, 3.3, color="#00000018", lw=0)
plot.claim(figure, "Before the first update nobody knows the goal; soon after, actions give it away",
           note="4 training goals, 100 streams each; grey band: 99.9% of fair dice")
chi2 = ((counts[:, 0] - 400) ** 2 / 400).sum(-1)             # Pearson's statistic, four degrees of freedom
paid = stored.reward[..., :80].sum((1, 2)) > 50              # rewards in the first four episodes
assert chi2.max() < 25 and z[:, 0].abs().max() < 4 and paid.any() and (z[paid, -1] > 3.3).all()

# %% [markdown]
# In episode 1 all goals lie in the grey band: the actions carry *no information about the goal*, and where such an agent
# meets a reward is pure chance. A few updates later they are evidence of where it is. In notebook 03 this decides
# whether a world model can be trusted. (Change alone is not knowledge: who has earned nothing learns from the errors of
# its value network and drifts.)
#
# ## What must a network know to predict the next action?
# Count actions in half of the streams. How surprising is the other half without goal, or without progress?

# %%
my_guess = None       # episode from which on the goal is worth more than the progress, e.g. 30

def surprise(situation):
    """Mean -log p(action | situation) by episode: counted in the even streams, measured in the odd ones."""
    index = situation * 5 + action                                        # task stream episode step
    counts = torch.bincount(index[:, ::2].flatten(), minlength=5 * (int(situation.max()) + 1)).view(-1, 5) + 2
    logp = (counts / counts.sum(-1, keepdim=True)).log().flatten()
    return -logp[index[:, 1::2]].mean((0, 1, 3))


task, progress = torch.arange(4).view(4, 1, 1, 1), torch.arange(50).view(1, 1, 50, 1) // 3
everything = surprise(cell + 81 * (task + 4 * progress))
missing = {"without both": cell, "without goal": cell + 81 * progress, "without progress": cell + 81 * task}
costs = {name: surprise(situation) - everything for name, situation in missing.items()}
plot.lines(
    costs, title="The progress is missed early, the goal later", guess=my_guess, xlabel="episode",
    ylabel="extra surprise (nats)", colours=["#222222", "#009E73", "#CC79A7"],
    note="per action, beyond knowing cell, goal and progress; 4 goals, 50 test streams",
)
both, no_goal, no_progress = costs.values()
assert both.mean() > max(no_goal.mean(), no_progress.mean())
assert no_progress[:5].mean() > no_goal[:5].mean() and no_goal[14:30].mean() > no_progress[14:30].mean()


# %% [markdown]
# Nobody tells a network the goal or the episode. Both are in the history: where rewards came, and how good the actions
# are by now. A sequence model that is trained on
#
# $$\max_\theta \; \mathbb{E}\Big[\sum_t \log p_\theta(a_t \mid h_{t-1}, o_t)\Big]$$
#
# across many tasks has to infer them, and with them how the actions *change*. In effect it must learn the improvement
# itself: this is **Algorithm Distillation** (Laskin et al. 2022, arXiv 2210.14215).
#
# ## Exercises
# Ten minutes each. Replace the dots; the check says "not attempted", "close: ..." with a hint, or "correct".

# %% tags=["exercise"]
# 1. The discounted return of the first step: r_0 + gamma r_1 + gamma^2 r_2 + ...
def discounted_return(rewards, gamma): ...                   # rewards: [step], a tensor

exercises.check_discounted_return(discounted_return)


# %% jupyter={"source_hidden": true} tags=["solution"]
def discounted_return(rewards, gamma):
    return (gamma ** torch.arange(len(rewards)) * rewards).sum()

exercises.check_discounted_return(discounted_return, strict=True)


# %% tags=["exercise"]
# 2. The clipped objective of each sample, as in the formula above (to be maximised).
def clip_objective(ratio, advantage, clip_range): ...        # ratio, advantage: [batch]

exercises.check_clip_objective(clip_objective)


# %% jupyter={"source_hidden": true} tags=["solution"]
def clip_objective(ratio, advantage, clip_range):
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return torch.minimum(ratio * advantage, clipped * advantage)

exercises.check_clip_objective(clip_objective, strict=True)


# %% tags=["exercise"]
# 3. Where each action led. cells: [step], before each action, episodes back to back; terminal_cells: [episode].
def next_cell(cells, terminal_cells, horizon): ...

exercises.check_next_cell(next_cell)


# %% jupyter={"source_hidden": true} tags=["solution"]
def next_cell(cells, terminal_cells, horizon):
    after = cells.roll(-1)
    after[horizon - 1 :: horizon] = terminal_cells
    return after

exercises.check_next_cell(next_cell, strict=True)

# %% [markdown]
# ## What you have learned
# 1. A learning history is one stream's transitions across episodes, with true terminal observations, while the policy
#    improves; the tasks differ in what is hidden.
# 2. PPO improves in small steps because its clip stands in for a trust region; without it the policy jumps and breaks.
# 3. Before the first update actions know nothing of the goal, afterwards they tell of it.
#
# **Next question**: can a network that reads only such histories learn to *improve*, on goals it has never seen and
# without changing a weight? On to `02_algorithm_distillation`.
