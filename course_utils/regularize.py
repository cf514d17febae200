"""Regularisers that are not a layer of PyTorch's, an option of its optimizers, or a way to make batches.

Dropout (`nn.Dropout`), spatial dropout (`nn.Dropout2d`) and decoupled weight decay (`torch.optim.AdamW`) come with
PyTorch, augmentation and mixing with `course_utils.data`, early stopping and averaging with `course_utils.train.fit`.
What is here either goes into a network or into the loss. The losses have the shape of fit's `objective` once their
settings are bound: ``objective=partial(r_drop, loss_fn=loss_fn, alpha=2.0)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LossFn = Callable[[Tensor, Tensor], Tensor]


class StochasticDepth(nn.Module):
    """Switch the residual branch off for a random share `p` of the pictures of a batch (Huang et al. 2016, ECCV).

    Goes at the end of a branch F in x + F(x). x: (B, ...) → the same shape; what survives is divided by 1 - p, so that
    the branch is as strong on average as in evaluation, when nothing is switched off. ValueError unless 0 <= p < 1.
    """

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"StochasticDepth(p={p}): the share to switch off must be at least 0 and below 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        alive = torch.empty(len(x), *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(1 - self.p)
        return x * (alive / (1 - self.p))  # (B, 1, ...): a picture keeps its whole branch or none of it

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


def depth_rates(blocks: int, last: float) -> list[float]:
    """The linear rule of Huang et al.: block l of L is switched off with probability l / L · `last`."""
    return [block / blocks * last for block in range(1, blocks + 1)]


def weight_matrices(model: nn.Module) -> Iterator[Tensor]:
    """The weights of dense and convolutional layers; not biases and gains, which say where and not how wildly."""
    return (weight for weight in model.parameters() if weight.ndim > 1)


def l1_penalty(model: nn.Module) -> Tensor:
    """Sum of |w| over `weight_matrices`: a scalar to add to the loss. Pulls every weight by the same force, to zero."""
    return sum(weight.abs().sum() for weight in weight_matrices(model))


def l2_penalty(model: nn.Module) -> Tensor:
    """Half the sum of w² over `weight_matrices`: a scalar for the loss. Pulls a weight in proportion to itself."""
    return sum(weight.square().sum() for weight in weight_matrices(model)) / 2


def symmetric_kl(logits: Tensor, other: Tensor) -> Tensor:
    """KL(p‖q) + KL(q‖p) of two predictions (B, K), averaged over the batch; zero where they agree.

    Summed, this is Σ (p - q) (log p - log q).
    """
    log_p, log_q = F.log_softmax(logits, dim=1), F.log_softmax(other, dim=1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1).mean()


def r_drop(
    model: nn.Module, images: Tensor, targets: Tensor, *, loss_fn: LossFn, alpha: float = 1.0
) -> tuple[Tensor, Tensor]:
    """R-Drop: the same pictures through two dropout masks must give the same answer (Liang et al. 2021, NeurIPS).

    Loss = mean of the two losses + alpha · symmetric KL / 2; the paper's is twice this with its alpha twice ours, so
    that ours stays on the scale of `loss_fn`. Needs a model with dropout. targets: (B,), or (B, K) when mixed. Returns
    the scalar loss and the logits (B, K) of the first pass.
    """
    both = model(torch.cat([images, images]))  # (2B, K): one pass, two masks
    first, second = both.chunk(2)
    fit_loss = (loss_fn(first, targets) + loss_fn(second, targets)) / 2
    return fit_loss + alpha * symmetric_kl(first, second) / 2, first


def r3f(
    model: nn.Module, images: Tensor, targets: Tensor, *, loss_fn: LossFn, weight: float = 1.0, sigma: float = 0.1
) -> tuple[Tensor, Tensor]:
    """R3F: a small normal noise on the input must not change the answer (Aghajanyan et al. 2021, ICLR).

    Loss = loss_fn on the clean pictures + weight · (KL(p‖q) + KL(q‖p)), q the prediction with noise of standard
    deviation `sigma` added. The paper adds it to word embeddings; pictures are numbers already, so here it goes onto
    the normalised picture (B, C, H, W). Returns the scalar loss and the clean logits (B, K).
    """
    noisy = images + sigma * torch.randn_like(images)
    clean, disturbed = model(torch.cat([images, noisy])).chunk(2)  # (B, K) each, under one batch's statistics
    return loss_fn(clean, targets) + weight * symmetric_kl(clean, disturbed), clean
