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
# - say what a task, a stream and a learning history are, and what methods take from one,
# - explain why the histories of PPO improve in small steps, and break that,
# - collect histories, store them, and go on where a killed process stopped.
#
# **You need** Python and the word "policy". **Time**: half an hour; the code runs in a minute on one CPU core.
# First, what you will soon draw.

# %% tags=["parameters"]
env = "darkroom"      # the world: darkroom | darkroom_permuted | dark_key_to_door
method = "ad"         # who learns from the histories, in the last section: ad | dpt | idt
split = 0             # which tasks are held out: 0 to 4, the paper's five splits
seed = 0              # of the agents' first weights and of their dice

# %%
from dicp import parameters
from dicp.config import ENVS, IMITATORS, EnvConfig, ModelConfig, SourceConfig

p = parameters.check(globals(), env=ENVS, method=IMITATORS, split=range(5), seed=range(100))

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from dicp import exercises, history, plot
from dicp.envs import GridRules, GridWorld, all_tasks, cell_to_xy, split_tasks
from dicp.envs.gym import ACTIONS
from dicp.envs.tasks import PERMUTATIONS
from dicp.source import train_ppo
from dicp.windows import WindowSampler

plot.style()


# %%
def away(a, b=(4, 4)):                                       # steps from cell to cell, or from the centre
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


world, n = EnvConfig.preset(p.env), EnvConfig.preset(p.env).horizon
source = replace(SourceConfig.preset(p.env), keep_streams=100)
train_tasks, held_out = split_tasks(p.env, p.split)
if p.env == "darkroom":
    tasks = {f"goal {d} step{'s' * (d > 1)} away": next(t for t in train_tasks if away(t) == d) for d in (1, 3, 5, 8)}
elif p.env == "darkroom_permuted":
    tasks = {f"permutation {t}": t for t in train_tasks[:4]}
else:                                                        # key 4 steps away, then on to the door, or back past the start
    doors = {"1 step on": (1, 5), "3 steps on": (3, 7), "6 steps back": (6, 2), "9 steps back": (9, 5)}
    tasks = {f"door {name}": next(t for t in train_tasks if (away(t[0]), away(*t), away(t[1])) == (4, *steps))
             for name, steps in doors.items()}
names, tasks = list(tasks), list(tasks.values())
log = train_ppo(world, tasks, source, seed=p.seed)           # four agents learn, one for each task: 10 to 30 s

episode_return = log.episode_returns                         # task stream episode
learning_curves = episode_return.float().mean(1)             # task episode
n_episodes, rules = episode_return.shape[-1], GridRules.of(world, tasks)

# %%
best = int(learning_curves[:, -5:].mean(1).argmax())
shown = {"darkroom": 2, "dark_key_to_door": 1}.get(p.env, best)            # the task to look at
curve, (*key, goal) = learning_curves[shown], [c for c in rules.goals[shown].tolist() if c >= 0]
marks, n_paying = {"goal": goal, "key": key[0] if key else None, "start": rules.start}, n if rules.pays_forever else 2
middle = 1 + int((curve > curve[-5:].mean() / 2).float().argmax())         # first episode half as good as the last

steps_of = (log.observation, log.action, log.reward)
cell, action, reward = (part.long().unflatten(-1, (-1, n)) for part in steps_of)         # task stream episode step
searching = reward.cumsum(-1) - reward < n_paying            # until nothing pays any more
end, bright = {"darkroom": ("a straight walk", 0.7), "darkroom_permuted": ("a way to the corner", 0.7),
               "dark_key_to_door": ("a way to key and door", 0.35)}[p.env]
figure, panels = plt.subplots(1, 3, figsize=(10, 4.3))
for ax, at in zip(panels, (2, middle, n_episodes - 1), strict=True):
    visited = cell[shown, :, at - 2 : at + 1][searching[shown, :, at - 2 : at + 1]]
    share = torch.bincount(visited, minlength=81) / len(visited)
    plot.grid_heatmap(share, ax, title=f"episodes {at - 1} to {at + 1}", gamma=0.4, vmax=bright, **marks)
plot.claim(figure, f"The same agent, early and late: wandering becomes {end}",
           note=f"one training task ({names[shown]}); 100 streams, one seed")

# %% [markdown]
# Where one hundred copies of an agent were, in the dark: colour is the share of their steps in each cell, square the
# start, star the goal (or door; diamond: its key). Nobody told them where.
#
# ## Which worlds, and what is hidden?
# Three rooms of 9 x 9 cells. You *observe* your cell $(x, y)$ and reward; five actions: right, left, up, down, stay.
#
# | world | hidden | pays |
# |---|---|---|
# | Darkroom | the goal | 1 at every step on it |
# | Darkroom-Permuted | what each action does | 1 at every step in the far corner |
# | Dark Key-to-Door | a key and a door | 1 for each, once, key first |

# %%
rooms = {
    "Darkroom": (gymnasium.make("dicp/Darkroom-v0", goal=(8, 3), render_mode="rgb_array"), 4),
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

blind = np.random.default_rng(p.seed).integers(5, size=n)    # the same actions in four tasks of one world
four = GridWorld(world, tasks)
cells = torch.cat([four.step(torch.full((4, 1), int(a))).next_observation for a in blind], 1)   # task step
assert bool((cells == cells[0]).all()) == (p.env != "darkroom_permuted")

# %% [markdown]
# The last lines walk blindly through four tasks of your world. If a place is hidden, only a reward tells them apart; if
# the actions are, where each one led. Either helps only who *remembers* it. That is why the agent of this course needs a
# memory.
#
# ## What is a task, and which ones are held out?
# A **task** is what is hidden: one of 81 goals, of 120 permutations, of 6,561 pairs of key and door. Most
# are for training; the rest is never touched before the exam. Which would you keep for the exam?

# %%
my_guess = None       # a task that you think is held out, e.g. (2, 6) | 37 | ((2, 6), (7, 7))

known, highest = all_tasks(p.env), GridRules.of(world, all_tasks(p.env)).max_return(n)
shape, xlabel, ylabel = {"darkroom": ((9, 9), "x", "y"), "darkroom_permuted": ((12, 10), "permutation, by its number", ""),
                         "dark_key_to_door": ((81, 81), "cell of the key", "cell of the door")}[p.env]
numbers = torch.arange(120) if p.env == "darkroom_permuted" else highest
place = {task: divmod(i, shape[1]) for i, task in enumerate(known)}                      # on the map of all tasks
ax = plot.task_split(
    numbers.view(shape), [place[task] for task in held_out], shown=[place[task] for task in tasks],
    title=f"{len(held_out)} of {len(known):,} tasks are held out", xlabel=xlabel, ylabel=ylabel,
    note=("number: highest possible return; " if p.env == "darkroom" else "") +
         "dark: held out;\nframed: the four tasks of this notebook",
)
if my_guess is not None:
    ax.plot(*place[my_guess], "o", color="#222222", ms=22, mfc="none", mew=2)

assert len(held_out) == round(len(known) * (0.05 if p.env == "dark_key_to_door" else 0.1))
assert not set(train_tasks) & set(held_out) and set(tasks) <= set(train_tasks) and highest.max() <= n

# %% [markdown]
# A seeded shuffle drew the dark ones; there is no rule. In Darkroom each goal has its own highest return, the number in
# its cell, and returns are comparable only against it.
#
# ## What is a learning history?
# The transitions of one **stream**, in order, *across* episodes, while the policy changes:
#
# $$h = (o_0, a_0, r_0, o_1, a_1, r_1, \ldots)$$
#
# Below, around the end of a first episode, `next_obs` is where the agent really arrived; only *then* is it put back to the
# start. Many loggers, the authors' too, keep the observation *after* that reset. It looks harmless. In how many episodes
# of one stream is a transition false?

# %%
my_guess = None       # episodes of one stream with a false transition, e.g. 10

true, steps = log.next_observation[shown, 0], torch.arange(n - 4, n + 4)
obs, next_obs = (list(map(tuple, cell_to_xy(x[steps].int()).tolist())) for x in (log.observation[shown, 0], true))
verbs = [f"action {a}" for a in range(5)] if p.env == "darkroom_permuted" else ACTIONS
display(pd.DataFrame({
    "episode": steps // n + 1, "step": steps % n + 1, "obs": obs, "action": [verbs[a] for a in log.action[shown, 0, steps]],
    "reward": log.reward[shown, 0, steps].tolist(), "next_obs": next_obs,
}))
careless = torch.cat((log.observation[shown, 0, 1:], torch.tensor([rules.start])))     # the observation after the reset
false = int((careless != true).sum())
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.6))
guessed = "" if my_guess is None else f" (your guess: {my_guess})"
plot.transitions(log.observation[shown, 0], careless, title=f"careless: {false} jumps{guessed}", ax=left)
plot.transitions(log.observation[shown, 0], true, title="true: steps to neighbours", ax=right)
plot.claim(figure, "The observation after a reset is not where the action led",
           note=f"red: transitions that never happened; one stream of one task, {n_episodes} episodes")

distance = (cell_to_xy(log.observation[shown, 0].int()) - cell_to_xy(true.int())).abs().sum(-1)
assert distance.max() == 1 and 0 < false <= n_episodes

# %% [markdown]
# Red lines are the careless logger's inventions: almost every episode seems to end with a leap to the start, mostly from
# where the agent had walked to on purpose. We therefore store the true terminal cell.
#
# ## Who are the hundred streams?
# One hundred agents walk side by side in the same room, all with the *same* policy and with different dice. After every
# episode PPO learns from all their steps at once. So: do the streams discover what pays each in its own time, or
# together? Guess the episode in which half of them first earn something.

# %%
my_guess = None       # episode in which half of the streams earn a reward, e.g. 15

plot.stream_returns(
    episode_return[shown], guess=my_guess, title="One hundred streams share one policy: they improve together",
    note=f"one task ({names[shown]}), one run of PPO",
)
earning = (episode_return[shown] > 0).float().mean(0)                     # share of streams that earn, by episode
assert earning[0] < 0.5 and earning[-5:].mean() > 0.9

# %% [markdown]
# The picture fills column by column, not row by row: a history is *not* the diary of an agent that learns alone, it is
# one of a hundred views of a single learner.
#
# ## How does PPO improve?
# PPO acts for an episode in every stream, asks whether each action turned out better than expected (its *advantage*
# $A$), and makes the better ones more likely: after every episode, 100,000 environment steps a task, as in the paper.
#
# Do all four agents get there, the far goals later? Guess when the slowest first earns half of what is possible.

# %%
my_guess = None       # episode in which the slowest first earns half of the highest return, e.g. 15

max_return = rules.max_return(n)
title = {"darkroom": "PPO climbs, update by update, towards the best",
         "darkroom_permuted": "PPO climbs, once it has stumbled upon the corner",
         "dark_key_to_door": "PPO finds a door farther on, never one back past the start"}[p.env]
ax = plot.lines(
    dict(zip(names, learning_curves, strict=True)), title=title, guess=my_guess, ylabel="return per episode",
    xlabel=f"episode ({n} environment steps, then one update)",
    note="4 training tasks, one agent each, mean over 100 streams; dashed: highest possible",
)
ax.hlines(max_return, 1, n_episodes, colors="#222222", linestyles="dashed", lw=0.8, zorder=0)
ax.set_ylim(0, 1.05 * max_return.max())

share = learning_curves[:, -n_episodes // 5 :].mean(1) / max_return
assert (learning_curves[:, 0] < 0.3 * max_return).all() and share.max() > 0.9
assert p.env != "darkroom" or share.median() > 0.9
assert p.env != "dark_key_to_door" or (share[:2].min() > 0.9 and share[2:].max() < 0.6)

# %% [markdown]
# Once something that pays has been stumbled upon, curves take several updates to climb, near or far. Some agents never
# do (one in five in Permuted); such histories are data, too. In Key-to-Door PPO often stays *stuck at the
# key*: it sees its cell alone, not that it has the key, and cannot go there and *later* back over the same cells. An agent
# with a memory can.
#
# ## How does behaviour change?
# Follow eight streams through three episodes, to the goal of the first figure. Which comes first, the *right direction*
# or *staying* there (in Key-to-Door: key or door)?

# %%
my_guess = None       # what comes first: "direction" or "staying" ("key" or "door")

figure, panels = plt.subplots(1, 3, figsize=(10, 4.3))
outcome = torch.where(searching, log.next_observation.long().view_as(cell), goal)      # until nothing pays any more
for ax, episode in zip(panels, (1, middle, n_episodes), strict=True):
    ways = torch.cat((cell[shown, :8, episode - 1, :1], outcome[shown, :8, episode - 1]), -1)      # stream step
    plot.paths(ways, title=f"episode {episode}", ax=ax, **marks)
guessed = "" if my_guess is None else f"; your guess: first {my_guess}"
plot.claim(figure, "Eight streams of one policy: scattered, then drawn to what pays, then alike",
           note=f"{names[shown]}, 8 of 100 streams, one seed{guessed}")

# %% [markdown]
# First everywhere, then roughly the right way, in the end a walk that ends where it pays.
#
# ## Why in small steps?
# An update knows the old policy $\pi$ from data. A new $\pi'$ gains the old advantages, averaged over the states that *it*
# visits (Kakade & Langford 2002):
#
# $$J(\pi') - J(\pi) = \mathbb{E}_{\pi'}\Big[\sum_t \gamma^t A^{\pi}(s_t, a_t)\Big]$$
#
# Nobody has been there. Averaged over the *old* states, with the ratio $\rho = \pi'(a|s) / \pi(a|s)$, it is only a
# **surrogate**,
#
# $$L_\pi(\pi') = J(\pi) + \mathbb{E}_{\pi}\Big[\sum_t \gamma^t \rho_t A^{\pi}(s_t, a_t)\Big]$$
#
# and **TRPO** (Schulman et al. 2015) proves how honest, with $\bar A = \max |A^\pi|$:
#
# $$J(\pi') \;\ge\; L_\pi(\pi') - \frac{4 \gamma \bar A}{(1-\gamma)^2} \max_s \mathrm{KL}\big(\pi(\cdot|s) \,\|\,
# \pi'(\cdot|s)\big)$$
#
# It climbs inside a **trust region** of small KL. **PPO** (Schulman et al. 2017) takes away the reward for leaving:
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
# The same four tasks, the same seed, all else equal; the clip is gone. Predict the mean return at the end.

# %%
my_guess = None       # mean return of the last episodes without the clip, e.g. half of PPO's: 8

unclipped = train_ppo(world, tasks, replace(source, clip_range=1e9, env_steps=400), seed=p.seed)     # about 10 s
without = unclipped.episode_returns.float().mean((0, 1))
curves = {"PPO": learning_curves.mean(0)[: len(without)], "no clip": without}
first = "leaps ahead, then" if p.env == "darkroom" else "soon"
plot.lines(
    curves, colours=[plot.COLOURS["source"], plot.PLUM], level=my_guess,
    title=f"Without the clip, PPO {first} loses what it found",
    xlabel=f"episode ({n} environment steps, then one update)", ylabel="return per episode",
    note="mean over 4 training tasks and 100 streams, one seed",
)
gain = curves["no clip"] - curves["PPO"]
assert p.env != "darkroom" or gain[:8].max() > 0
assert without[-n_episodes // 10 :].mean() < 0.8 * curves["PPO"][-n_episodes // 10 :].mean()

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
    choice = (log.observation.long() * 5 + log.action).unflatten(-1, (-1, world.horizon)).transpose(1, 2).flatten(2)
    counts = torch.zeros(*choice.shape[:2], 81 * 5).scatter_add_(2, choice, torch.ones(choice.shape))
    counts = counts.unflatten(-1, (81, 5))                                # task episode cell action
    n = counts.sum(-1, keepdim=True)
    share = counts / n.clamp(min=1)
    chance = share * (1 - share) / (n - 1).clamp(min=1)
    square = (share[:, 1:] - share[:, :-1]) ** 2 - chance[:, 1:] - chance[:, :-1]
    visits = torch.minimum(n[:, 1:], n[:, :-1])
    visits = visits * (visits > 1)
    return ((visits * square).sum((0, 2, 3)) / (5 * visits.sum((0, 2, 3)))).clamp(min=0).sqrt()


change = {"no clip": policy_change(unclipped)}
change = {"PPO": policy_change(log)[: len(change["no clip"])]} | change
plot.lines(
    change | {"bound ε": torch.full_like(change["PPO"], epsilon)}, thin=["bound ε"], level=my_guess,
    colours=[plot.COLOURS["source"], plot.PLUM, "#222222"], xlabel="update", ylabel="change of probability",
    title="The clip keeps every update small", note="root mean square over actions and cells of 4 tasks, less chance",
)
assert change["PPO"].max() < epsilon < change["no clip"][:10].max()

# %% [markdown]
# With the clip, every update stays far below the bound. Without it, hundreds of gradient steps on a few thousand
# transitions push probabilities to 0 and 1. Such a policy hardly explores any more; where it misses what pays, data
# seldom bring it back.
#
# So the histories improve gradually *by construction*: many small changes, each built on the data of the last. Keep
# this picture, it is what another network will imitate.
#
# ## How do you keep histories?
# `collect` runs the source and writes task by task, the `done` flag last. Four tasks, a few episodes:

# %%
folder = tempfile.TemporaryDirectory()
n_first = {"darkroom": 5, "darkroom_permuted": 6, "dark_key_to_door": 8}[p.env]    # episodes
path, short = Path(folder.name) / "histories.zarr", replace(source, env_steps=n_first * n, keep_streams=source.n_streams)
histories = history.collect(path, world, short, tasks, seed=p.seed, n_jobs=1, progress=False)        # about 4 s
stored = histories.load()

histories.discard(tasks[3:])                                 # as if the process had been killed before the last
assert histories.done.tolist() == [True, True, True, False]
histories = history.collect(path, world, short, tasks, seed=p.seed, n_jobs=1, progress=False)        # goes on there
assert histories.done.all()
assert all(torch.equal(values, getattr(stored, name)) for name, values in histories.load().items())
histories.dataset

# %% [markdown]
# One array each for cells, actions and rewards, with named axes and one compressed chunk a task; nothing is read before
# you use it. A second call makes only what is missing, and the same bytes as before.
#
# ## Who can know what is hidden before the first update?
# In episode 1 no reward has taught anybody anything. If so, agents throw fair five-sided dice *whatever the task*, and
# come nearer to what pays (first) as often as such dice do: $z$, the difference in standard deviations, is near 0. When
# not?

# %%
my_guess = None       # first episode in which steps towards the goal prevail, e.g. 4

was, did, got = (getattr(stored, name).long().unflatten(-1, (-1, n)) for name in ("observation", "action", "reward"))
counts = torch.nn.functional.one_hot(did, 5).sum((1, 3))                                 # task episode action
variant = (torch.arange(4) % len(rules.next_cell)).view(4, 1, 1, 1)
leads_to, first_goal = rules.next_cell[variant, was], rules.goals[:, 0].view(4, 1, 1, 1, 1)
nearer = -(cell_to_xy(leads_to) - cell_to_xy(first_goal)).abs().sum(-1).float()          # what each action would bring
nearer *= ((got.cumsum(-1) - got == 0) | rules.pays_forever)[..., None]                  # a key is found once
lean = nearer.gather(-1, did[..., None])[..., 0] - nearer.mean(-1)                       # against a fair die
z = lean.sum((1, 3)) / nearer.var(-1, unbiased=False).sum((1, 3)).sqrt()                 # task episode

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6))
for i, shade in enumerate(shades := ["#222222", "#555555", "#8c8c8c", "#b5b5b5"]):
    left.bar(np.arange(5) + 0.2 * i - 0.3, counts[i, 0] / (100 * n), width=0.18, color=shade)
left.axhline(0.2, color="#222222", ls=(0, (4, 3)), lw=1.2)
left.set_title("episode 1: fair dice, whatever the task")
left.set(xticks=range(5), xticklabels=[verb.removeprefix("action ") for verb in verbs], ylabel="share of the actions")
plot.lines(dict(zip(names, z, strict=True)), guess=my_guess, ax=right, colours=shades,
           title="later: who is paid turns to it", xlabel="episode", ylabel="steps towards minus away (z)")
right.axhspan(-3.3, 3.3, color="#00000018", lw=0)
plot.claim(figure, "Before the first update nobody knows what is hidden; soon after, actions give it away",
           note="4 training tasks, 100 streams each; grey band: 99.9% of fair dice")
chi2 = ((counts[:, 0] - 20 * n) ** 2 / (20 * n)).sum(-1)     # Pearson's statistic, four degrees of freedom
paid = got[:, :, :-1].sum((1, 2, 3)) > 200                   # rewards in the episodes before the last
assert chi2.max() < 25 and z[:, 0].abs().max() < 4 and paid.any() and (z[paid, -1] > 3.3).all()

# %% [markdown]
# In episode 1 all tasks lie in the grey band: the actions carry *no information about what is hidden*, and where such an
# agent meets a reward is pure chance. A few updates later they are evidence of it. In notebook 03 this decides whether a
# world model can be trusted. (Change alone is not knowledge: who has earned nothing learns from the errors of its value
# network and drifts.)
#
# ## What must a network know to predict the next action?
# Count actions in half of the streams. How surprising is the other half without the task, or without progress?

# %%
my_guess = None       # episode from which on the task is worth more than the progress, e.g. 15

def surprise(situation):
    """Mean -log p(action | situation) by episode: counted in the even streams, measured in the odd ones."""
    index = situation * 5 + action                                        # task stream episode step
    counts = torch.bincount(index[:, ::2].flatten(), minlength=5 * (int(situation.max()) + 1)).view(-1, 5) + 2
    logp = (counts / counts.sum(-1, keepdim=True)).log().flatten()
    return -logp[index[:, 1::2]].mean((0, 1, 3))


hidden = {"darkroom": "goal", "darkroom_permuted": "permutation", "dark_key_to_door": "key and door"}[p.env]
task, progress = torch.arange(4).view(4, 1, 1, 1), torch.arange(n_episodes).view(1, 1, -1, 1) * n // 60
everything = surprise(cell + 81 * (task + 4 * progress))
missing = {"without both": cell, f"without {hidden}": cell + 81 * progress, "without progress": cell + 81 * task}
costs = {name: surprise(situation) - everything for name, situation in missing.items()}
plot.lines(
    costs, title=f"The progress is missed early, then the {hidden}", guess=my_guess, xlabel="episode",
    ylabel="extra surprise (nats)", colours=["#222222", "#009E73", "#CC79A7"],
    note=f"per action, beyond knowing cell, {hidden} and progress; 4 tasks, 50 test streams",
)
both, no_task, no_progress = costs.values()
early, later = slice(n_episodes // 10), slice(n_episodes // 4, 6 * n_episodes // 10)
assert both.mean() > max(no_task.mean(), no_progress.mean())
assert no_progress[early].mean() > no_task[early].mean() and no_task[later].mean() > no_progress[later].mean()

# %% [markdown]
# Nobody tells a network the task or the episode. The history does: where rewards came, how good the actions are by now.
# A sequence model trained on
#
# $$\max_\theta \; \mathbb{E}\Big[\sum_t \log p_\theta(a_t \mid h_{t-1}, o_t)\Big]$$
#
# has to infer them, and so to learn the improvement itself: **Algorithm Distillation** (AD; Laskin et al. 2022, arXiv
# 2210.14215).
#
# ## What does each method take from a history?
# **DPT** (Lee et al. 2023, arXiv 2306.14892) learns the *optimal* action in the same situations, **IDT** (Huang et al.
# 2024, arXiv 2405.20692) the actions in chunks of ten, and the return to ask for: the stream's best.

# %%
my_guess = None       # share of the first episode's actions that are as good as the best, e.g. 0.5

permuted = p.env == "darkroom_permuted"
one = log.map(lambda part: part[shown : shown + 1, :1])                   # one stream of one task; 64 windows, 2 episodes each
copied, corrected = (
    WindowSampler(world, one, optimal_of=of, push_walls=permuted)
    .history(64, 2, n_episodes, torch.Generator().manual_seed(p.seed))
    for of in (None, tasks[shown : shown + 1]))
returns = copied.reward.unflatten(1, (2, n)).sum(-1)         # window episode
w = int((returns[:, 1] - returns[:, 0]).argmax())            # the window that improves most
cells, actions, rewards = (x[w].tolist() for x in (copied.tokens.observation, copied.action, copied.reward))
leads_to = rules.next_cell[shown % len(rules.next_cell)].tolist()                        # cell action
moves = PERMUTATIONS[tasks[shown]] if permuted else range(5)                             # what each action does
pays = [goal] * (n + 1) if rules.pays_forever else [marks["key"], goal]                  # what pays next, after each reward


# %%
def nearest(cell, found):
    """The action that ends nearest to what pays next (else: here), along the longer leg first.

    It bumps into no wall, except in Permuted: there it pushes against one on the goal, because
    nobody knows which action stays.
    """
    here, there = divmod(cell, 9), divmod(pays[found] if found < len(pays) else cell, 9)
    y_first = abs(here[1] - there[1]) > abs(here[0] - there[0])

    def preference(action):
        end, move = leads_to[cell][action], moves[action]
        idle = move == 4 if permuted else end == cell and move != 4
        return away(divmod(end, 9), there), idle, (move > 1) != y_first

    return min(range(5), key=preference)


found = [sum(rewards[t - t % n : t]) for t in range(2 * n)]  # rewards so far in the episode
label = [nearest(*known) for known in zip(cells, found, strict=True)] if p.method == "dpt" else actions
asked = [int(episode_return[shown, 0].max()) - so_far for so_far in found]               # the stream's best, or what is left
window = corrected if p.method == "dpt" else copied
assert label == window.label[w].tolist() and asked == window.desired_return[w].tolist()


# %%
def lost(t, action):
    """How many steps farther from what pays next the action ends than the best one (0 if nothing pays any more)."""
    if found[t] >= len(pays):
        return 0
    ends = [away(divmod(end, 9), divmod(pays[found[t]], 9)) for end in leads_to[cells[t]]]
    return ends[action] - min(ends)


best, good = corrected.label[w].tolist(), [lost(t, a) == 0 for t, a in enumerate(actions)]
plot.lessons(
    actions, best, good, rewards, asked, method=p.method, horizon=n, chunk=ModelConfig().chunk, guess=my_guess,
    glyphs=["→←↑↓•"[move] for move in moves],
    title="AD learns what was done, DPT what was best, IDT what was done when so much was asked",
    note=f"two episodes of one stream ({names[shown]}), the pair of 64 that improves most; "
         "arrows: what an action does; filled: as good as the best",
)
assert all(lost(t, a) == 0 for t, a in enumerate(best)) and sum(good[:n]) < sum(good[n:])


# %% [markdown]
# The rewards tell AD nothing of which actions were good; improvement from episode to episode has to. DPT needs somebody
# who knows what is hidden, and of several shortest ways its label names one. IDT asks for the stream's best return from
# the start, and later for what is left of it.
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
#    improves; tasks differ in what is hidden.
# 2. PPO improves in small steps because its clip stands in for a trust region; without it the policy breaks.
# 3. Before the first update actions know nothing of what is hidden, later they tell. AD copies them, DPT corrects them, IDT
#    asks for a return.
#
# **Next question**: can a network that reads only such histories learn to *improve*, on unseen tasks, without changing
# a weight? On to `02_algorithm_distillation`.
