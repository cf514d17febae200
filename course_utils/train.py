"""The training loop, written to be read aloud, and the few tricks that must live inside it.

State is passed: ``model, loader, loss_fn, optimizer, device``. A loader is anything that yields (images, targets):
a PyTorch ``DataLoader`` or the course's in-memory ``Batches``.
"""

from __future__ import annotations

import copy
import math
import time
import zipfile
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from course_utils.env import atomic_path
from course_utils.metrics import macro_f1

Objective = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]
HISTORY_COLUMNS = ["epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1", "seconds"]


def hard_labels(targets: Tensor) -> Tensor:
    """Class indices (B,) from indices (B,) or from mixed soft targets (B, K)."""
    return targets.argmax(1) if targets.ndim == 2 else targets


def train_one_epoch(
    model: nn.Module,
    loader: Iterable,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    device: torch.device | str = "cpu",
    *,
    lr_scheduler=None,
    max_grad_norm: float | None = None,
    accumulate: int = 1,
    ema: EMA | None = None,
    amp: bool = False,
    objective: Objective | None = None,
) -> dict[str, float]:
    """One pass over `loader`; returns mean loss and accuracy over *samples* (a ragged last batch counts by its size).

    The loss must average over its batch. `accumulate` batches make one step, as one batch of their joint size would;
    `max_grad_norm` rescales the gradient of a step to at most that length; `lr_scheduler` and `ema` move after each
    step. `objective(model, images, targets) -> (loss, logits)` stands in for ``loss_fn(model(images), targets)`` where
    a loss needs more than one forward pass.
    Raises FloatingPointError when the epoch's loss is not finite.
    """
    model.train()
    device = torch.device(device)
    # Kept as tensors: asking for a Python number each batch would make a GPU wait.
    total_loss, correct, seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
    for group in in_groups(loader, accumulate):
        group_size = sum(len(targets) for _, targets in group)
        optimizer.zero_grad(set_to_none=True)
        for images, targets in group:
            images, targets = images.to(device, non_blocking=True), targets.to(device, non_blocking=True)
            with autocast(device, amp):
                if objective is None:
                    logits = model(images)  # (B, K)
                    loss = loss_fn(logits, targets)
                else:
                    loss, logits = objective(model, images, targets)
            share = len(targets) / group_size  # so that the group's gradient is that of one joint batch
            (loss * share if share < 1 else loss).backward()
            total_loss += loss.detach() * len(targets)
            correct += (logits.detach().argmax(1) == hard_labels(targets)).sum()
            seen += len(targets)
        if max_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        if lr_scheduler is not None:
            lr_scheduler.step()
        if ema is not None:
            ema.update(model)
    if seen == 0:
        raise ValueError("the training loader gave no batch: is the data empty, or smaller than a dropped last batch?")
    if not torch.isfinite(total_loss):
        raise FloatingPointError("the training loss is no longer finite: lower the learning rate or clip the gradient")
    return {"loss": total_loss.item() / seen, "accuracy": correct.item() / seen}


def in_groups(loader: Iterable, size: int) -> Iterable[list]:
    """Lists of `size` batches (the last may be shorter)."""
    if size < 1:
        raise ValueError(f"accumulate must be at least 1, got {size}")
    group = []
    for batch in loader:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def autocast(device: torch.device, enabled: bool):
    """bfloat16 autocast (no loss scaling needed), or nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if enabled else nullcontext()


@torch.inference_mode()
def predict(model: nn.Module, loader: Iterable, device: torch.device | str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K) float32 and targets (N,) int64 of every sample in `loader`, in its order, in evaluation mode."""
    was_training = model.training
    model.eval()
    logits, targets = [], []
    for x, y in loader:
        logits.append(model(x.to(device)).float().cpu())
        targets.append(hard_labels(y).cpu())
    model.train(was_training)
    if not logits:
        raise ValueError("nothing to predict: the loader gave no batch")
    return torch.cat(logits).numpy(), torch.cat(targets).numpy()


def evaluate(
    model: nn.Module, loader: Iterable, loss_fn: Callable, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Loss, accuracy and macro-F1 over all samples of `loader`, in evaluation mode, without gradients."""
    logits, targets = predict(model, loader, device)
    loss = loss_fn(torch.from_numpy(logits).to(device), torch.from_numpy(targets).to(device)).item()
    preds = logits.argmax(1)
    return {"loss": loss, "accuracy": float((preds == targets).mean()), "macro_f1": float(macro_f1(targets, preds))}


class EMA:
    """Exponential moving average of a model's weights and buffers (Polyak averaging; Tarvainen & Valpola 2017).

    The decay warms up as (1 + n) / (10 + n), so early steps do not pin the average to the random start.
    """

    def __init__(self, model: nn.Module, decay: float = 0.99):
        if not 0 < decay < 1:
            raise ValueError(f"the EMA decay must lie between 0 and 1, got {decay}")
        self.decay, self.steps = decay, 0
        self.model = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average one step towards `model`."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        ours, theirs = self.model.state_dict(), model.state_dict()
        floats = [k for k, v in ours.items() if v.dtype.is_floating_point]
        torch._foreach_lerp_([ours[k] for k in floats], [theirs[k] for k in floats], 1 - decay)
        for key in ours.keys() - set(floats):
            ours[key].copy_(theirs[key])


class EarlyStopping:
    """Keeps the best weights seen and says when `patience` epochs have gone by without a better one."""

    def __init__(self, patience: int, monitor: str = "val_loss"):
        if patience < 1:
            raise ValueError(f"patience must be at least 1 epoch, got {patience}")
        self.patience, self.monitor = patience, monitor
        self.sign = 1 if monitor.endswith("loss") else -1  # losses fall, scores rise
        self.best, self.waited, self.weights = float("inf"), 0, None

    def update(self, row: dict, model: nn.Module) -> bool:
        """Take in one epoch's results; True when it is time to stop."""
        value = self.sign * row[self.monitor]
        if value < self.best:
            self.best, self.waited = value, 0
            self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        else:
            self.waited += 1
        return self.waited >= self.patience


def fit(
    model: nn.Module,
    train_loader: Iterable,
    val_loader: Iterable,
    *,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: int,
    device: torch.device | str = "cpu",
    lr_scheduler=None,
    patience: int | None = None,
    monitor: str = "val_loss",
    ema: float | None = None,
    amp: bool = False,
    max_grad_norm: float | None = None,
    accumulate: int = 1,
    checkpoint: Path | str | None = None,
    progress: bool = True,
    on_epoch: Callable[[dict, nn.Module], None] | None = None,
    objective: Objective | None = None,
) -> pd.DataFrame:
    """Train `model` in place and return its history, one row an epoch (`HISTORY_COLUMNS`).

    Validation, early stopping and the weights left in `model` are those of the moving average when `ema` is set, and
    the best seen on `monitor` when `patience` is set. With `checkpoint`, the whole state is saved (atomically) after
    each epoch and taken up again when the file is there: an interrupted run ends with the same weights, bit for bit on
    one machine.
    Raises ValueError for an impossible setting, FloatingPointError when the loss blows up.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if monitor not in HISTORY_COLUMNS:
        raise ValueError(f"cannot monitor {monitor!r}: choose one of {', '.join(HISTORY_COLUMNS)}")
    model.to(device)
    average = EMA(model, ema) if ema is not None else None
    stopper = EarlyStopping(patience, monitor) if patience is not None else None
    run = TrainingState(model, optimizer, lr_scheduler, average, stopper)
    judged = average.model if average else model
    if checkpoint is not None:
        run.load(Path(checkpoint))
    bar = tqdm(total=epochs, initial=len(run.rows), desc="epochs", disable=not progress, leave=False)
    with bar:
        for epoch in range(len(run.rows) + 1, epochs + 1):
            if run.stopped:
                break
            if hasattr(train_loader, "set_epoch"):
                train_loader.set_epoch(epoch)
            start, lr = time.perf_counter(), optimizer.param_groups[0]["lr"]
            trained = train_one_epoch(
                model, train_loader, loss_fn, optimizer, device,
                lr_scheduler=lr_scheduler, max_grad_norm=max_grad_norm, accumulate=accumulate, ema=average, amp=amp,
                objective=objective,
            )  # fmt: skip
            scores = evaluate(judged, val_loader, loss_fn_for_validation(loss_fn), device)
            row = dict(zip(HISTORY_COLUMNS, [epoch, lr, *trained.values(), *scores.values(), 0.0], strict=True))
            row["seconds"] = time.perf_counter() - start
            run.rows.append(row)
            run.stopped = stopper is not None and stopper.update(row, judged)
            if on_epoch is not None:
                on_epoch(row, judged)
            if checkpoint is not None:
                run.save(Path(checkpoint))
            bar.update()
            bar.set_postfix(val_loss=f"{row['val_loss']:.3f}", val_accuracy=f"{row['val_accuracy']:.3f}")
    model.load_state_dict(stopper.weights if stopper and stopper.weights else judged.state_dict())
    return pd.DataFrame(run.rows, columns=HISTORY_COLUMNS)


def loss_fn_for_validation(loss_fn: Callable) -> Callable:
    """The same loss without label smoothing: validation asks how good the probabilities are, not how smooth."""
    if isinstance(loss_fn, nn.CrossEntropyLoss) and loss_fn.label_smoothing:
        return nn.CrossEntropyLoss(weight=loss_fn.weight)
    return loss_fn


class TrainingState:
    """Everything a run needs to go on where it stopped: weights, optimizer, schedule, averages, random state, rows."""

    def __init__(
        self, model, optimizer, lr_scheduler=None, ema: EMA | None = None, stopper: EarlyStopping | None = None
    ):
        self.parts = {"model": model, "optimizer": optimizer, "lr_scheduler": lr_scheduler}
        self.ema, self.stopper = ema, stopper
        self.rows: list[dict] = []
        self.stopped = False

    def save(self, path: Path) -> None:
        """Write to `path` in one step: a kill leaves the old checkpoint or the new one, never half of one."""
        state = {name: part.state_dict() for name, part in self.parts.items() if part is not None}
        state |= {"rows": self.rows, "stopped": self.stopped, "rng": torch.get_rng_state()}
        if torch.cuda.is_available():
            state["cuda_rng"] = torch.cuda.get_rng_state_all()
        if self.ema is not None:
            state["ema"] = {"weights": self.ema.model.state_dict(), "steps": self.ema.steps}
        if self.stopper is not None:
            state["stopper"] = {k: getattr(self.stopper, k) for k in ("best", "waited", "weights")}
        with atomic_path(path) as partial:
            torch.save(state, partial)

    def load(self, path: Path) -> None:
        """Take up the state saved at `path`, if there is one; ValueError when it belongs to another run's set-up."""
        if not path.exists():
            return
        try:
            if not zipfile.is_zipfile(path):
                raise ValueError("not a checkpoint")
            state = torch.load(path, weights_only=True)  # tensors and plain values only, never code
            for name, part in self.parts.items():
                if part is not None:
                    part.load_state_dict(state[name])
            if self.ema is not None:
                self.ema.model.load_state_dict(state["ema"]["weights"])
                self.ema.steps = state["ema"]["steps"]
            if self.stopper is not None:
                vars(self.stopper).update(state["stopper"])
        except (KeyError, RuntimeError, ValueError, EOFError) as error:
            raise ValueError(
                f"cannot resume from {path}: it does not fit this model or set-up ({error}); delete it or name another"
            ) from error
        self.rows, self.stopped = state["rows"], state["stopped"]
        torch.set_rng_state(state["rng"])
        if "cuda_rng" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_rng"])


def adamw_cosine(
    model: nn.Module, loader, epochs: int, *, lr: float = 4e-3, weight_decay: float = 5e-3, warmup_steps: int = 60
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW (Loshchilov & Hutter 2019, ICLR) whose learning rate warms up linearly, then falls as a half cosine to 1 %.

    `loader` only lends its length: steps = epochs × len(loader); the scheduler moves once a batch.
    """
    steps = epochs * len(loader)
    warmup_steps = min(warmup_steps, max(1, steps // 5))  # a short run must not spend itself on warming up

    def factor(step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
        return min(1.0, (step + 1) / warmup_steps) * (0.01 + 0.99 * cosine)

    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
