"""What goes into the Transformer where observations and actions are numbers,
and the Gaussians that are read off it.

Everything outside is in the world's own units (metres, rewards from 0 to 10); inside, all is
divided by fixed constants (`Domain.scales`).
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dicp.config import ModelConfig
from dicp.domain import Domain
from dicp.planning import Imagined
from dicp.policies import Gaussian
from dicp.types import Tokens, Windows

MOST_RISE = 10.0             # of a reward over the last one, that a token tells: so many usual ones


class ContinuousEmbedding(nn.Linear):
    """One linear map of all fields of a token. Where an episode ended is told as the jump from
    there to the next start. What the last action changed comes in the units in which the world
    model predicts it."""

    def __init__(self, domain: Domain, d_model: int):
        super().__init__(self.n_rows(domain), d_model)
        self.scales = scales = domain.scales
        for name in ("centre", "scale", "change"):
            self.register_buffer(name, torch.tensor(getattr(scales, name)), persistent=False)

    @staticmethod
    def n_rows(domain: Domain) -> int:
        """Numbers that it reads."""
        return 3 * domain.observation.shape[0] + domain.action.shape[0] + 4

    def forward(self, tokens: Tokens) -> Float[Tensor, "*batch d_model"]:
        scaled, n = (tokens.observation - self.centre) / self.scale, len(self.scale)
        outcome, moved, rise = tokens.outcome.split((n, n, 1), dim=-1)
        born = (outcome == 0).all(-1, keepdim=True)                  # nothing has been done yet
        jump = (outcome - tokens.observation) / self.scale * ~born
        most = MOST_RISE * self.scales.reward_change
        # the first step of an episode rises from nothing
        rise = rise.clamp(-most, most) / self.scales.reward_change
        reward, first = tokens.last_reward[..., None] / self.scales.reward, tokens.first[..., None]
        parts = scaled, jump, moved / self.change, tokens.last_action, reward, rise, first, born
        return super().forward(torch.cat(parts, dim=-1))


class GaussianPredictions(NamedTuple):
    """What the world model says of one (history, action): Gaussians of the change of the reward, of
    the observation, and of the return-to-go, all scaled. What an action changes in a step is a
    hundredth of what the reward is: planning needs the change to be exact."""

    reward_change: Gaussian
    change: Gaussian
    return_to_go: Gaussian
    domain: Domain
    beta: float = 0.0                    # of `Gaussian.balanced_nll`

    def loss_terms(self, windows: Windows) -> dict[str, Tensor]:
        """- log g(reward, next observation, return-to-go | history, action taken), mean, term by
        term (Paper: Eq. 2). The observation's counts as one number's, a mean: the sum of eleven
        takes a narrow network from the policy. Measured in push, DICP-IDT: with the sum its policy
        alone succeeds in 2% of its late episodes, with the mean in 24%."""
        scales, horizon = self.domain.scales, self.domain.config.horizon
        unit = torch.tensor(scales.change).to(self.change.mean)
        change = (windows.next_observation - windows.tokens.observation) / unit
        rise = windows.reward - windows.tokens.reward_before
        rise = rise[..., None] / scales.reward_change
        returns = windows.return_to_go[..., None] / (scales.reward * horizon)
        return {
            "reward": self.reward_change.balanced_nll(rise, self.beta).mean(),
            "next_obs": self.change.balanced_nll(change, self.beta).mean(),
            "return_to_go": self.return_to_go.balanced_nll(returns, self.beta).mean(),
        }


class GaussianWorldModel(nn.Module):
    """An MLP on (what the Transformer knows at t, action), and beside it a term that is linear in
    the action: what an action does in a step is small, and depends on the goal through its
    direction. That product an MLP learns too late: measured in reach, the order of ten candidates
    has a rank correlation of 0.42 with the real one without this term, 0.64 with it."""

    def __init__(self, domain: Domain, config: ModelConfig):
        super().__init__()
        self.domain, self.beta = domain, config.nll_beta
        n, d_action = domain.observation.shape[0], domain.action.shape[0]
        self.from_context = nn.Linear(config.d_model, config.d_head_hidden)
        self.from_action = nn.Linear(d_action, config.d_head_hidden)
        self.hidden = nn.Linear(config.d_head_hidden, config.d_head_hidden)
        self.out = nn.Linear(config.d_head_hidden, 2 * (n + 2))
        self.gain_hidden = nn.Linear(config.d_model, config.d_head_hidden)
        self.gain = nn.Linear(config.d_head_hidden, (n + 2) * d_action)
        self.register_buffer("change", torch.tensor(domain.scales.change), persistent=False)

    def forward(
        self, h: Float[Tensor, "*#batch d_model"], action: Float[Tensor, "*#batch d_action"]
    ) -> GaussianPredictions:
        hidden = F.silu(self.from_context(h) + self.from_action(action))
        both = Gaussian.of(self.out(F.silu(self.hidden(hidden))))
        # ... n+2 action
        gain = self.gain(F.silu(self.gain_hidden(h))).unflatten(-1, (-1, action.shape[-1]))
        both = both._replace(mean=both.mean + (gain * action[..., None, :]).sum(-1))
        parts = zip(*(x.split((1, x.shape[-1] - 2, 1), dim=-1) for x in both), strict=True)
        return GaussianPredictions(*(Gaussian(*part) for part in parts), self.domain, self.beta)

    @staticmethod
    def n_parameters(domain: Domain, config: ModelConfig) -> int:
        """About how many it has."""
        d, hidden = config.d_model, config.d_head_hidden
        n_predicted = domain.observation.shape[0] + 2
        return hidden * (2 * d + hidden + (2 + domain.action.shape[0]) * n_predicted)

    def imagined(
        self, state: Any, action: Float[Tensor, "batch beam candidate d_action"],
        return_to_go: bool, uncertainty: bool,
    ) -> Imagined:
        """What each candidate is expected to lead to, in the world's units; it is not said how
        uncertain that is."""
        p, scales = self(state.h[:, :, None], action), self.domain.scales
        next_observation = state.observation[:, :, None] + p.change.mean * self.change
        rise = p.reward_change.mean[..., 0] * scales.reward_change
        returns = None
        if return_to_go:
            returns = p.return_to_go.mean[..., 0] * scales.reward * self.domain.config.horizon
        return Imagined(state.reward_before[:, :, None] + rise, next_observation, returns)
