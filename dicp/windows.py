"""Training windows: a few episodes of learning histories, cut so that position t of a window is
what an agent sees."""

from collections.abc import Sequence

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from dicp.checks import Count, Share, at_least, checked, fits_memory
from dicp.config import WorldConfig
from dicp.domain import domain_of
from dicp.envs import Task
from dicp.history.layout import fields_of, shape_of
from dicp.history.logs import check_names
from dicp.selection import spread_streams
from dicp.types import Log, Tokens, Windows

__all__ = ["WindowSampler"]


def without_past(tokens: Tokens, env: WorldConfig, n: int) -> Tokens:
    """The last `n` tokens [batch n], as if nothing had come before them."""
    tokens = tokens.last_steps(n).map(Tensor.clone)
    none = domain_of(env).no_transition
    tokens.last_action[:, :1] = none.last_action
    tokens.last_reward[:, :1] = none.last_reward
    tokens.outcome[:, :1] = none.outcome
    return tokens


def check_form(env: WorldConfig, log: Log) -> None:
    """Raise `ValueError` unless a log has this world's fields, of one size, and whole episodes."""
    check_names("the log", env, log)
    form, last = tuple(log.reward.shape), log.terminal_observation
    n_episodes = last.shape[2] if last.ndim > 2 else 0
    if len(form) != 3 or 0 in form or form[2] != n_episodes * env.horizon:
        got = f"rewards of shape {form} and {n_episodes} ends of episodes"
        wanted = f"[task stream step], in episodes of {env.horizon} steps"
        raise ValueError(f"the log has {got}; allowed: {wanted}.")
    for name, field in fields_of(env).items():
        expected, got = shape_of(env, field, *form), tuple(getattr(log, name).shape)
        if got != expected:
            raise ValueError(f"the log has {name} of shape {got}; allowed: {expected}.")


def check_values(env: WorldConfig, log: Log) -> None:
    """Raise `ValueError` where a log holds what cannot be in this world, or is not finite."""
    fields = fields_of(env)
    for name, values in log.items():
        if not fields[name].possible(values.numpy()):
            span = f"from {values.min():g} to {values.max():g}"
            raise ValueError(f"the log has {name} {span}; allowed: what can be in {env.name}.")


@checked
class WindowSampler:
    """Cuts random windows from histories held in memory ([task stream step]); ~1 ms for 5,000
    transitions of a grid.

    Now and then PPO learns nothing: before its first update no stream came upon the goal. Such a
    history teaches to give up. `min_final_return` leaves tasks out of `history` whose last ten
    episodes brought less than that share of the median. In Meta-World `min_final_success` leaves
    out those that then succeed less often than that share of what the best task does;
    `history(..., failures=True)` draws from them, too: a world model learns from failures what
    leads there.
    """

    def __init__(
        self, env: WorldConfig, log: Log, n_streams: Count | None = None,
        min_final_return: Share = 0.0, optimal_of: Sequence[Task] | None = None,
        push_walls: bool = False, min_final_success: Share = 0.0, rollouts: Log | None = None,
    ):
        """optimal_of: the tasks of the log, to label windows with their optimal actions
        (`Domain.optimal_actions`). rollouts: to be mixed with windows of the log
        (`self.rollouts` cuts windows from them)."""
        self.rollouts = None if rollouts is None else WindowSampler(env, rollouts)
        check_form(env, log)
        self.optimal = None    # task rewards-so-far cell
        if optimal_of is not None:
            if len(optimal_of) != len(log.reward):
                got, allowed = len(optimal_of), f"{len(log.reward)}, those of the histories"
                raise ValueError(f"optimal_of has {got} tasks; allowed: {allowed}.")
            self.optimal = domain_of(env).optimal_actions(optimal_of, push_walls)
        final = log.episode_returns[..., -10:].float().mean((1, 2))
        lowest = final.min().clamp(max=0)                       # of rewards that may be negative
        learned = final >= lowest + min_final_return * (final.median() - lowest)
        self.with_failures = learned.nonzero()[:, 0]
        if min_final_success:
            if log.success is None:
                raise ValueError(
                    f"min_final_success is {min_final_success}; allowed: 0 in {env.name}."
                )
            by_episode = log.success.unflatten(-1, (-1, env.horizon)).amax(-1)
            success = by_episode[..., -10:].float().mean((1, 2))
            learned = learned & (success >= min_final_success * success.max())
        self.learned = learned.nonzero()[:, 0]
        log = log.map(lambda values: values[:, :n_streams])
        self.env, (self.n_tasks, self.n_streams, n_steps) = env, log.reward.shape
        self.n_episodes = n_steps // env.horizon
        fields = log.observation, log.action, log.reward, log.next_observation
        world = domain_of(env)
        self.spaces = world.observation, world.action, world.reward, world.observation
        self.fields = [x.reshape(-1, env.horizon, *x.shape[3:]) for x in fields]  # episode step ...
        returns = log.episode_returns.flatten(0, 1)    # stream episode
        self.best_return = returns.amax(-1)
        self.missed = (self.best_return[:, None] - returns).flatten()    # by the best of the stream
        self.by_return = returns.argsort(dim=-1, stable=True)

    @checked
    def history(
        self, batch: Count, n_episodes: Count, max_stride: Count, generator: torch.Generator,
        by_return: bool = False, failures: bool = False,
    ) -> Windows:
        """Episodes of one stream in order, `stride` apart (drawn for each window from 1 to
        `max_stride`): the larger the stride, the steeper the improvement inside a window.
        `by_return`: in the order of their returns instead. `failures`: of tasks that the source
        does not solve, too."""
        self._check_size(batch, n_episodes)
        at_least("the number of episodes of a history", self.n_episodes, n_episodes)
        most = min(max_stride, (self.n_episodes - 1) // max(n_episodes - 1, 1))
        stride = self._draw(batch, generator, torch.full((batch,), most)) + 1
        start = self._draw(batch, generator, self.n_episodes - stride * (n_episodes - 1))
        tasks = self.with_failures if failures else self.learned
        draw = torch.randint(len(tasks) * self.n_streams, (batch,), generator=generator)
        stream = tasks[draw // self.n_streams] * self.n_streams + draw % self.n_streams
        episode = start[:, None] + stride[:, None] * torch.arange(n_episodes)
        if by_return:
            episode = self.by_return[stream[:, None], episode]
        return self._windows(stream[:, None] * self.n_episodes + episode)

    @checked
    def before_first_update(
        self, batch: Count, n_episodes: Count, n_first: Count, generator: torch.Generator,
        n_compared: Count = 1,
    ) -> Windows:
        """The first episodes of different streams of one task, in any order: actions chosen when
        no agent could know the goal. `n_first`: how many of each stream's episodes count as first
        (1: literally before the first update). `n_compared`: an episode is the one of up to so many
        that adds most cells to its window (1: any)."""
        self._check_size(batch, n_episodes)
        at_least("the number of streams", self.n_streams, n_episodes)
        at_least("the number of episodes of a history", self.n_episodes, n_first)
        task = torch.randint(self.n_tasks, (batch, 1), generator=generator)
        if n_compared > 1:
            return self._windows(self._spread(task, n_episodes, n_first, n_compared, generator))
        lot = torch.rand(batch, self.n_streams, generator=generator)
        stream = lot.argsort(-1)[:, :n_episodes]
        episode = torch.randint(n_first, stream.shape, generator=generator)
        return self._windows((task * self.n_streams + stream) * self.n_episodes + episode)

    def _spread(
        self, task: Int[Tensor, "batch 1"], n_episodes: int, n_first: int, n_compared: int,
        generator: torch.Generator,
    ) -> Int[Tensor, "batch episode"]:
        """Episodes of many cells."""
        n_compared = min(n_compared, self.n_streams)
        every = (task * self.n_streams + torch.arange(self.n_streams)) * self.n_episodes
        every = every + torch.randint(n_first, every.shape, generator=generator)
        outcome = self.fields[3][every].long()    # batch stream step
        went = torch.zeros(*every.shape, self.env.n_cells, dtype=torch.bool)
        went.scatter_(-1, outcome, True)
        return every.gather(1, spread_streams(went, n_episodes, n_compared, generator))

    def _check_size(self, batch: int, n_episodes: int) -> None:
        """Refuse windows that do not fit the memory."""
        n_bytes = batch * n_episodes * self.env.horizon * 100
        if n_bytes > 2**30:      # asking how much there is takes longer than drawing windows
            fits_memory("batch", batch, n_bytes, "a number of windows that fits the memory")

    @staticmethod
    def _draw(batch: int, generator: torch.Generator, below: Tensor) -> Int[Tensor, "batch"]:
        return (torch.rand(batch, generator=generator) * below).long()

    def _windows(self, episode: Int[Tensor, "batch episode"]) -> Windows:
        fields = (x[episode].flatten(1, 2) for x in self.fields)    # batch n ...
        fields = (x.to(space.dtype) for x, space in zip(fields, self.spaces, strict=True))
        windows = episodes_as_windows(self.env, *fields, self.missed[episode])
        if self.optimal is None:
            return windows
        by_episode = (windows.reward > 0).long().unflatten(1, (-1, self.env.horizon))
        stage = (by_episode.cumsum(-1) - by_episode).flatten(1).clamp(max=self.optimal.shape[1] - 1)
        task = (episode // (self.n_streams * self.n_episodes))[:, :1]
        return windows._replace(label=self.optimal[task, stage, windows.tokens.observation].long())


def episodes_as_windows(
    env: WorldConfig, observation: Shaped[Tensor, "batch n ..."],
    action: Shaped[Tensor, "batch n ..."], reward: Shaped[Tensor, "batch n"],
    next_observation: Shaped[Tensor, "batch n ..."], missed: Shaped[Tensor, "batch episode"],
) -> Windows:
    """Whole episodes, one after the other, as windows that imitate the actions taken. missed: what
    each episode's return lacks of the stream's best."""
    domain = domain_of(env)
    before = torch.cat((torch.zeros_like(reward[:, :1]), reward[:, :-1]), dim=1)
    before[:, :: env.horizon] = 0
    transition = action, reward, domain.outcome(observation, next_observation, reward, before)
    pairs = zip(transition, domain.no_transition, strict=True)
    last = (torch.cat((torch.full_like(x[:, :1], none), x[:, :-1]), dim=1) for x, none in pairs)
    first = torch.zeros(reward.shape, dtype=torch.long, device=reward.device)
    first[:, :: env.horizon] = 1
    tokens = Tokens(observation, *last, first)
    return_to_go = reward.unflatten(1, (-1, env.horizon)).flip(-1).cumsum(-1).flip(-1)
    desired = (return_to_go + missed[..., None]).flatten(1)
    return_to_go = return_to_go.flatten(1)
    return Windows(tokens, action, reward, next_observation, return_to_go, action, desired)


def stages(tokens: Tokens, n_stages: int) -> Int[Tensor, "batch n"]:
    """Rewards so far in the episode at each token, counted up to `n_stages` - 1 (a sum below 0
    is 0)."""
    total, position = tokens.last_reward.cumsum(1), torch.arange(tokens.first.shape[1])
    began = (tokens.first * position.to(tokens.first.device)).cummax(1).values
    first = tokens.first.cumsum(1) > 0
    older = torch.where(first, total.gather(1, began), 0)      # all rewards before the episode
    return (total - older).clamp(0, n_stages - 1).long()
