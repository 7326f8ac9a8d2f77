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
# # When does it help to think before you act?
#
# Notebook 03 gave you models that answer "what if?". Now plan: imagine many futures, do the first step of the best. You
# will be able to
#
# - write a beam search through imagined futures, and say what it loses,
# - show how a planner walks to a reward that its model made up,
# - explain why *expected* reward makes searching and exploiting one rule.
#
# **You need** notebooks 02 and 03. **Time**: an hour to read; the code runs in 40 seconds on one CPU core. First, the agent
# that you will soon understand.

# %% tags=["parameters"]
env = "darkroom"      # the world of this course
profile = "fast"      # fast: shipped weights, seconds | paper: the paper's training settings, hours on a GPU
seed = 0              # of the dice and of the weights (those of seed 0 are shipped, others are trained: minutes)
retrain = False       # True: train everything from nothing
planner = "bayes"     # of your own run: bayes | gated | paper | none
my_guess = None       # your guess: env steps until the Bayes planner reaches 0.9 of the highest return, e.g. 500

# %%
import time
from math import isclose

import matplotlib.pyplot as plt
import pandas as pd
import torch

from dicp import exercises, parameters, plot, results
from dicp import paper as published
from dicp.artifacts import load_or_train
from dicp.beliefs import believed_rewards, remember, tokens_of
from dicp.config import PLANNERS, Config, EnvConfig, PlanConfig
from dicp.envs import all_tasks, cell_to_xy, split_tasks
from dicp.oracles import Simulator
from dicp.planning import beam_search
from dicp.rollout import rollout
from dicp.windows import Tokens

p = parameters.check(globals(), env=("darkroom",), profile=("fast", "paper"), seed=range(100), retrain=bool,
                     planner=PLANNERS, my_guess=float | None)
plot.style()

# %%
world, (_, held_out) = EnvConfig(p.env), split_tasks(p.env, 0)
configs = {kind: Config.preset(p.env, p.profile, kind, p.seed) for kind in ("observational", "interventional")}
models = {kind: load_or_train(config, p.retrain).model.requires_grad_(False) for kind, config in configs.items()}
explorer, bayes, n_shown = models["interventional"], PlanConfig.preset("bayes"), 6
goals = torch.tensor([x * world.size + y for x, y in held_out])

dice = torch.Generator().manual_seed(p.seed)
life = rollout(explorer, world, held_out, 1, 20, bayes, p.seed)                       # one agent for each held-out goal
first = life.reward[:, 0].argmax(-1)                                                  # env step of its first reward
shown = int((first * (first < (n_shown - 2) * world.horizon)).argmax())               # a long search, but not too long
read = Tokens(*(field[shown, None, : n_shown * world.horizon + 1] for field in tokens_of(life, world)))

context, belief = explorer.begin(1), []                                               # what it believes at every step
for t in range(read.cell.shape[1]):
    explorer.observe(context, Tokens(*(field[:, t] for field in read)))
    belief.append(believed_rewards(explorer, context, world, read.cell[:, t])[0])
by_episode = (n_shown, world.horizon, -1)
plot.animate(life.next_cell[shown, 0].view(-1, world.horizon)[:n_shown], title="Sweep, find, go straight",
             goal=int(goals[shown]), beliefs=torch.stack(belief[1:]).view(by_episode))


# %% [markdown]
# Colour: how likely a reward is in each cell, in the agent's eyes. No weight changes, and nobody told it about the goal.
#
# ## How do you search imagined futures?
# Five actions, depth $d$: $5^d$ futures. The world model *imagines* reward and next cell; `advance` writes them behind
# the real context as if they had happened. Try everything, one future at a time:

# %%
def best_return(model, state, depth):                    # of all futures, one at a time
    if depth == 0:
        return 0
    imagined, best = model.imagine(state), 0
    for action in range(world.n_actions):
        reward, cell = imagined.reward[..., action].round().long(), imagined.next_cell[..., action]
        after = model.advance(state, torch.full_like(cell, action), reward, cell)
        best = max(best, int(reward) + best_return(model, after, depth - 1))
    return best

perfect, trained = Simulator(world, [(5, 5)]), models["observational"]     # one knows the goal, one has to read it
life_so_far = Tokens(*(field[:, :-world.horizon] for field in read))
roots = [(perfect, perfect.root(perfect.begin(1))), (trained, trained.root(remember(trained, life_so_far)))]
every_future = PlanConfig(depth=3, beam_width=5**3)
for model, root in roots:
    assert best_return(model, root, 3) == float(beam_search(model, root, every_future, world.horizon).score)


# %% [markdown]
# The library's `beam_search`, wide enough to keep everything, finds the same return, with a simulator and with a trained
# Transformer: it needs four functions (`propose`, `imagine`, `advance`, `fork`) and does not ask who answers.
#
# Eight steps are $5^8$ futures, too many. The paper keeps the $K = 10$ best after every step. "Best" is the sum of
# imagined rewards; *ties* go to the earlier parent, then to the action that the policy likes more. Plain:

# %%
def plain_beam(model, root, depth, beam_width, alike=id):     # `alike`: of futures with the same name keep the first
    futures = [(0, root, ())]                                 # rewards so far, state, imagined cells
    for _ in range(depth):
        grown = []
        for rewards, state, path in futures:
            imagined = model.imagine(state)
            for action in model.propose(state)[0, 0].argsort(descending=True, stable=True):
                reward, cell = imagined.reward[..., action].round().long(), imagined.next_cell[..., action]
                after = model.advance(state, action.view(1, 1), reward, cell)
                grown.append((rewards + int(reward), after, (*path, int(cell))))
        grown.sort(key=lambda future: -future[0])             # stable: ties stay in order
        names = {}
        for future in grown:
            names.setdefault(alike(future), future)
        futures = list(names.values())[:beam_width]
    return futures                                            # best first

paper = PlanConfig.preset("paper")
for model, root in roots:
    best, plan = plain_beam(model, root, paper.depth, paper.beam_width)[0], beam_search(model, root, paper, world.horizon)
    assert best[0] == plan.score and best[2] == tuple(plan.next_cell[0].tolist())


# %% [markdown]
# Sorting must be *stable*, or ties are no rule at all (`topk` makes no promise). The same best future, step by step.
#
# ## What does a narrow beam lose?
# Give it a **perfect** model and a policy without preferences. A goal four steps away: is it among the ten futures kept?

# %%
class Undecided(Simulator):                                   # knows rules and goal; likes the actions in a random order
    def propose(self, state):
        return torch.rand(*state.state.cell.shape, world.n_actions)

def kept(goal, beam_width, alike=id):
    torch.manual_seed(p.seed)
    model = Undecided(world, [goal])
    return plain_beam(model, model.root(model.begin(1)), 4, beam_width, alike)

four_away = [(x, y) for x, y in all_tasks(p.env) if abs(x - 4) + abs(y - 4) == 4]
lost = next(goal for goal in four_away if kept(goal, 10)[0][0] == 0)
trees = {"all 625 futures": kept(lost, 5**4), "a beam of 10": kept(lost, 10),
         "different ones only": kept(lost, 81, alike=lambda future: (future[0], future[2][-1]))}
figure, panels = plt.subplots(1, 3, figsize=(11, 4.5))
for ax, (name, futures) in zip(panels, trees.items(), strict=True):
    plot.futures([path for _, _, path in futures], title=name, goal=lost[0] * world.size + lost[1], ax=ax)
plot.claim(figure, "Nothing in sight, a beam of ten keeps ten versions of the same way",
           note="four imagined steps with a perfect model; filled: cells where a kept future ends")
assert trees["different ones only"][0][0] == 1 and len(trees["different ones only"]) <= 81

# %% [markdown]
# As long as all futures are worth nothing, ties decide, and the first two parents' children fill the beam. On the right,
# of all futures with the same cell and the same rewards so far only one is kept: there are at most 81 places to be.
#
# How often does it matter? Every goal, many random policies, depth 8. Set `my_share`.

# %%
my_share = None       # your guess: of the goals six steps away, the share that a beam of ten finds, 0 to 1
distance = (cell_to_xy(torch.arange(world.n_cells)) - world.size // 2).abs().sum(-1)
everywhere = Undecided(world, all_tasks(p.env) * 25)
root = everywhere.root(everywhere.begin(len(everywhere.tasks)))

def share_found(**changes):                                   # by steps to the goal, 1 to 8
    plan = beam_search(everywhere, root, PlanConfig.preset("paper", **changes), world.horizon)
    found = (plan.reward.sum(-1) > 0).float().view(25, -1).mean(0)
    return torch.stack([found[distance == d].mean() for d in range(1, 9)])

shares = {"K = 10": share_found(), "K = 81": share_found(beam_width=81),
          "K = 81, different": share_found(beam_width=81, deduplicate=True)}
plot.lines(shares, title="With a perfect model, a narrow beam still loses the goal", level=my_share,
           xlabel="steps from the start to the goal", ylabel="goals found (share)",
           colours=[plot.COLOURS[name] for name in ("paper", "gated", "bayes")], note="every goal, 25 random policies each")
assert shares["K = 10"][5] < 0.4 and shares["K = 81, different"].min() == 1

# %% [markdown]
# So width matters most where *different* futures fill it. But a search can only be as good as what it searches in.
#
# ## What happens when the model is deluded?
# You know from notebook 03 that the paper's kind of world model takes imagined actions for evidence. Let the paper's
# planner act with it, on held-out goals. Here is one that has found nothing in four episodes, when planning starts.

# %%
astray = rollout(trained, world, held_out, 4, 6, paper, p.seed)
row = int((astray.reward.sum(-1).flatten() == 0).nonzero()[0])            # an agent that never finds anything
seen, cells, actions = tokens_of(astray, world), astray.cell.flatten(0, 1)[row], astray.action.flatten(0, 1)[row]

def moment(step):                                                        # what it plans, and what it has done before
    context = remember(trained, Tokens(*(field[row, None, : step + 1] for field in seen)))
    plan = beam_search(trained, trained.root(context), paper, world.horizon - step % world.horizon)
    assert plan.action[0, 0] == actions[step]
    return {"plan": plan.next_cell[0], "claims": plan.next_cell[0][plan.reward[0] == 1].tolist(),
            "walked": cells[step - step % world.horizon : step + 1], "goal": int(goals[row // 4]),
            "visited": seen.arrived[row, 1 : step + 1].unique()}

start = paper.start_after                                                # the context is full, planning begins
now = moment(start)
arrives = start + 1 + now["plan"].tolist().index(now["claims"][0])
moments = {"episode 5 begins": now, "it arrives: nothing there": moment(arrives),
           "episode 6 begins": moment(start + world.horizon)}
plot.plans(moments, title="It plans its way to a reward that its model made up",
           note="dashes: the plan; hollow stars: imagined rewards; black star: the goal; dots: visited before")
assert now["goal"] not in now["claims"]


# %% [markdown]
# Reality never wins: each disappointment is followed by the next imagined walk. What was right about planning (it knows
# how to get there) serves what is wrong in the model.
#
# ## Two ways out
# **Gated**: plan only while a real reward is in the context, so that there is something to plan *for*; ties by the
# log-probability of the whole path.
#
# **Bayes**: the *interventional* model, and its probabilities instead of its most likely rewards:
#
# $$\text{worth} = \textstyle\sum_d \gamma^d\, P(r_d = 1)$$
#
# No reward known: worth counts *unsearched* cells, soonest first. One known: it counts steps on it. One rule.

# %%
def worth(model, state, plan):                                           # plain, one step at a time
    total = 0.0
    for d, (action, cell, reward) in enumerate(zip(plan.action[0], plan.next_cell[0], plan.reward[0], strict=True)):
        total += bayes.discount**d * round(float(model.imagine(state).reward[0, 0, action]), 3)     # to 0.001: ties are ties
        state = model.advance(state, action.view(1, 1), reward.view(1, 1), cell.view(1, 1))
    return total

def thinks(step):
    root = explorer.root(remember(explorer, Tokens(*(field[:, : step + 1] for field in read))))
    plan = beam_search(explorer, root, bayes, world.horizon, dice)
    assert isclose(worth(explorer, root, plan), float(plan.score), rel_tol=1e-3)
    return {"plan": plan.next_cell[0], "belief": belief[step], "goal": int(goals[shown]),
            "visited": read.arrived[0, 1 : step + 1].unique()}

last = int(first[shown]) // world.horizon                                # the episode of the first reward
panels = {f"before episode {n + 1}": thinks(n * world.horizon) for n in (0, last, last + 1)}
plot.plans(panels, title="One rule: sweep what is left, then go straight to what pays",
           note="dashes: the plan of 20 steps; colour: P(reward); dots: visited; star: the goal, which the agent cannot see")
assert panels[f"before episode {last + 2}"]["plan"].eq(goals[shown]).sum() > 5

# %% [markdown]
# Nobody switches from exploring to exploiting: the belief changes, the rule does not. $K = 81$ different futures, depth =
# steps left in the episode, $\gamma = 0.97$, dice where chances are equal, a new plan only when reality differs from the old.
#
# ## Who learns fastest?
# Your own run: the planner of the parameters cell, two lives in each held-out task, fifty episodes each.

# %%
kind = {"none": "none", "bayes": "interventional"}.get(p.planner, "observational")
config, plan = Config.preset(p.env, p.profile, kind, p.seed), PlanConfig.preset(p.planner)
model = models[kind] if kind in models else load_or_train(config, p.retrain).model
mine = rollout(model, world, held_out, 2, 50, plan, p.seed)
mine = results.from_life(mine, config, held_out, plan)

names = ["random", "source", "ad", "dicp_ad", "dicp_ad_paper", "dicp_ad_gated", "bayes", "exact_belief"]
recorded = results.recorded(p.env)
recorded = pd.concat([recorded[recorded["run"] == name] for name in names])

# %%
figure, ax = plt.subplots(figsize=(9, 5.4))
plot.returns(recorded, title="With the right model, planning pays", value="normalised",
             paper=("AD", "DICP-AD"), guess=p.my_guess, ax=ax)
own, look = results.curve(mine, "normalised"), plot.look_of(config.method, p.planner)
ax.plot(own["env_steps"], own["mean"], "o", ms=4.5, color="white", mec=look.colour, mew=1.4, zorder=4,
        label=f"your own run: {look.label}")
ax.legend(loc=(0.4, 0.07))
mean = {name: results.curve(recorded[recorded["run"] == name], "normalised")["mean"] for name in names}
assert mean["bayes"][5:15].mean() > mean["ad"][5:15].mean() + 0.1 > mean["dicp_ad_paper"][5:15].mean()

# %% [markdown]
# Bold: recorded runs; thin: the paper's own curves. All have the same *experience* ($x$ axis), only thoughts differ (and
# PPO's 100 streams share their updates). The exact belief is Bayes' rule itself, and knows the rules of the world.
#
# The paper reports a gain from its rule, with its model; with ours, trained at every position, the same rule is a loss.
#
# Numbers, with intervals over tasks and training seeds:

# %%
table = results.summary(recorded)
metrics = {"found_by_5": "found the goal by episode 5 (share)", "all_episodes": "return, all episodes (highest = 1)",
           "last_10_episodes": "return, last ten (highest = 1)"}
plot.bar_panels(table, metrics, title="The gate helps to exploit, the Bayes planner also finds")
value = table.assign(run=[name for name in names for _ in range(4)]).pivot(index="run", columns="metric", values="value")
all_episodes = value["all_episodes"]
assert all_episodes["dicp_ad_paper"] < all_episodes["dicp_ad"] - 0.05
assert all_episodes["dicp_ad_gated"] > all_episodes["dicp_ad_paper"] + 0.05
assert all_episodes["bayes"] > all_episodes["ad"] + 0.05
assert value["found_by_5"]["bayes"] > value["found_by_5"]["ad"] + 0.2

# %% [markdown]
# The same Transformer, the same search: the paper's rule makes it worse than not planning at all, the gate repairs that.
# It helps to exploit, not to find; the Bayes planner finds.
#
# ## How wide must a beam be?
# The paper's Figure 4 says: it does not matter. Measure it, on the mean of the first ten episodes.

# %%
theirs = published.paper_table("fig4_planning_scale").query("env == @p.env and env_steps <= 200")
theirs = (theirs.groupby("beam_or_samples")["value"].mean() / published.HIGHEST[p.env]).to_dict()      # mean of five splits

def mean_return(kind, n_rollouts, beam_width):
    plan = PlanConfig.preset("bayes" if kind == "interventional" else "gated", beam_width=beam_width)
    lives = rollout(models[kind], world, held_out, n_rollouts, 10, plan, p.seed)
    return float((lives.episode_return / lives.max_return[:, None, None]).mean())

curves = {"paper: DICP-AD": {int(k): v for k, v in theirs.items()},
          "gated planner": {k: mean_return("observational", 2, k) for k in (5, 10, 15)},
          "Bayes planner": {k: mean_return("interventional", 2, k) for k in (5, 10, 20, 40, 81)}}
plot.by_width(curves, title="Who searches needs width, who only exploits does not",
              ylabel="return, first 10 episodes\n(highest possible = 1)",
              colours=[plot.COLOURS[name] for name in ("paper", "gated", "bayes")],
              note="held-out goals of one split (the paper: five), one training seed")
assert curves["Bayes planner"][81] > curves["Bayes planner"][10] + 0.08

# %% [markdown]
# A future that a narrow beam drops is a corner that is never searched.
#
# ## What does thinking cost?
# Eighty-one futures, twenty steps each, one Transformer. Reading the whole context again for each future is what makes
# planning slow. But all futures of an agent share their *past*: its keys and values are kept once, and a future owns
# only those of its imagined tokens. `fork` copies nothing else. Same numbers?

# %%
short = Tokens(*(field[:, : 3 * world.horizon] for field in read))                     # three episodes of context
root = trained.root(remember(trained, short))
plan, state, window = beam_search(trained, root, paper, world.horizon), root, short
for action, cell, reward in zip(plan.action.T, plan.next_cell.T, plan.reward.T, strict=True):
    state = trained.advance(state, action[:, None], reward[:, None], cell[:, None])
    imagined = Tokens(cell, action, reward, cell, torch.zeros_like(cell))
    window = Tokens(*(torch.cat((a, b[:, None]), 1) for a, b in zip(window, imagined, strict=True)))
assert torch.allclose(trained(window)[0, -1], state.h[0, 0], atol=1e-4)                # forks read what a window reads

def milliseconds(work):
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


# %%
def shared(width):
    beam_search(trained, root, PlanConfig(beam_width=width), world.horizon)

def read_again(width):                                        # eight times: every future's whole window
    for step in range(paper.depth):
        trained(Tokens(*(field[:, : step - paper.depth].expand(width, -1) for field in window)))

cost = {name: {width: milliseconds(lambda f=f, w=width: f(w)) for width in (1, 10, 30, 81)}
        for name, f in (("every future\nreads it all again", read_again), ("keys and\nvalues shared", shared))}
plot.by_width(cost, title="Sharing the past makes wide beams cheap", ylabel="milliseconds a plan", log=True,
              colours=[plot.COLOURS["source"], plot.COLOURS["bayes"]], note="depth 8, context of 60 transitions, this computer")
assert cost["keys and\nvalues shared"][81] < 0.7 * cost["every future\nreads it all again"][81]

# %% [markdown]
# (The shared one includes proposing, ranking and forking; the other one only reads.)
#
# ## Where does the Bayes planner fail?
# Searching needs a memory of where you have been. Give the same weights a shorter context: what was searched before it
# looks new again.

# %%
episodes, found_by = 8, {}
for n in (1, 2, explorer.config.context_length // world.horizon):        # episodes that fit into the context
    lives = rollout(explorer, world, held_out, 4, episodes, bayes, p.seed, context_length=n * world.horizon)
    found = lives.reward.unflatten(-1, (episodes, -1)).sum(-1).cumsum(-1) > 0
    found_by[f"context of {n * world.horizon}"] = found.float().mean((0, 1))
shades = [plot.COLOURS[name] for name in ("source", "paper", "bayes")]
plot.lines(found_by, title="Who forgets searches in circles", xlabel="episode", colours=shades,
           ylabel="agents that have\nfound their goal (share)", note="8 held-out goals, 4 lives each, one training seed")
shortest, _, longest = found_by.values()
assert longest[3:].mean() > shortest[3:].mean() + 0.04


# %% [markdown]
# A right model and a right rule, but a past that is too short: what leaves the context is new again. Searching all 81 cells
# takes more than four episodes of 20 steps, so ours holds six; the paper's 80 (not drawn) loses only a little.

# %% [markdown]
# ## Where do we differ from the paper?
# | | the paper | our Bayes planner |
# |---|---|---|
# | context | 80 | 120 |
# | world model's data | all histories | first episodes of the source only; "any cell may pay" is built in |
# | worth of a future | most likely rewards | expected rewards, discounted |
# | beam | 10, depth 8 | 81 different predicted cells, to the episode's end |
# | plans anew | at each step | when reality differs |
# | budget | its code: 100 episodes with planning, 50 without | 50 for all |

# %% [markdown]
# ## Exercises
# **1.** Which futures does a beam keep? Ties go to the earlier one, always.

# %% tags=["exercise"]
def keep_best(scores, beam_width): ...                        # your turn: scores [future] -> indices, best first
exercises.check_keep_best(keep_best)


# %% jupyter={"source_hidden": true} tags=["solution"]
def keep_best(scores, beam_width):
    return scores.argsort(descending=True, stable=True)[:beam_width]
exercises.check_keep_best(keep_best, strict=True)


# %% [markdown]
# **2.** Of futures with the same key (say: same cell, same rewards so far), keep only the best.

# %% tags=["exercise"]
def deduplicate(scores, keys): ...                            # your turn: both [future] -> one index for each key, any order
exercises.check_deduplicate(deduplicate)


# %% jupyter={"source_hidden": true} tags=["solution"]
def deduplicate(scores, keys):
    best = {}
    for i in scores.argsort(descending=True, stable=True).tolist():
        best.setdefault(int(keys[i]), i)
    return torch.tensor(list(best.values()))
exercises.check_deduplicate(deduplicate, strict=True)


# %% [markdown]
# **3.** What is a future worth, if each imagined step pays with some probability?

# %% tags=["exercise"]
def expected_return(probabilities, gamma): ...                # your turn: [future, step] -> [future]
exercises.check_expected_return(expected_return)


# %% jupyter={"source_hidden": true} tags=["solution"]
def expected_return(probabilities, gamma):
    return probabilities @ gamma ** torch.arange(float(probabilities.shape[1]))
exercises.check_expected_return(expected_return, strict=True)

# %% [markdown]
# ## What have you learned?
# A beam search finds the best of the futures that it keeps, so it has to keep *different* ones. It trusts its model: with
# one that takes its own steps for evidence, thinking makes an agent walk to rewards that are not there. With one that does
# not, the expected reward alone searches first and exploits after.
#
# **Next**: what if you do not know what your actions do, or have to find two things in order?
