"""The training recipes the lessons arrived at, so that a later lesson can start from an earlier one's result.

`PLAIN` is the small network of lesson 05, `REGULARISED` what lesson 08 makes of it: the model that is evaluated in 12
and exported in 13.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

import pandas as pd
import torch
from torch import nn

from course_utils.artifacts import cached_model
from course_utils.data import Augment, Batches, CourseData
from course_utils.env import Profile, set_seed
from course_utils.models import build
from course_utils.train import adamw_cosine, fit

EVAL_BATCH = 256  # no gradients are kept, so evaluation can take bigger bites


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a model is trained, apart from the data and the seed."""

    model: str = "small_cnn"
    model_options: dict = field(default_factory=dict)
    epochs: int = 12
    batch_size: int = 64
    lr: float = 4e-3
    weight_decay: float = 5e-3
    warmup_steps: int = 60
    label_smoothing: float = 0.0
    augment: dict | None = None  # options of `Augment`, or None for none
    ema: float | None = None


PLAIN = Recipe()
REGULARISED = replace(PLAIN, epochs=20, label_smoothing=0.05, augment=asdict(Augment()), ema=0.99)


def loaders(data: CourseData, recipe: Recipe, *, seed: int = 0, device="cpu") -> tuple[Batches, Batches]:
    """Training batches (shuffled, augmented) and validation batches, normalised by the training set's statistics."""
    scale = {"mean": data.mean, "std": data.std, "device": device}
    augment = Augment(**recipe.augment) if recipe.augment is not None else None
    whole = len(data.train) >= recipe.batch_size  # a ragged last batch would upset batch normalisation
    train = Batches(data.train, recipe.batch_size, shuffle=True, augment=augment, seed=seed, drop_last=whole, **scale)
    return train, Batches(data.val, EVAL_BATCH, **scale)


def train_recipe(
    recipe: Recipe, data: CourseData, *, seed: int = 0, device="cpu", epochs: int | None = None, progress: bool = False
) -> tuple[nn.Module, pd.DataFrame]:
    """Train one model by `recipe` on `data.train`, watched on `data.val`; returns it (on `device`) and its history."""
    set_seed(seed)
    epochs = epochs or recipe.epochs
    model = build(
        recipe.model, in_channels=data.channels, classes=len(data.classes), size=data.size, **recipe.model_options
    ).to(device)
    train_loader, val_loader = loaders(data, recipe, seed=seed, device=device)
    optimizer, lr_scheduler = adamw_cosine(
        model, train_loader, epochs, lr=recipe.lr, weight_decay=recipe.weight_decay, warmup_steps=recipe.warmup_steps
    )
    history = fit(
        model,
        train_loader,
        val_loader,
        loss_fn=nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        optimizer=optimizer,
        lr_scheduler=lr_scheduler,
        epochs=epochs,
        device=device,
        ema=recipe.ema,
        progress=progress,
    )
    return model, history


def triage_model(
    data: CourseData,
    *,
    seed: int = 0,
    device="cpu",
    profile: str = "fast",
    recipe: Recipe = REGULARISED,
    epochs: int | None = None,
) -> tuple[nn.Module, dict]:
    """The course's triage model: from `runs/` when an earlier lesson trained it on the same data, else trained now.

    Returns the model and `info` (loaded, seconds, history); prints which of the two it was.
    """
    epochs = epochs or Profile(profile).pick(smoke=1, fast=recipe.epochs, full=3 * recipe.epochs)
    config = {
        "recipe": asdict(recipe),
        "epochs": epochs,
        "seed": seed,
        "data": data.fingerprint,
        "torch": torch.__version__,
    }

    def make():
        return train_recipe(recipe, data, seed=seed, device=device, epochs=epochs, progress=True)

    model, info = cached_model("triage", config, make)
    return model.to(device), info
