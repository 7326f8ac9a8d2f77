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
# Notebook 03 gave you models that answer "what if?". Now plan: imagine many futures, take the best one's first step. You
# will be able to
#
# - write a beam search through imagined futures, and say what it loses,
# - show how a planner walks to a reward that its model made up,
# - explain why *expected* reward makes searching and exploiting one rule.
#
# **You need** notebooks 02 and 03. **Time**: an hour to read; the code takes a minute (larger worlds: two) on one core.
# First, the agent that you soon understand.

# %% tags=["parameters"]
env = "darkroom"      # the world: darkroom | darkroom_permuted | dark_key_to_door | metaworld
task = "reach-v3"     # of metaworld: reach-v3, pick-place-v3, any of ML1's fifty
method = "ad"         # the imitator whose DICP version plans: ad | dpt (not in metaworld) | idt
planner = "bayes"     # of your own run: none (the imitator alone) | paper | gated | bayes (this one imitates nobody)
profile = "fast"      # fast: shipped weights, seconds | paper: the paper's training settings, minutes to hours on a GPU
seed = 0              # of the dice and of the weights (those of seed 0 are shipped, others are trained: minutes)
retrain = False       # True: train here, whatever is shipped (goes on where it was stopped)

# %%
from dicp import parameters
from dicp.config import ENVS, IMITATORS, ML1_TASKS, PLANNERS, PROFILES, Config, EnvConfig, PlanConfig

p = parameters.check(globals(), env=(*ENVS, "metaworld"), task=ML1_TASKS, planner=PLANNERS[:4],
                     method=("ad", "idt") if env == "metaworld" else IMITATORS,
                     profile=PROFILES, seed=range(100), retrain=bool)

import timeit
from math import isclose

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

from dicp import domain, exercises, ml1, plot, results, sentences
from dicp import paper as published
from dicp.artifacts import is_shipped, load_or_train, sample_histories
from dicp.beliefs import believed_rewards, remember, tokens_of, windows_of
from dicp.branching import rank_agreement, tried_out
from dicp.envs import GridRules, all_tasks, split_tasks
from dicp.envs.tasks import PERMUTATIONS
from dicp.oracles import Simulator
from dicp.planning import search
from dicp.rollout import rollout
from dicp.types import Tokens

# %%
plot.style()
arm = p.env == "metaworld"
room = "darkroom" if arm else p.env                          # an arm's search is hard to draw
world, held_out = EnvConfig.preset(room), split_tasks(room, 0)[1][:8]
kinds = {"queries": "ad", "observational": p.method}                     # the first has no policy, it imitates nobody
configs = {kind: Config.preset(room, p.profile, kind, p.seed, target=who) for kind, who in kinds.items()}
explorer, trained = (load_or_train(c, p.retrain).model.requires_grad_(False) for c in configs.values())
bayes, paper = PlanConfig.preset("bayes", room), PlanConfig.preset("paper", room)
permuted, dark, n = room == "darkroom_permuted", room == "darkroom", world.horizon
rules, dice = GridRules.of(world, held_out), torch.Generator().manual_seed(p.seed)

def say(**texts):                                            # what holds in this world alone
    display(Markdown(texts[room]))

n_shown, thing = {"darkroom": (6, "goal"), "darkroom_permuted": (2, "corner"), "dark_key_to_door": (4, "key")}[room]
lived = {"darkroom": 12, "darkroom_permuted": 3, "dark_key_to_door": 6}[room]
life = rollout(explorer, world, held_out, 1, lived, bayes, p.seed)                       # one agent a held-out task
solved = domain.domain_of(world).solved(life.episode_return[:, 0], held_out)
last = solved.int().argmax(-1)                               # first episode that is solved
shown = int((last * (last <= n_shown - 2) * solved.any(-1)).argmax())    # a long search, but not too long
last = int(last[shown])
*key, goal = (int(cell) for cell in rules.goals[shown] if cell >= 0)
marks = {"goal": goal, "key": key[0] if key else None}
read = Tokens(*(field[shown, None, : n_shown * n + 1] for field in tokens_of(life, world)))

# %%
context, belief = explorer.begin(1), []                      # what it believes of every cell at every step
for t in range(0 if permuted else read.observation.shape[1]):       # (in Permuted, the paying cell is known)
    explorer.observe(context, Tokens(*(field[:, t] for field in read)))
    belief.append(believed_rewards(explorer, context, EnvConfig(horizon=n), read.observation[:, t])[0])
by_episode = (n_shown, n, -1)
beliefs = None if permuted else torch.stack(belief[1:]).view(by_episode)
title = {"darkroom": "Sweep, find, go straight", "darkroom_permuted": "Try out, then go straight",
         "dark_key_to_door": "Find key, find door, get both"}[room]
say(darkroom="Star: the goal, which the agent cannot see. Colour: how likely a reward is in each cell, in its eyes.",
    darkroom_permuted="The agent knows that the far corner pays. It does not know what any of its five actions does.",
    dark_key_to_door="""Diamond and star: key and door, which the agent cannot see. Colour: how likely the *next* reward is
    in each cell, in its eyes: first of the key, with the key in hand of the door.""")
plot.animate(life.next_observation[shown, 0].view(-1, n)[:n_shown], rewards=life.reward[shown, 0].view(-1, n)[:n_shown],
             title=title, start=rules.start, beliefs=beliefs, **marks)


# %% [markdown]
# No weight changes, and nobody told it what is hidden.
#
# ## How do you search imagined futures?
# Five actions, depth $d$: $5^d$ futures. The world model *imagines* reward and next cell; `advance` writes them behind
# the real context as if they had happened. Try everything, one future at a time:

# %%
def best_return(model, state, depth):                        # of all futures, one at a time
    if depth == 0:
        return 0
    imagined, best = model.imagine(state), 0
    for action in range(world.n_actions):
        reward, cell = imagined.reward[..., action].round().long(), imagined.next_observation[..., action]
        after = model.advance(state, torch.full_like(cell, action), reward, cell)
        best = max(best, int(reward) + best_return(model, after, depth - 1))
    return best

def at(model, *cells):                                       # newborn agents there, one a row: nothing done yet
    context, cell = model.begin(len(cells)), torch.tensor(cells)
    model.observe(context, Tokens(cell, *(torch.full_like(cell, x) for x in (world.n_actions, 0, world.n_cells, 1))))
    return model.root(context)

task, cell = {"darkroom": ((5, 5), 40), "darkroom_permuted": (37, 70), "dark_key_to_door": (((5, 5), (5, 6)), 40)}[room]
soon = (n_shown - 1) * n + int(life.reward[shown, 0, (n_shown - 1) * n :].argmax()) // 10 * 10   # ten steps or less to go
here = remember(trained, Tokens(*(field[:, : soon + 1] for field in read)))
perfect = Simulator(world, [task])                           # one knows what is hidden, one has to read it:
roots = [(perfect, at(perfect, cell)), (trained, trained.root(here))]
for model, root in roots:
    assert best_return(model, root, 3) == float(search(model, root, PlanConfig(depth=3, beam_width=5**3), n).score)


# %% [markdown]
# The library's `search`, wide enough to keep everything, finds the same return, with a simulator and with a trained
# Transformer: it needs four functions (`propose`, `imagine`, `advance`, `fork`) and does not ask who answers.
#
# Eight steps are $5^8$ futures, too many. The paper keeps the $K = 10$ best after every step. "Best" is the sum of
# imagined rewards; *ties* go to the earlier parent, then, for now, to the action that the policy likes more. Plain:

# %%
def plain_beam(model, root, depth, beam_width, alike=id):    # `alike`: of futures with the same name keep the first
    futures = [(0, root, ())]                                # rewards so far, state, imagined cells
    for _ in range(depth):
        grown = []
        for rewards, state, path in futures:
            imagined = model.imagine(state)
            for action in model.propose(state).log_probability[0, 0].argsort(descending=True, stable=True):
                reward, cell = imagined.reward[..., action].round().long(), imagined.next_observation[..., action]
                after = model.advance(state, action.view(1, 1), reward, cell)
                grown.append((rewards + int(reward), after, (*path, int(cell))))
        grown.sort(key=lambda future: -future[0])            # stable: ties stay in order
        names = {}
        for future in grown:
            names.setdefault(alike(future), future)
        futures = list(names.values())[:beam_width]
    return futures                                           # best first

depth = min(paper.depth, here.max_plan_depth - 1)                             # IDT: not beyond its chunk
by_rule = PlanConfig.preset("paper", room, ties="order")
for model, root in roots:
    best, plan = plain_beam(model, root, depth, paper.beam_width)[0], search(model, root, by_rule, depth)
    assert best[0] == plan.score and best[2] == tuple(plan.next_observation[0].tolist())

# %% [markdown]
# Sorting must be *stable*, or ties are no rule at all (`topk` makes no promise). The same best future, step by step.
#
# ## Who breaks the ties?
# While nothing is in sight all futures are worth nothing, and the rule for ties *is* the decision. Take the policy's favourite,
# as above; or *draw* the order of the actions from the policy, as the authors' code does. Recorded lives of DICP-AD differ in
# this alone. What does the favourite cost?

# %%
my_guess = None       # what is left of the return at the end (highest possible = 1), if the favourite breaks ties, e.g. 0.5

named = {"dicp_ad": "policy alone", "dicp_ad_paper_likeliest": "plan, ties to the favourite",
         "dicp_ad_paper": "plan, ties drawn"}
table = results.recorded(room)
both = set.intersection(*(set(table.loc[table["run"] == run, "split"]) for run in named))    # splits that all have
rows = {name: table[(table["run"] == run) & table["split"].isin(both)] for run, name in named.items()}
ends = {name: results.curve(part, "normalised")["mean"] for name, part in rows.items()}
plot.lines(ends, title="Who never doubts the favourite action never explores", xlabel="episode", level=my_guess,
           ylabel="return (highest possible = 1)", colours=[plot.COLOURS[name] for name in ("ad", "source", "paper")],
           note=f"recorded lives, {len(both)} of 5 splits; planning starts at step {paper.start_after}")
alone, favourite, drawn = (float(mean[-10:].mean()) for mean in ends.values())
assert favourite < alone and favourite < drawn


# %% [markdown]
# One line of code. With drawn ties a plan keeps the policy's dice until something is in sight, then goes there. (An earlier
# version of this notebook gave ties to the favourite, and blamed the world model for what came of it.) From here on, "the
# paper's planner" draws.
#
# ## What does a narrow beam lose?
# Give it a **perfect** model and a policy without preferences. Something pays four steps away: is it among the ten futures
# kept?

# %%
class Undecided(Simulator):                                  # knows everything; likes the actions in a random order
    def propose(self, state, n=1, generator=None):
        return self.policy.propose(torch.rand(*state.state.cell.shape, world.n_actions), n)

def kept(where, beam_width, alike=id):
    torch.manual_seed(p.seed)
    model = Undecided(world, tasks[where : where + 1])
    return plain_beam(model, at(model, starts[where]), 4, beam_width, alike)

cells, goal_at = all_tasks("darkroom"), (8, 8) if permuted else (4, 4)                   # 81 places of agent, goal or key
tasks = {"darkroom": cells, "darkroom_permuted": held_out[:1] * 81, "dark_key_to_door": [(c, (0, 0)) for c in cells]}[room]
starts = list(range(81)) if permuted else [rules.start] * 81
distance = torch.tensor([abs(x - goal_at[0]) + abs(y - goal_at[1]) for x, y in cells])
lost = next(i for i in range(81) if distance[i] == 4 and kept(i, 10)[0][0] == 0)
trees = {"all 625 futures": kept(lost, 5**4), "a beam of 10": kept(lost, 10),
         "different ones only": kept(lost, 81, alike=lambda future: (future[0], future[2][-1]))}
figure, panels = plt.subplots(1, 3, figsize=(11, 4.5))
for ax, (name, futures) in zip(panels, trees.items(), strict=True):
    plot.futures([path for _, _, path in futures], title=name, goal=80 if permuted else lost, start=starts[lost], ax=ax)
plot.claim(figure, "Nothing in sight, a beam of ten keeps ten versions of the same way",
           note=f"four imagined steps with a perfect model; star: the {thing}; filled: cells where a kept future ends")
assert trees["different ones only"][0][0] == 1 and len(trees["different ones only"]) <= 81

# %%
my_share = None       # how often does it matter? your guess: of what pays six steps away, the share that a beam of ten finds

everywhere = Undecided(world, tasks * 25)
root, far = at(everywhere, *starts * 25), min(paper.depth, int(distance.max()))

def share_found(**changes):                                  # by distance, 1 step to the farthest
    plan = search(everywhere, root, PlanConfig.preset("paper", room, **changes), n)
    found = (plan.reward.sum(-1) > 0).float().view(25, -1).mean(0)
    return torch.stack([found[distance == d].mean() for d in range(1, far + 1)])

shares = {"K = 10": share_found(), "K = 81": share_found(beam_width=81),
          "K = 81, different": share_found(beam_width=81, deduplicate=True)}
plot.lines(shares, title=f"With a perfect model, a narrow beam still loses the {thing}", level=my_share,
           xlabel=f"steps from the agent to the {thing}", ylabel="found (share)", note="81 places, 25 random policies each",
           colours=[plot.COLOURS[name] for name in ("paper", "gated", "bayes")])
assert shares["K = 10"][5] < 0.4 and shares["K = 81, different"].min() == 1

# %% [markdown]
# While all futures are worth nothing, ties decide, and the first two parents' children fill the beam. Keep one future for each
# cell and rewards so far, and there are at most 81: width matters where *different* futures fill it. But a search is only as
# good as its model.
#
# ## What happens when the model is deluded?
# The paper's planner takes the most likely outcome for the truth; and its kind of world model, as you know from notebook 03,
# takes imagined actions for evidence. Let it plan on held-out tasks, before any reward has told it anything.

# %%
if permuted:                                                 # planning at once: what does action 3 do?
    at_once = PlanConfig.preset("paper", room, start_after=0)
    eager, policy = (rollout(trained, world, held_out, 2, 3, plan, p.seed) for plan in (at_once, None))
    never, without = (int((lives.reward.sum(-1) == 0).sum()) for lives in (eager, policy))
    n_cells, n_used = ([len(x.unique()) for x in field[:, 0]] for field in (eager.observation, eager.action))
    plan, moments = search(trained, at(trained, 0), paper, min(n, 10), dice), {}
    first_plan = "the first plan: " + ("ten steps" if plan.next_observation.any() else "nothing moves")
    moments[first_plan] = {"walked": [0], "plan": plan.next_observation[0], "goal": 80}
    for i in (n_cells.index(min(n_cells)), n_cells.index(max(n_cells))):
        name = f"permutation {held_out[i]}: {n_used[i]} action{'s' * (n_used[i] > 1)}"
        moments[name] = {"walked": eager.observation[i, 0, -n:], "plan": [], "goal": 80}
else:                                                        # agents that have found nothing when planning starts
    begins, astray = paper.start_after, rollout(trained, world, held_out, 4 if dark else 2, 6, paper, p.seed)
    rewards, seen = astray.reward.flatten(0, 1), tokens_of(astray, world)
    lost = (rewards[:, :begins].sum(-1) == 0).nonzero()[:, 0]
    memory = remember(trained, Tokens(*(field[lost, : begins + 1] for field in seen)))
    plan = search(trained, trained.root(memory), paper, n if p.method != "idt" else 10, dice)
    claims = plan.reward.sum(-1) > 0                         # a reward that nobody has ever seen
    row = int(lost[(claims * (2 - rewards[lost].sum(-1).clamp(max=1))).argmax()])        # who never finds anything, say


# %%
def moment(step):                                            # what it plans, and what it has done before
    context = remember(trained, Tokens(*(field[row, None, : step + 1] for field in seen)))
    plan = search(trained, trained.root(context), paper, min(n - step % n, context.max_plan_depth), dice)
    *key, goal = (int(cell) for cell in rules.goals[row // astray.observation.shape[1]] if cell >= 0)
    return {"plan": plan.next_observation[0], "claims": plan.next_observation[0][plan.reward[0] == 1].tolist(), "goal": goal,
            "key": key[0] if key else None, "visited": seen.outcome[row, 1 : step + 1].unique(),
            "walked": astray.observation.flatten(0, 1)[row, step - step % n : step + 1]}

if permuted:
    title = f"Agents of 16 that never earn anything: planning from the first step {never}, without a plan {without}"
    if never == without == 0: title = "Planning from its first step, every agent comes to the corner, as without a plan"
    note = "dashes: imagined; blue: the third episode; star: the corner that pays; 2 lives in each of 8 held-out tasks"
else:
    now = moment(begins)
    steps = now["plan"].tolist().index(now["claims"][0]) + 1 if now["claims"] else 5
    moments = {f"episode {begins // n + 1} begins": now, f"{steps} step{'s' * (steps > 1)} later": moment(begins + steps),
               f"episode {begins // n + 2} begins": moment(begins + n)}
    title = f"Of {len(lost)} agents that have never seen a reward, {int(claims.sum()) or 'none'} plan to walk to one"
    note = f"dashes: the plan; hollow stars: imagined rewards; black: {'the goal' if dark else 'key and door'}; dots: visited"
plot.plans(moments, title=title, note=note)
walks = """A hollow star is made up; a plan without one is a walk that the policy might have taken. Neither is a better place
to look than the policy's own guess, or a worse one: what this planner gains, it gains where something is known."""
say(darkroom=walks, dark_key_to_door=walks, darkroom_permuted="""From the corner, *nothing happens* is the likeliest outcome of
any action: three of five moves lead nowhere. A plan of likeliest outcomes never asks what an action does; only the dice of
its ties try things out. (The paper starts to plan after 200 steps, when the policy has tried them all.)""")


# %% [markdown]
# ## Two ways out
# **Gated**: plan only while a real reward is in the context, so that there is something to plan *for*: a third of the thinking.
#
# **Bayes**: the model that is asked with *queries*, and its probabilities instead of its most likely rewards:
#
# $$\text{worth} = \textstyle\sum_d \gamma^d\, P(\text{way}_d)\,\big[P(r_d = 1) + c\, H(o_d)\big]$$
#
# Where a reward may be, worth counts what is *unsearched*, soonest first; where one is known, steps on it. $H$, the doubt
# about the next observation, counts ($c = 0.003$) until a reward is in the context.

# %%
def worth(model, state, plan, curiosity):                    # plain, one step at a time
    total, way = 0.0, 1.0
    for d, (action, cell, reward) in enumerate(zip(plan.action[0], plan.next_observation[0], plan.reward[0], strict=True)):
        said = model.imagine(state, uncertainty=True)
        paid, probable, doubt = (float(x[0, 0, action]) for x in (said.reward, said.probability, said.entropy))
        way *= probable
        total += bayes.discount**d * round(way * (paid + curiosity * doubt), 3)          # to 0.001: ties are ties
        state = model.advance(state, action.view(1, 1), reward.view(1, 1), cell.view(1, 1))
    return total

def thinks(step):
    root = explorer.root(remember(explorer, Tokens(*(field[:, : step + 1] for field in read))))
    curious = read.last_reward[:, : step + 1].sum(-1) == 0
    plan = search(explorer, root, bayes, n - step % n, dice, curious)
    assert isclose(worth(explorer, root, plan, bayes.curiosity * bool(curious)), float(plan.score), rel_tol=0.02)
    panel = {"plan": plan.next_observation[0], "walked": read.observation[0, step - step % n : step + 1], **marks}
    return panel if permuted else panel | {"belief": belief[step], "visited": read.outcome[0, 1 : step + 1].unique()}

tried = max(int((read.last_action[0] == action).int().argmax()) for action in range(5))
key_at = int(read.last_reward[0].argmax())
middle = {"darkroom": (f"before episode {last + 1}", last * n), "darkroom_permuted": ("all five tried", tried),
          "dark_key_to_door": ("with the key", key_at)}[room]
panels = {name: thinks(step) for name, step in dict([("newborn", 0), middle, (f"episode {last + 2}", (last + 1) * n)]).items()}

# %%
title = {"darkroom": "sweep what is left, then go straight to what pays",
         "darkroom_permuted": "try what you do not know, then go straight to what pays",
         "dark_key_to_door": "look for the key, then for the door, then get both"}[room]
note = "dashes: the plan of up to 25 steps; blue: the episode so far"
if not permuted:
    note += f"; colour: P(reward); dots: visited (on colour: {'' if dark else 'without the key, or '}forgotten)"
plot.plans(panels, title=f"One rule: {title}", note=note)
*_, after = panels.values()
assert after["plan"].eq(goal if key == [] else key[0]).sum() >= (1 if key else 5)


# %%
def where_looked(panels):                                    # Darkroom: where do they look before the find?
    corner, shares = max(held_out, key=lambda xy: abs(xy[0] - 4) + abs(xy[1] - 4)), {}
    agents = {"policy": (trained, None), "the paper's planner": (trained, paper), "Bayes planner": (explorer, bayes)}
    for ax, (name, (model, plan)) in zip(panels, agents.items(), strict=True):
        lives = rollout(model, world, [corner], 16, 6, plan, p.seed)
        searching, been = lives.reward[0].cumsum(-1) == 0, lives.next_observation[0][..., None] == torch.arange(81)
        new = been.cumsum(1).gather(2, lives.next_observation[0][..., None])[..., 0] == 1
        shares[name] = float(new[searching].float().mean())
        visits = (been * searching[..., None]).sum((0, 1)) / 16
        plot.grid_heatmap(visits, ax, title=f"{name}: {shares[name]:.0%} new", goal=9 * corner[0] + corner[1], vmax=8)
    assert shares["Bayes planner"] > 1.2 * shares["policy"]
    return "Before the find: a policy comes back to the same cells, the plan searches new ones", \
        "steps a life in each cell (white 0, dark 8 and more), 16 lives of up to 6 episodes with one held-out goal (star)"
def stages(panels):                                          # Key-to-Door: the same cells, before and after the key
    log = sample_histories(room).load(held_out)
    stuck = log.reward[..., -5 * n :].float().sum(-1).mean(-1) / 5                       # return of the source, at the end
    i = int((stuck - 1).abs().add(2 - life.episode_return[:, 0, -1]).argmin())
    way = torch.cat((life.observation[i, 0, -n:][:1], life.next_observation[i, 0, -n:]))
    got = [int(x) + 1 for x in life.reward[i, 0, -n:].nonzero()[:, 0]] + [n, n]
    ways = {f"source PPO at the end: return {float(stuck[i]):.1f}": list(log.observation[i, :8, -n:].long()),
            "plan, until it has the key": [way[: got[0] + 1]], "plan, with the key": [way[got[0] : got[1] + 1]]}
    for ax, (name, lines) in zip(panels, ways.items(), strict=True):
        plot.paths(lines, title=name, key=int(rules.goals[i, 0]), goal=int(rules.goals[i, 1]), start=rules.start, ax=ax)
    return "A policy of the cell alone stays at the key; a plan knows its rewards so far and goes on", \
        f"held-out task {held_out[i]}; left: 8 streams, last episode; middle and right: one agent, one episode"


# %%
def first_episode(curiosity):                                # Permuted: what is in doubt, and what is tried?
    plan, steps = PlanConfig.preset("bayes", room, curiosity=curiosity), 30
    lives = rollout(explorer, world, held_out, 2, 1, plan, p.seed)
    tokens, context, doubts = tokens_of(lives, world), explorer.begin(1), []
    for t in range(steps):
        explorer.observe(context, Tokens(*(field[:1, t] for field in tokens)))
        doubts.append(explorer.imagine(explorer.root(context), uncertainty=True).entropy[0, 0])
    return {"uncertainty": torch.stack(doubts), "action": lives.action[0, 0, :steps], "reward": lives.reward[0, 0, :steps]}, \
        float(lives.episode_return.float().mean())

if permuted:
    (curious, more), (without, less) = first_episode(bayes.curiosity), first_episode(0.0)
    plot.trials({f"with curiosity (first episodes of 16 agents: return {more:.1f} of 35)": curious,
                 f"without (return {less:.1f})": without},
                title="It tries each action, then walks straight; what it does not need stays in doubt",
                does=PERMUTATIONS[held_out[0]], note=f"one agent each, permutation {held_out[0]}; rings: first use of an "
                "action; black: rewards; arrows: what each action does, which the agent cannot see")
else:
    figure, panels = plt.subplots(1, 3, figsize=(11, 4.6))
    title, note = (where_looked if dark else stages)(panels)
    plot.claim(figure, title, note)

# %% [markdown]
# Nobody switches from exploring to exploiting: the belief changes, the rule does not. $K = 81$ different futures, at most 25
# steps and never beyond the episode, $\gamma = 0.97$, dice where chances are equal, a new plan only when reality differs
# from the old. One setting for all three worlds.
#
# ## Which part does it?
# Live, in your world: take one part of the rule away. Which loss is largest? Guess what is left without it.

# %%
my_guess = None       # mean return of the first episodes with the most important part missing, e.g. 0.5

parts = {"all of it": {}, "a beam of 10": {"beam_width": 10}, "most likely rewards": {"rank": "mode"},
         "alike futures kept": {"deduplicate": False}, **({"no curiosity": {"curiosity": 0.0}} if permuted else {})}
n_first, left = {"darkroom": 7, "darkroom_permuted": 2, "dark_key_to_door": 3}[room], {}
for name, change in parts.items():
    lives = rollout(explorer, world, held_out, 1, n_first, PlanConfig.preset("bayes", room, **change), p.seed)
    left[name] = float((lives.episode_return / lives.max_return[:, None, None]).mean())
worst = min(left, key=left.get)
plot.parts(left, title=f"One part changed: most is lost with {worst}", guess=my_guess,
           xlabel=f"return, first {n_first} episodes (highest possible = 1)",
           note="8 held-out tasks, one life each, one training seed: small differences mean nothing")
assert left[worst] < left["all of it"] - 0.05


# %% [markdown]
# With so few lives only large differences mean something: which are large in your world?
#
# ## What if there are infinitely many actions?
# Four numbers move an arm. The paper *draws* ten candidates from the policy (its mean among them), imagines what each leads to,
# and takes the one with the highest reward (its text adds the return-to-go $R$, its code does not). `propose` is a draw now,
# all else stays. (Live with `-p env metaworld`.)

# %%
def plain_choice(model, root, n_candidates, dice):           # one candidate at a time
    best, choice = float("-inf"), None
    for action in model.propose(root, n_candidates, dice).action[0, 0]:
        worth = float(model.imagine(root, action.view(1, 1, 1, -1)).reward)
        if worth > best:
            best, choice = worth, action
    return choice

if arm:
    arms = Config.preset(p.env, p.profile, "observational", p.seed, target=p.method, task=p.task)
    cut = p.profile == "fast" and not is_shipped(arms)       # not one of the paper's five tasks, or another seed
    if cut: display(Markdown(f"No weights of {p.task} with seed {p.seed} are shipped: a small part of the whole is collected "
                             "and trained now (15 minutes on one core), to show how it works, not how well."))
    arms = ml1.cut(arms) if cut else arms
    dicp, instances = load_or_train(arms, p.retrain).model.requires_grad_(False), domain.split_of(arms.env, 0)[1][:10]
    lived = rollout(dicp, arms.env, instances, 1, 11, seed=p.seed)                       # its policy alone, full contexts
    past = Tokens(*(field[:1, :150] for field in windows_of(lived, arms.env).tokens))
    root, by_reward = dicp.root(remember(dicp, past)), PlanConfig.preset("paper", p.env, return_to_go=False)
    choice = search(dicp, root, by_reward, 50, torch.Generator().manual_seed(p.seed)).action[0, 0]
    assert torch.equal(plain_choice(dicp, root, by_reward.candidates, torch.Generator().manual_seed(p.seed)), choice)

# %%
if arm:                                                      # is the best candidate the best one? try all ten for real
    tried = tried_out(dicp, lived, arms.env, instances, range(1005, 1100, 10), 10, dice)
    (figure, panels), agree = plt.subplots(1, 2, figsize=(9.5, 4.6)), {}
    for ax, name in zip(panels, ("reward", "return_to_go"), strict=True):
        said, words = getattr(tried.imagined, name), name.replace("_", "-")
        spread = [(x - x.mean(-1, keepdim=True)).flatten() for x in (said, tried.reward)]
        agree[words] = float(rank_agreement(said, tried.reward).nanmean())
        plot.who_is_right(*spread, title=f"by {words}: rank correlation {agree[words]:.2f}", ax=ax, same=name == "reward",
                          xlabel=f"imagined {words}, above the ten's mean", ylabel="real reward, above theirs")
    better, worse = sorted(agree, key=agree.get, reverse=True)
    plot.claim(figure, f"Which candidate pays most at once, the imagined {better} tells better than the {worse}",
               f"{p.task}, 10 held-out instances, 10 moments of episode 11 each; dashed: right; rings: beyond the edge")

# %% [markdown]
# ## Who learns fastest?
# All have the same *experience* ($x$ axis), only thoughts differ (and PPO's 100 streams share their updates). A DICP model has
# two curves: the paper's planner, and the gated one. The exact belief is Bayes' rule itself, and knows the rules of the world.
# (Meta-World has the paper's planner alone: where an object ends up, no count of cells can tell.) Your own run: method and
# planner of the parameters cell.

# %%
my_guess = None       # env steps until the Bayes planner reaches 0.9 of the highest return, e.g. 500

acts = "paper" if arm and p.planner != "none" else p.planner                             # Meta-World has no other planner
kind, who = {"none": ("none", p.method), "bayes": ("queries", "ad")}.get(acts, ("observational", p.method))
config, plan = Config.preset(p.env, p.profile, kind, p.seed, target=who, task=p.task if arm else None), \
    PlanConfig.preset(acts, p.env, p.task if arm else None)
config, lived_in = (ml1.cut(config) if arm and cut else config), instances if arm else held_out
ready = {"queries": explorer, "observational": dicp if arm else trained}
model = ready.get(kind) or load_or_train(config, p.retrain).model
n_episodes = {"darkroom": 20, "darkroom_permuted": 6}.get(p.env, 12)
mine = rollout(model, config.env, lived_in, 1, n_episodes, plan, p.seed)
mine = results.from_rollouts(mine, config, lived_in, plan)
who = {"none": f"{p.method.upper()} alone, without a planner",
       "bayes": f"queries, with the Bayes planner (they imitate nobody: `method`, {p.method}, plays no part)"}
who = who.get(acts, f"DICP-{p.method.upper()} with the {acts} planner")
display(Markdown(f"**Your own run: {who}**; {len(lived_in)} held-out tasks, {n_episodes} episodes each."))

family = [f"{name}{planner}" for m in IMITATORS for name, *planners in ((m, ""), (f"dicp_{m}", "_paper", "_gated"))
          for planner in planners]
controls, place = ["random", "source", "queries", "exact_belief"], f"{p.env}-{p.task}" if arm else p.env
recorded = results.recorded(place) if results.is_recorded(place) else mine.assign(run="none")
compared = recorded[recorded["run"].isin([*family, *controls])]


# %%
def mean(run):                                               # of the recorded lives, episodes 6 to 15
    rows = compared[compared["run"] == run]
    return float(results.curve(rows, "normalised")["mean"][5:15].mean()) if len(rows) else float("nan")

imitators = [run for run in compared["run"].unique() if run in family]
if not imitators:
    display(Markdown("There are no recorded runs of this world: only your own is drawn."))
    plot.returns(mine, title="Your own run", value="success" if arm else "normalised", guess=my_guess,
                 paper=() if arm else (p.method, f"dicp_{p.method}"))
elif arm:
    for value, title in sentences.claims(tables := {p.task.removesuffix("-v3"): compared}).items():
        plot.ml1_curves(tables, value=value, own=mine, title=title,
                        note="50 held-out instances, one life each; rings: your own run")
else:
    title = "A gated plan helps AD and IDT; a wide one, asking what was met, finds within a few episodes"
    if not mean("queries") > max(map(mean, imitators)) + 0.05:     # an imitator of optimal actions is as good; or not recorded
        title = "Planning helps AD and IDT; where optimal actions are shown, nothing is left to plan"
    plot.comparison(compared, title=title, own=mine, guess=my_guess)
if p.env == "darkroom" and {"ad", "dicp_ad_paper", "queries"} <= set(compared["run"]):
    assert mean("queries") > mean("dicp_ad_paper") + 0.1 and mean("dicp_ad_paper") > mean("ad")

# %%
names = ["random", "source", p.method, *(f"dicp_{p.method}{planner}" for planner in ("", "_paper", "_gated")), "queries",
         "exact_belief"]
part = recorded[recorded["run"].isin(names)]
metrics = ml1.MEANINGS if arm else {
    "found_by_5": "solved by episode 5 (share)", "all_episodes": "return, all episodes (highest = 1)",
    "last_10_episodes": "return, last ten (highest = 1)"}
if len(part):
    value = ml1.successes(part) if arm else results.summary(part, (*results.BY, "run"))
    order = value["run"].map(names.index).sort_values(kind="stable").index
    known = "with and without a planner" if p.method in set(value["run"]) else "is not recorded yet, others are"
    plot.bar_panels(value.loc[order], metrics, title=f"Who finds, who exploits? {p.method.upper()} {known}")
    value = value.pivot(index="run", columns="metric", values="value")
    if p.env == "darkroom" and p.method == "ad" and set(names) <= set(value.index):
        share = value["all_episodes"]
        assert share["dicp_ad"] < min(share["dicp_ad_paper"], share["dicp_ad_gated"])
        assert share["queries"] > max(share["dicp_ad_paper"], share["dicp_ad_gated"]) + 0.05
        display(Markdown("The same Transformer acts better when it plans, as the paper says; gated or not, that is much the "
                         "same. It exploits better, it hardly finds sooner; the Bayes planner finds."))

# %% [markdown]
# ## What else matters?
# The paper's Figure 4 says that the beam's width does not. Recorded runs say more: one setting is changed at a time.

# %%
full, deep, tasks = paper.start_after, paper.depth, f"all {len(split_tasks(room, 0)[0]):,}"
rules_of = {"the paper's planner": "dicp_ad_paper", "gated planner": "dicp_ad_gated"}
theirs = published.paper_table("fig4_planning_scale").query("env == @p.env").groupby("beam_or_samples")["value"].mean()
changed = ml1.ablations(p.method) if arm else {
    "beam width K": {**{name: {1: f"{run}_k1", 5: f"{run}_k5", 10: run, 20: f"{run}_k20"} for name, run in rules_of.items()},
                     "Bayes planner": {**{k: f"queries_k{k}" for k in (5, 10, 20, 40)}, 81: "queries"},
                     "the paper's DICP-AD": {int(k): v / published.HIGHEST[room] for k, v in theirs.items()}},
    "imagined steps": {"gated planner": {**{d: f"dicp_ad_gated_depth{d}" for d in (2, 4)}, 8: "dicp_ad_gated_depth8",
                                         16: "dicp_ad_gated_depth16", deep: "dicp_ad_gated"}},
    "ranked by": {name: {"reward": run, "return-to-go": f"{run}_to_end"} for name, run in rules_of.items()},
    "planning from step": {"the paper's planner": dict(sorted(
        {full: "dicp_ad_paper", **{t: f"dicp_ad_paper_from{t}" for t in (0, 20, 400)}}.items()))},
    "IDT is asked for": {"IDT": {"nothing": "idt", "others'\nhighest": "idt_asked", "the task's\nhighest": "idt_privileged"}},
    "training tasks": {"AD": {**{k: f"ad_{k}_tasks" for k in (10, 20, 40)}, tasks: "ad"}},
    "AD, changed": {"AD": {"as it is": "ad", "loss: last\nposition": "ad_last_position", "no\nstride": "ad_consecutive",
                           "acts\ngreedily": "ad_greedy"}},
}
title = {"darkroom": "Width and depth hardly matter to DICP-AD; the data, the loss and the dice matter to AD"} | dict.fromkeys(
    ("darkroom_permuted", "dark_key_to_door"), "Width and depth hardly matter to DICP-AD; the dice matter to AD")
measured = dict(measure=ml1.success_per_episode, ylabel="success per episode") if arm else {}
try:
    plot.ablations(recorded, changed, title=sentences.what_matters(recorded, changed) if arm else title[p.env], **measured,
                   note=f"{'50 instances' if arm else '8 tasks a split or more'}, 95% bootstrap; a panel's points: same splits")
except ValueError as missing:
    display(Markdown(f"Nothing to draw yet: {missing}"))

# %% [markdown]
# A panel that is missing here is not recorded yet in this world (`python -m dicp.reproduce --runs ...`).
#
# ## What does thinking cost?
# Reading the whole context again for each of 81 futures is what makes planning slow. But all futures of an agent share
# their *past*: its keys and values are kept once, and a future owns only those of its imagined tokens. `fork` copies nothing
# else. Same numbers?

# %%
reader = trained if p.method != "idt" else load_or_train(Config.preset(room, p.profile, "observational", p.seed)).model
reader.requires_grad_(False)                                 # IDT reads chunks, not windows: DICP-AD in its place
short = Tokens(*(field[:, : min(3, n_shown) * n] for field in read))                     # two or three episodes of context
root = reader.root(remember(reader, short))
plan, state, window = search(reader, root, PlanConfig(), n, dice), root, short
for action, cell, reward in zip(plan.action.T, plan.next_observation.T, plan.reward.T, strict=True):
    state = reader.advance(state, action[:, None], reward[:, None], cell[:, None])
    imagined = Tokens(cell, action, reward, cell, torch.zeros_like(cell))
    window = Tokens(*(torch.cat((a, b[:, None]), 1) for a, b in zip(window, imagined, strict=True)))
assert torch.allclose(reader(window)[0, -1], state.h[0, 0], atol=1e-4)                   # forks read what a window reads

def first(t, width):                                         # the window up to imagined step t, once for every future
    return Tokens(*(field[:, : t - 8].expand(width, -1) for field in window))

ways, cost = {"every future\nreads it all again": lambda k: [reader(first(t, k)) for t in range(8)],
              "keys and\nvalues shared": lambda k: search(reader, root, PlanConfig(beam_width=k), n, dice)}, {}
for name, work in ways.items():
    times = {k: timeit.repeat(lambda f=work, k=k: f(k), number=1, repeat=3) for k in (1, 10, 30, 81)}
    cost[name] = {k: 1000 * min(seconds) for k, seconds in times.items()}
plot.by_width(cost, title="Sharing the past makes wide beams cheap", ylabel="milliseconds a plan", log=True,
              colours=[plot.COLOURS["source"], plot.COLOURS["bayes"]],
              note=f"depth 8, context of {short.observation.shape[1]} transitions, this computer; shared: with ranking")
assert cost["keys and\nvalues shared"][81] < 0.8 * cost["every future\nreads it all again"][81]

# %% [markdown]
# ## Where does the Bayes planner fail?
# Searching needs a memory of where you have been, and exploiting one of what you found. A context holds whole episodes:
# once it is full, the oldest is forgotten. Give the same weights room for one, or for more. Guess what one is worth.

# %%
my_guess = None       # what a context of a single episode loses in episode 4, as a share of the highest return, e.g. 0.5

remembers, n_episodes = {}, 6 if dark else 4
for held in sorted({1, 2, explorer.config.context_length // n}):                         # episodes that fit in
    lives = rollout(explorer, world, held_out, 1, n_episodes, bayes, p.seed, context_length=held * n)
    lost = 1 - lives.episode_return / lives.max_return[:, None, None]
    remembers[f"{held} episode{'s' * (held > 1)}"] = lost.mean((0, 1))
shades = [plot.COLOURS[name] for name in ("source", "paper", "bayes")][-len(remembers) :]
plot.lines(remembers, title="With room for a single episode, each one is the first", xlabel="episode", colours=shades,
           ylabel="return that is missed\n(highest possible = 1)", level=my_guess,
           note="8 held-out tasks, one life each, one training seed")
one, *_, longest = remembers.values()
assert one[3:].mean() > longest[3:].mean() + (0.03 if permuted else 0.3)
say(darkroom="A right model and a right rule, but no past: the same cells are searched again, and a find is forgotten.",
    darkroom_permuted="A right model and a right rule, but no past: the same five actions are tried again in every episode.",
    dark_key_to_door="A right model and a right rule, but no past: whoever found the key has to find it again.")


# %% [markdown]
# ## Where do we differ from the paper?
# | | the paper | our Bayes planner |
# |---|---|---|
# | world model | heads on what the policy knows | queries that read the memory; cells get new names in training |
# | its data | all histories | first episodes of the source |
# | worth of a future | most likely rewards | expected rewards, discounted |
# | beam | 10, depth 8 or 16 | 81 different futures, depth 25 |
# | plans anew | at each step | when reality differs |
# | budget | its code: 100 episodes with planning, 50 without | 50 for all |
#
# ## Exercises
# Three, each a line or two of the search above.

# %% tags=["exercise"]
# 1. Which futures does a beam keep? Ties go to the earlier one, always.
def keep_best(scores, beam_width): ...                       # your turn: scores [future] -> indices, best first
exercises.check_keep_best(keep_best)


# %% jupyter={"source_hidden": true} tags=["solution"]
def keep_best(scores, beam_width):
    return scores.argsort(descending=True, stable=True)[:beam_width]
exercises.check_keep_best(keep_best, strict=True)


# %% tags=["exercise"]
# 2. Of futures with the same key (say: same cell, same rewards so far), keep only the best.
def deduplicate(scores, keys): ...                           # your turn: both [future] -> one index for each key, any order
exercises.check_deduplicate(deduplicate)


# %% jupyter={"source_hidden": true} tags=["solution"]
def deduplicate(scores, keys):
    best = {}
    for i in scores.argsort(descending=True, stable=True).tolist():
        best.setdefault(int(keys[i]), i)
    return torch.tensor(list(best.values()))
exercises.check_deduplicate(deduplicate, strict=True)


# %% tags=["exercise"]
# 3. What is a future worth, if each imagined step pays with some probability?
def expected_return(probabilities, gamma): ...               # your turn: [future, step] -> [future]
exercises.check_expected_return(expected_return)


# %% jupyter={"source_hidden": true} tags=["solution"]
def expected_return(probabilities, gamma):
    return probabilities @ gamma ** torch.arange(float(probabilities.shape[1]))
exercises.check_expected_return(expected_return, strict=True)

# %% [markdown]
# ## What have you learned?
# A beam search finds the best of the futures that it keeps, so it has to keep *different* ones; where all are worth nothing,
# who breaks the ties decides. With a model that takes its own steps for evidence, planning exploits better and searches no
# better; with one that does not, the expected reward alone searches first and exploits after. It can be asked: so it finds what
# was met.
#
# **Next**: another world (`-p env dark_key_to_door`), another imitator (`-p method dpt`): which of these claims hold there?
