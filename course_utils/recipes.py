"""The training recipes the lessons arrived at, so that a later lesson can start from an earlier one's result.

`PLAIN` is the small network of lesson 05, `REGULARISED` what lesson 08 makes of it: the model that is evaluated in 12
and exported in 13.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from course_utils import __version__, metrics
from course_utils.artifacts import Bundle, cached_model, find_bundle, load_bundle, save_bundle
from course_utils.data import Augment, Batches, CourseData, ScanDataset
from course_utils.env import Profile, runs_dir, set_seed
from course_utils.models import build
from course_utils.tracking import TRIAGE
from course_utils.train import adamw_cosine, fit, predict

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
REGULARISED = replace(PLAIN, epochs=15, label_smoothing=0.05, augment=asdict(Augment()), ema=0.99)


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


def recipe_epochs(recipe: Recipe, profile: str) -> int:
    """How long `recipe` trains in a profile."""
    return Profile(profile).pick(smoke=1, fast=recipe.epochs, full=3 * recipe.epochs)


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
    epochs = epochs or recipe_epochs(recipe, profile)
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


def triage_identity(data: CourseData, *, seed: int = 0, profile: str = "fast") -> dict:
    """What tells the triage bundle of these data from any other: equal identities, equal models."""
    recipe = asdict(REGULARISED) | {"epochs": recipe_epochs(REGULARISED, profile)}
    made_by = {"course_utils": __version__, "torch": torch.__version__}
    return {
        "name": "triage",
        "fingerprint": data.fingerprint,
        "split_seed": seed,
        "seed": seed,
        "recipe": recipe,
    } | made_by


def triage_thresholds(model: nn.Module, data: CourseData) -> dict:
    """How the model's logits become decisions: a temperature fitted on the validation scans, and the agreed prices."""
    logits, targets = predict(model, Batches(data.val, EVAL_BATCH, mean=data.mean, std=data.std))
    temperature = round(metrics.fit_temperature(logits, targets), 4)
    if data.classes == TRIAGE.classes:  # the prices of lesson 01
        agreed = {"decisions": TRIAGE.decisions, "cost": TRIAGE.cost, "review_cost": TRIAGE.review_cost}
    else:  # nobody has named prices: a person looks at the tenth of the scans of which the model is least sure
        sure = metrics.softmax(logits, temperature).max(1)
        agreed = {"min_confidence": round(float(np.quantile(sure, 0.1)), 4)}
    return {"temperature": temperature} | agreed


def triage_scores(model: nn.Module, data: CourseData, test: ScanDataset, draws: int = 400) -> dict:
    """Accuracy and macro-F1 on the opened test scans, with intervals from resampled patients."""
    logits, targets = predict(model, Batches(test, EVAL_BATCH, mean=data.mean, std=data.std))
    scores = {"test accuracy": metrics.accuracy, "test macro-F1": metrics.macro_f1}
    return {
        name: metrics.bootstrap_interval(score, targets, logits.argmax(1), groups=test.groups, n=draws)
        for name, score in scores.items()
    }


def triage_contents(
    model: nn.Module, data: CourseData, test: ScanDataset, *, seed: int = 0, profile: str = "fast"
) -> dict:
    """What `save_bundle` is told about the triage model (on the CPU): metadata, metrics, thresholds, example."""
    said = {"dataset": data.name, "simulated": data.simulated, "classes": data.classes, "size": data.size}
    scale = {"mean": data.mean, "std": data.std}
    opened = f"Test split of {data.name}, opened to evaluate, and again to check the export."
    identity = triage_identity(data, seed=seed, profile=profile)
    return {
        "metadata": identity | said | scale | {"card": {"Evaluation Data": opened}},
        "metrics": triage_scores(model, data, test, Profile(profile).pick(smoke=50, fast=400, full=2000)),
        "thresholds": triage_thresholds(model, data),
        "example": next(iter(Batches(data.val, EVAL_BATCH, **scale)))[0],
    }


def triage_bundle(data: CourseData, *, seed: int = 0, device="cpu", profile: str = "fast") -> Bundle:
    """The triage model as a bundle: from `runs/bundles` when it has one of the same data, recipe and seed, else made.

    Prints which of the two it was. To make one, the test set is opened, the reason recorded.
    """
    root = runs_dir() / "bundles"
    bundle = find_bundle(root, triage_identity(data, seed=seed, profile=profile))
    if bundle is not None:
        print(f"bundle loaded: {bundle.version}")
        return bundle
    model, _ = triage_model(data, seed=seed, device=device, profile=profile)
    with warnings.catch_warnings():  # opened before: nothing is chosen by these scores
        warnings.simplefilter("ignore")
        test = data.open_test(reason="scores for the model card")
    contents = triage_contents(model.cpu(), data, test, seed=seed, profile=profile)
    bundle = load_bundle(save_bundle(model.cpu(), root=root, **contents))
    print(f"bundle made: {bundle.version}")
    return bundle
