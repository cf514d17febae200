"""Losses that say what we mean: prices, hard scans, several targets at once, scores without a gradient, and orderings.

Words: `logits` float (B, K), `targets` int64 (B,) class ids, `cost` float (K, K): row truth, column the class that is
said. Each loss averages over its batch and is a scalar to call `backward` on.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


# --- one target ------------------------------------------------------------------------------------------------------
def focal_loss(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Cross-entropy of each scan times (1 - p of its class)^gamma: easy scans count less (Lin et al. 2017, ICCV).

    gamma 0 is cross-entropy. Raises ValueError for a negative one.
    """
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0, got {gamma}")
    log_p = logits.log_softmax(1).gather(1, targets[:, None]).squeeze(1)  # (B,)
    return -((1 - log_p.exp()) ** gamma * log_p).mean()


def expected_cost_loss(logits: Tensor, targets: Tensor, cost: Tensor) -> Tensor:
    """What is to be paid on average when each scan's answer is drawn from softmax(logits): Σ_j p(j)·cost[target, j].

    Exact and differentiable, since a scan has few possible answers. With cost 1 off the diagonal: the expected error.
    Raises ValueError when `cost` does not have a column for each logit.
    """
    if cost.ndim != 2 or cost.shape[1] != logits.shape[1]:
        raise ValueError(f"cost must have a column for each of {logits.shape[1]} answers, but is {tuple(cost.shape)}")
    return (logits.softmax(1) * cost[targets]).sum(1).mean()


def priced_cross_entropy(logits: Tensor, targets: Tensor, cost: Tensor) -> Tensor:
    """Cross-entropy, which keeps the classes apart, and the expected cost, which knows what it is for: their sum."""
    return F.cross_entropy(logits, targets) + expected_cost_loss(logits, targets, cost)


# --- two targets -----------------------------------------------------------------------------------------------------
class TwoHeads(nn.Module):
    """A course network with a second head: `forward` gives logits (B, K), `both` also one number a scan (B,)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.number = nn.Linear(network.head.in_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, C, S, S) → logits (B, K) and a number (B,), from the same features."""
        features = self.network.embed(x)  # (B, D)
        return self.network.head(features), self.number(features).squeeze(1)


def robust_scale(values: Tensor) -> tuple[float, float]:
    """Centre and spread of the values that are there: median, and interquartile range in standard deviations (/1.349).

    A few absurd values move neither. Raises ValueError when fewer than two values are there or all are equal.
    """
    known = values[~values.isnan()].double()
    if len(known) < 2:
        raise ValueError(f"a scale needs two values at least, and {len(known)} of {len(values)} are not missing")
    low, centre, high = known.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    if high == low:
        raise ValueError(f"the middle half of the values are all {low:g}: they have no spread to divide by")
    return centre, (high - low) / 1.349


def masked_huber(y_hat: Tensor, y: Tensor, delta: float = 1.0) -> Tensor:
    """Huber's loss over the rows whose y is not NaN; 0, with a gradient of 0, when none is (Huber 1964).

    Squared below `delta`, straight above it: one absurd value pulls no harder than any other large error.
    """
    known = ~y.isnan()
    if not known.any():
        return y_hat.sum() * 0
    return F.huber_loss(y_hat[known], y[known], delta=delta)


class UncertaintyWeights(nn.Module):
    """Learned weights for several losses: Σ exp(-s_i)·L_i + s_i / 2 (Kendall, Gal & Cipolla 2018, CVPR).

    s_i is the log of task i's noise variance. Where a loss stays at L, the best s_i gives it the weight 1 / 2L, so that
    each loss counts alike whatever its unit. (The paper has another factor ½ in front of squared errors.)
    """

    def __init__(self, tasks: int = 2):
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(tasks))

    def forward(self, *losses: Tensor) -> Tensor:
        return (torch.exp(-self.log_variance) * torch.stack(losses) + self.log_variance / 2).sum()


# --- a score without a gradient --------------------------------------------------------------------------------------
def sample_answers(logits: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
    """Answers int64 (samples, B), drawn for each scan from softmax(logits)."""
    return logits.detach().softmax(1).multinomial(samples, replacement=True, generator=generator).T


def leave_one_out(rewards: Tensor) -> Tensor:
    """Each sample's reward (S, …) less the mean reward of the *other* samples (Kool et al. 2019).

    The baseline of a sample does not depend on that sample, so the gradient stays right on average.
    Raises ValueError for a single sample.
    """
    if len(rewards) < 2:
        raise ValueError("leaving one sample out needs another one: draw at least two")
    return rewards - (rewards.sum(0) - rewards) / (len(rewards) - 1)


def reinforce_loss(logits: Tensor, answers: Tensor, advantages: Tensor) -> Tensor:
    """A scalar whose gradient is, on average over the draws, that of *minus* the expected reward (Williams 1992).

    answers: (S, B) as drawn; advantages: rewards, less a baseline or not; (S, B) one a scan, or (S,) one a batch.
    Raises ValueError for other shapes.
    """
    log_p = logits.log_softmax(1).expand(len(answers), -1, -1).gather(2, answers[..., None]).squeeze(2)  # (S, B)
    if advantages.shape == answers.shape[:1]:
        return -(advantages.detach() * log_p.sum(1)).mean()  # the whole batch earned it together
    if advantages.shape != answers.shape:
        wanted = f"{tuple(answers.shape[:1])} or {tuple(answers.shape)}"
        raise ValueError(f"advantages must have shape {wanted} like the answers, but have {tuple(advantages.shape)}")
    return -(advantages.detach() * log_p).mean()


def sampled_macro_f1(answers: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Macro-F1 (S,) of each drawn set of answers (S, B) against targets (B,): one reward for a whole batch.

    As `metrics.macro_f1`: the mean over the classes that occur in the targets or in those answers.
    """
    said = F.one_hot(answers, classes).float()  # (S, B, K)
    true = F.one_hot(targets, classes).float()  # (B, K)
    hits, size = (said * true).sum(1), said.sum(1) + true.sum(0)  # (S, K)
    return (2 * hits / size.clamp(min=1)).sum(1) / (size > 0).sum(1)


# --- an order --------------------------------------------------------------------------------------------------------
def ranking_loss(scores: Tensor, grades: Tensor) -> Tensor:
    """Mean of log(1 + exp(s_low - s_high)) over all pairs of different grade (RankNet: Burges et al. 2005, ICML).

    scores (N,), grades (N,), higher is to come first. Raises ValueError when all grades are equal: nothing to order.
    """
    before = grades[:, None] > grades[None, :]  # (N, N): i must come before j
    if not before.any():
        raise ValueError("all grades are equal: there is no pair to put in order")
    return F.softplus(scores[None, :] - scores[:, None])[before].mean()
