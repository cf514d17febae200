"""Training a network that answers with a number: the loop of `train`, judged by the mean absolute error.

Loaders yield (x float32 (B, …), y float32 (B,)). Whether y is standardised is the caller's matter: the loss and the
error are in its unit. A network may give several numbers (B, K), quantiles for one: the middle column is its answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from course_utils.train import Objective, train_one_epoch

HISTORY_COLUMNS = ["epoch", "lr", "train_loss", "val_loss", "val_mae", "seconds"]


def answer(outputs):
    """The middle column of (N, K) outputs, an array or a tensor: (N,)."""
    return outputs[:, outputs.shape[1] // 2]


def matched(outputs: Tensor) -> Tensor:
    """Outputs as a loss compares them with targets (B,): one column (B, 1) becomes (B,), which cannot broadcast."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def fit_numbers(
    model: nn.Module,
    train_loader: Iterable,
    val_loader: Iterable,
    *,
    loss_fn: Callable[[Tensor, Tensor], Tensor] | None = None,
    objective: Objective | None = None,
    optimizer: torch.optim.Optimizer,
    lr_scheduler=None,
    epochs: int,
    device: torch.device | str = "cpu",
    max_grad_norm: float | None = None,
    progress: bool = True,
    on_epoch: Callable[[dict, nn.Module], None] | None = None,
) -> pd.DataFrame:
    """Train `model` in place; returns its history, one row an epoch, and leaves the weights of the lowest `val_mae`.

    `loss_fn(outputs, y)`: Huber's loss (1964) unless given; outputs are (B,) of a network with one number, else (B, K).
    `objective(model, x, y) -> (loss, outputs (B, K))` stands in for it in training where a loss needs more than that,
    and y of `train_loader` is then whatever it understands. Raises ValueError for less than one epoch or an empty
    loader, FloatingPointError when loss or error is no longer finite.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    loss_fn = loss_fn or nn.HuberLoss()
    objective = objective or plain_objective(loss_fn)
    model.to(device)
    rows, best, weights = [], float("inf"), None
    with tqdm(total=epochs, desc="epochs", disable=not progress, leave=False) as bar:
        for epoch in range(1, epochs + 1):
            if hasattr(train_loader, "set_epoch"):
                train_loader.set_epoch(epoch)
            start, lr = time.perf_counter(), optimizer.param_groups[0]["lr"]
            trained = train_one_epoch(
                model, train_loader, loss_fn, optimizer, device,
                lr_scheduler=lr_scheduler, max_grad_norm=max_grad_norm, objective=objective,
            )  # fmt: skip
            val_loss, val_mae = evaluate_numbers(model, val_loader, loss_fn, device)
            row = dict(zip(HISTORY_COLUMNS, [epoch, lr, trained["loss"], val_loss, val_mae, 0.0], strict=True))
            row["seconds"] = time.perf_counter() - start
            rows.append(row)
            if val_mae < best:
                best, weights = val_mae, {key: value.detach().clone() for key, value in model.state_dict().items()}
            if on_epoch is not None:
                on_epoch(row, model)
            bar.update()
            bar.set_postfix(val_mae=f"{val_mae:.3f}")
    model.load_state_dict(weights)
    return pd.DataFrame(rows, columns=HISTORY_COLUMNS)


def plain_objective(loss_fn: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    """``loss_fn(model(x), y)`` as an objective; a network's one column is compared with y (B,) as (B,)."""

    def objective(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        outputs = model(x)  # (B, K)
        return loss_fn(matched(outputs), y), outputs

    return objective


def evaluate_numbers(model: nn.Module, loader: Iterable, loss_fn: Callable, device="cpu") -> tuple[float, float]:
    """Loss and mean absolute error over all samples of `loader`; FloatingPointError when one is not finite."""
    outputs, targets = predict_numbers(model, loader, device)
    loss = loss_fn(matched(torch.from_numpy(outputs)), torch.from_numpy(targets)).item()
    error = float(np.abs(answer(outputs) - targets).mean())
    if not np.isfinite([loss, error]).all():
        raise FloatingPointError("the validation error is no longer finite: lower the learning rate or check the data")
    return loss, error


@torch.inference_mode()
def predict_numbers(
    model: nn.Module, loader: Iterable, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (N, K) and targets (N,), float32, of every sample in `loader`, in its order, in evaluation mode."""
    was_training = model.training
    model.eval()
    outputs, targets = [], []
    for x, y in loader:
        outputs.append(model(x.to(device)).float().cpu())
        targets.append(y.float().cpu())
    model.train(was_training)
    if not outputs:
        raise ValueError("nothing to predict: the loader gave no batch")
    return torch.cat(outputs).numpy(), torch.cat(targets).numpy()
