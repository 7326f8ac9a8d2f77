"""IDT (Huang et al. 2024, "In-Context Decision Transformer") and, with a world model beside its
policy head, DICP-IDT.

Two levels. Every `chunk` env steps the high level takes a decision z, a few numbers; the low level
acts for one chunk, and knows of all that was before only what z tells it (Paper: section 3). A
planner therefore imagines no further than the end of the chunk: what comes after it is another
decision's, and decisions are not imagined.
"""

from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dicp.checks import Count, checked, refuse
from dicp.config import ModelConfig, WorldConfig
from dicp.domain import domain_of
from dicp.models.ad import BeamState, InContextModel
from dicp.models.context import Context, whole_episodes
from dicp.models.heads import heads_of
from dicp.models.sizes import check_context
from dicp.models.transformer import Cache, Transformer
from dicp.types import Tokens, Windows


class ReviewingDecisions(nn.Module):
    """Which decision was it? Reads a finished chunk and names the decision that would have led
    to it (IDT)."""

    def __init__(self, env: WorldConfig, config: ModelConfig):
        super().__init__()
        self.embed = heads_of(domain_of(env)).embedding(domain_of(env), config.d_model)
        self.transformer = Transformer(replace(config, n_layers=min(config.n_layers, 2)))
        self.out = nn.Linear(config.d_model, 2 * config.d_decision)

    def forward(self, finished: Tokens) -> Float[Tensor, "batch two_d_decision"]:
        """Mean and log-variance. finished [batch chunk]: cell, and which action,
        reward and arrival came OF it."""
        return self.out(self.transformer(self.embed(finished))[:, -1])


class HighLevel(nn.Module):
    """A Decision Transformer over chunks, one token a chunk: the return that is still desired (with
    `return_conditioned`) and the observation as the chunk begins, and the review of the chunk
    before. It predicts this chunk's decision, a diagonal Gaussian (IDT)."""

    def __init__(self, env: WorldConfig, config: ModelConfig):
        super().__init__()
        self.most = env.horizon * domain_of(env).max_reward    # that an episode may bring
        self.embed = heads_of(domain_of(env)).embedding(domain_of(env), config.d_model)
        self.from_return = nn.Linear(1, config.d_model) if config.return_conditioned else None
        self.from_review = nn.Linear(2 * config.d_decision, config.d_model)
        self.transformer = Transformer(config)
        self.out = nn.Linear(config.d_model, 2 * config.d_decision)

    def forward(
        self, start: Tokens, desired_return: Tensor,
        review: Float[Tensor, "*batch two_d_decision"], cache: Cache | None = None,
    ) -> Float[Tensor, "*batch two_d_decision"]:
        """Mean and log-variance for all chunks of a window (fields [batch chunks]), which an empty
        cache will remember, or for the next one ([batch] and a cache). desired_return [*batch]:
        rewards still wanted in the episode."""
        x = self.embed(start) + self.from_review(review)
        if self.from_return is not None:
            x = x + self.from_return(desired_return[..., None] / self.most)
        read = self.transformer.append if x.ndim == 2 else self.transformer
        return self.out(read(x, cache))


class ChunkStart(NamedTuple):
    """What the high level reads as a chunk begins."""

    tokens: Tokens                      # fields [batch]
    desired_return: Tensor              # [batch]
    review: Tensor                # of the chunk before [batch 2 * d_decision]; zeros at the start

    def rows(self, index: Tensor) -> "ChunkStart":
        """The same for some of the agents."""
        return ChunkStart(self.tokens.rows(index), self.desired_return[index], self.review[index])


@dataclass
class ChunkContext(Context):
    """What an agent remembers, for a batch of agents: the chunks of the last whole episodes, each
    with the review of the one before it, and the present chunk step by step."""

    decisions: Cache                             # of the high level, one token a chunk
    starts: list[ChunkStart]                     # what the high level has read
    cache: Cache                                 # of the low level, for this chunk alone
    prompt: Float[Tensor, "batch"]               # the return that is asked for in every episode
    desired_return: Float[Tensor, "batch"]       # what is left of it in this one
    generator: torch.Generator                   # draws the decisions
    # the tokens of this chunk, to be reviewed (fields [batch])
    held: list[Tokens]
    # of this chunk, as it is added to each token [batch d_model]
    decision: Tensor | None = None
    # the low level's reading of the last token [batch d_model]
    h: Tensor | None = None

    @property
    def observation(self) -> Tensor:
        """The present one [batch ...]."""
        return self.held[-1].observation

    @property
    def reward_before(self) -> Tensor:
        """The last one of this episode, 0 as it begins [batch]."""
        return self.held[-1].reward_before

    @property
    def max_plan_depth(self) -> int:
        """Env steps that may be imagined from here: the one about to be taken,
        and the rest of the chunk."""
        return self.cache.capacity - self.cache.n_held + 1

    @property
    def n_transitions(self) -> int:
        """Those whose outcome the agent remembers."""
        return (len(self.starts) - 1) * self.cache.capacity + self.cache.n_held - 1

    def rows(self, index: Tensor) -> "ChunkContext":
        """The same for some of the agents."""
        names = "prompt", "desired_return", "decision", "h"
        parts = {name: getattr(self, name)[index] for name in names}
        held = [tokens.rows(index) for tokens in self.held]
        starts = [start.rows(index) for start in self.starts]
        caches = dict(decisions=self.decisions.rows(index), cache=self.cache.rows(index))
        return replace(self, starts=starts, held=held, **caches, **parts)


class HierarchicalModel(InContextModel):
    """Both levels. The low one (IDT's Decisions-to-Go) is AD's model with this chunk for its whole
    context and the decision added to every token; policy, world model and imagination are read off
    it as AD's are."""

    def __init__(self, env: WorldConfig, config: ModelConfig):
        super().__init__(env, config)
        self.review, self.high_level = ReviewingDecisions(env, config), HighLevel(env, config)
        self.from_decision = nn.Linear(config.d_decision, config.d_model)
        # return asked for in an episode: training sets it
        self.register_buffer("prompt", torch.tensor(torch.nan))
        self.asked: Tensor | None = None    # the same for each agent, see `prompted`

    # ---- training: whole windows -----------------------------------------------------------------

    def read(self, windows: Windows) -> Float[Tensor, "batch n d_model"]:
        """The low level's vector at every position of whole chunks; the heads turn it into
        predictions. One decision a chunk is drawn from PyTorch's default generator."""

        def by_chunk(steps: Tokens) -> Tokens:
            # batch chunk step ...
            return steps.map(lambda x: x.unflatten(1, (-1, self.config.chunk)))

        tokens, batch = by_chunk(windows.tokens), len(windows.action)
        observation, before = windows.tokens.observation, windows.tokens.reward_before
        outcome = self.domain.outcome(observation, windows.next_observation, windows.reward, before)
        no = torch.zeros_like(windows.tokens.first)
        finished = by_chunk(Tokens(observation, windows.action, windows.reward, outcome, no))
        review = self.review(finished.map(lambda x: x.flatten(0, 1))).unflatten(0, (batch, -1))
        review = F.pad(review, (0, 0, 1, -1))    # of the chunk before; zeros at the start
        start = self.forgetful(tokens.map(lambda x: x[:, :, 0]))
        desired_return = windows.desired_return[:, :: self.config.chunk]
        decision = self.draw(self.high_level(start, desired_return, review))
        later = tokens.map(lambda x: x[:, :, 1:])
        steps = Tokens.concat((start.map(lambda x: x[:, :, None]), later), dim=2)
        x = self.embed(steps) + decision[:, :, None]
        return self.transformer(x.flatten(0, 1)).view(batch, -1, self.config.d_model)

    forward = read            # AD's would read a window without its decisions

    def draw(
        self, gaussian: Float[Tensor, "*batch two_d_decision"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*batch d_model"]:
        """Draw decisions (mean and log-variance given), so that gradients pass;
        as they are added to the tokens."""
        mean, log_variance = gaussian.chunk(2, dim=-1)
        where = mean.device if generator is None else generator.device
        noise = torch.randn(mean.shape, generator=generator, device=where).to(mean)
        return self.from_decision(mean + (log_variance / 2).exp() * noise)

    def forgetful(self, tokens: Tokens) -> Tokens:
        """The tokens as a chunk begins: of what came before, the decision alone tells."""
        transition = tokens.last_action, tokens.last_reward, tokens.outcome
        pairs = zip(transition, self.domain.no_transition, strict=True)
        nothing = (torch.full_like(x, value) for x, value in pairs)
        return Tokens(tokens.observation, *nothing, tokens.first)

    # ---- acting: one real token at a time --------------------------------------------------------

    @checked
    def prompted(self, desired_return: Float[Tensor, "batch"]) -> "HierarchicalModel":
        """The same weights, asked for a return of its own by each agent in every episode.

        The authors' code asks for the highest return of the UNSEEN task. That is privileged: in
        Darkroom it tells how many steps away the goal lies. In the other worlds it tells nothing,
        because every task allows the same.
        """
        if desired_return.ndim != 1 or not desired_return.isfinite().all():
            raise refuse("desired_return", desired_return, "a finite number for each agent")
        other = copy(self)    # shares every parameter and buffer
        other.asked = desired_return.to(self.device)
        return other

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> ChunkContext:
        """An empty context for each of `batch` agents. generator: draws the decisions
        (None: a new one, seeded 0)."""
        chunk = self.config.chunk
        context_length = whole_episodes(self.env, self.config, context_length)
        check_context(self.env, self.config, batch, context_length, self.device)
        asked = self.prompt.expand(batch) if self.asked is None else self.asked
        if len(asked) != batch:
            raise ValueError(
                f"desired_return has {len(asked)} agents; allowed: {batch}, as many as there are."
            )
        if asked.isnan().any():
            raise ValueError(
                "This model has no prompt: train it first, or ask for a return with `prompted`."
            )
        decisions = Cache(self.config, batch, context_length // chunk, self.device)
        steps = Cache(self.config, batch, chunk, self.device)
        generator = generator or torch.Generator().manual_seed(0)
        return ChunkContext(decisions, [], steps, asked, asked, generator, [])

    @torch.no_grad()
    def observe(self, context: ChunkContext, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        """Append one real token of each agent (fields [batch]); returns the policy's logits. As a
        chunk begins, the one before is reviewed and the next decision drawn."""
        left = context.desired_return - tokens.last_reward
        context.desired_return = torch.where(tokens.first == 1, context.prompt, left)
        context.held.append(tokens)
        if context.cache.n_held % self.config.chunk == 0:
            tokens = self.forgetful(tokens)
            self._decide(context, tokens)
        context.h = self.transformer.append(self.embed(tokens) + context.decision, context.cache)
        return self.policy_head(context.h)

    def _decide(self, context: ChunkContext, start: Tokens) -> None:
        """Review the finished chunk, draw the next one's decision, and begin it. Once the context
        is full, its oldest episode is forgotten and the others are read again, as in
        `EpisodicContext`."""
        if context.decisions.n_held == context.decisions.capacity:
            self._forget(context)
        held = Tokens.stack(context.held)                                       # [batch chunk+1]
        review = context.prompt.new_zeros(len(context.prompt), 2 * self.config.d_decision)
        if context.starts:
            transition = (x[:, 1:] for x in (held.last_action, held.last_reward, held.outcome))
            no = torch.zeros_like(held.first[:, 1:])
            review = self.review(Tokens(held.observation[:, :-1], *transition, no))
        context.starts.append(ChunkStart(start, context.desired_return, review))
        gaussian = self.high_level(*context.starts[-1], context.decisions)
        context.decision = self.draw(gaussian, context.generator)
        context.cache = Cache(self.config, len(review), self.config.chunk, self.device)
        context.held = context.held[-1:]

    def _forget(self, context: ChunkContext) -> None:
        context.starts = context.starts[self.env.horizon // self.config.chunk :]
        context.decisions.n_held = 0
        if context.starts:
            first = context.starts[0]
            context.starts[0] = first._replace(review=torch.zeros_like(first.review))
            tokens, *numbers = zip(*context.starts, strict=True)
            desired_return, review = (torch.stack(each, dim=1) for each in numbers)
            self.high_level(Tokens.stack(tokens), desired_return, review, context.decisions)

    # ---- planning: AD's, with the decision; beams share the chunk's cache ------------------------

    def embed_imagined(
        self, state: BeamState, tokens: Tokens
    ) -> Float[Tensor, "batch beam d_model"]:
        """One more token a beam, embedded, with the decision."""
        if len(state.imagined) + 1 >= state.context.max_plan_depth:
            most = state.context.max_plan_depth
            raise ValueError(
                f"a plan is over {most} env steps long; allowed: 1 to {most}, to the chunk's end."
            )
        return self.embed(tokens) + state.context.decision[:, None]
