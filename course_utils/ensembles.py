"""Many models as one: average what they say, average what they are, or learn whom to believe.

`logits` and `probs` are arrays (N, K) a model, all for the same scans in the same order.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from course_utils.metrics import softmax

LEAST_PROB = 1e-6  # below it a probability's logarithm says more about rounding than about the scan


# --- average what they say -------------------------------------------------------------------------------------------
def average_probs(logits: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of the models' probabilities float64 (N, K) from their logits.

    Its log loss is never above the mean of theirs (Jensen's inequality).
    """
    if not len(logits):
        raise ValueError("there is nothing to average: pass the logits of one model at least")
    return np.mean([softmax(one) for one in logits], axis=0)


def error_correlation(targets: np.ndarray, preds_a: np.ndarray, preds_b: np.ndarray) -> float:
    """Correlation of "wrong here" between two models over the same scans: 1 the same mistakes, 0 unrelated ones.

    NaN when one of them is never or always wrong.
    """
    wrong_a, wrong_b = preds_a != targets, preds_b != targets
    spread = wrong_a.std() * wrong_b.std()
    both = (wrong_a & wrong_b).mean() - wrong_a.mean() * wrong_b.mean()
    return float(both / spread) if spread else float("nan")


# --- average what they are -------------------------------------------------------------------------------------------
@torch.no_grad()
def average_weights(models: Sequence[nn.Module], shares: Sequence[float] | None = None) -> nn.Module:
    """A new model, in evaluation mode, whose every weight and buffer is the mean (or the weighted mean) of the models'.

    Whole-number buffers (counters) are taken from the first. Run `refresh_batchnorm` on the result if it has batch
    normalisation: its statistics are those of no network. Raises ValueError for no models or too few shares.
    """
    shares = [1 / max(len(models), 1)] * len(models) if shares is None else list(shares)
    if not models or len(shares) != len(models):
        raise ValueError(f"{len(shares)} shares for {len(models)} models: each model needs one, and one model at least")
    states = [model.state_dict() for model in models]
    mean = {
        name: sum(share * state[name] for share, state in zip(shares, states, strict=True))
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }
    average = copy.deepcopy(models[0]).eval()
    average.load_state_dict(mean)
    return average


@torch.no_grad()
def refresh_batchnorm(model: nn.Module, loader: Iterable, device: torch.device | str = "cpu") -> nn.Module:
    """Measure the mean and variance in every batch normalisation anew, over one pass of `loader`; returns the model.

    The plain average over batches, whatever `momentum` the layers train with, which is left as it was.
    """
    layers = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    was_training = model.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # PyTorch: None is the plain average
    model.train()
    for images, _ in loader:
        model(images.to(device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return model.train(was_training)


def cyclic_cosine(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """A learning rate that falls as a half cosine to nearly nothing every `steps` steps and then starts again at full.

    At the foot of each fall a copy of the network is worth keeping (Huang et al. 2017, ICLR: snapshot ensembles).
    """
    if steps < 1:
        raise ValueError(f"a cycle must have at least 1 step, got {steps}")
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step % steps) / steps))
    )


def keep_every(epochs: int, kept: list[nn.Module]) -> Callable[[dict, nn.Module], None]:
    """An `on_epoch` for `fit` that puts a copy of the network into `kept` after every so many epochs."""

    def on_epoch(row: dict, model: nn.Module) -> None:
        if row["epoch"] % epochs == 0:
            kept.append(copy.deepcopy(model).eval())

    return on_epoch


# --- learn whom to believe -------------------------------------------------------------------------------------------
def log_probs(logits: Sequence[np.ndarray | Tensor]) -> np.ndarray:
    """The models' log-probabilities side by side, float64 (N, models · K): what a stacker or a ranker looks at."""
    return np.log(np.clip(np.concatenate([softmax(one) for one in logits], axis=1), LEAST_PROB, 1))


def fit_stacker(logits: Sequence[np.ndarray], targets: np.ndarray) -> LogisticRegression:
    """Logistic regression from the models' log-probabilities to the class (Wolpert 1992).

    Fit it on scans that none of the models was trained on; elsewhere it learns to believe whoever learned by heart.
    """
    return LogisticRegression(C=0.1, max_iter=2000).fit(log_probs(logits), targets)


def stacked_probs(stacker: LogisticRegression, logits: Sequence[np.ndarray]) -> np.ndarray:
    """The stacker's probabilities float64 (N, K); 0 for a class that it never saw."""
    probs = np.zeros(np.shape(logits[0]))
    probs[:, stacker.classes_] = stacker.predict_proba(log_probs(logits))
    return probs
