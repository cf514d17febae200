"""The trainers that `benchmarks.frameworks` compares, and the process in which one of them is timed.

    python -m benchmarks.trainers '{"trainer": "fit"}'

Every trainer is given the same model, the same `Batches` in memory and the same AdamW, validates after each epoch, and
has to end with the same weights. A framework gets the leanest setting it knows: no progress bar, no log, no checkpoint,
no sanity check, no worker processes, and our own loader instead of its own.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

import torch
from torch import nn

from course_utils.data import Batches, CourseData, load_dataset
from course_utils.env import set_seed
from course_utils.models import build
from course_utils.train import evaluate
from course_utils.train import fit as course_fit

LR, LOSS = 1e-3, nn.CrossEntropyLoss()
SETTINGS = {"dataset": "oct-phantom", "scans": 1000, "val_scans": 200, "batch_size": 64, "epochs": 3}


def adamw(model: nn.Module) -> torch.optim.AdamW:
    """The optimizer of every trainer."""
    return torch.optim.AdamW(model.parameters(), lr=LR)


def plain_loop(model: nn.Module, epochs: Iterable[Iterable], val_batches: Iterable) -> None:
    """Forward, backward, step, then validation's forward passes: nothing is averaged, logged, stored or checked."""
    optimizer = adamw(model)
    for batches in epochs:
        model.train()
        for images, targets in batches:
            optimizer.zero_grad(set_to_none=True)
            LOSS(model(images), targets).backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            for images, _ in val_batches:
                model(images)


def bare(model: nn.Module, train_loader: Batches, val_loader: Batches, epochs: int) -> None:
    """The hand-written loop, fed by `Batches` as the others are."""
    plain_loop(model, [train_loader] * epochs, val_loader)  # each pass goes on to the next epoch


def fit(model: nn.Module, train_loader: Batches, val_loader: Batches, epochs: int) -> None:
    """The course's `fit`: also records loss, accuracy and macro-F1."""
    course_fit(model, train_loader, val_loader, loss_fn=LOSS, optimizer=adamw(model), epochs=epochs, progress=False)


class Plain:
    """A loader whose epoch begins with its first batch: Lightning asks for an iterator too many, to see that it can."""

    def __init__(self, loader: Batches):
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator:
        yield from self.loader


def lightning(model, train_loader, val_loader, epochs: int, *, record: bool = False) -> None:
    """Lightning's Trainer; with `record` the module also logs the mean losses, as one would have to."""
    import lightning as L

    class Module(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch, _):
            return self.loss("train_loss", batch)

        def validation_step(self, batch, _):
            return self.loss("val_loss", batch)

        def loss(self, name, batch):
            loss = LOSS(self.model(batch[0]), batch[1])
            if record:
                self.log(name, loss, on_step=False, on_epoch=True, batch_size=len(batch[1]))
            return loss

        def configure_optimizers(self):
            return adamw(self.model)

    trainer = L.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, deterministic="warn",
    )  # fmt: skip
    trainer.fit(Module(), Plain(train_loader), val_loader)


def lightning_recorded(model, train_loader, val_loader, epochs: int) -> None:
    """Lightning, the losses of both splits logged once an epoch."""
    lightning(model, train_loader, val_loader, epochs, record=True)


def skorch(model, train_loader, val_loader, epochs: int) -> None:
    """skorch's NeuralNet; its history keeps both losses. Nothing is printed."""
    from skorch import NeuralNet
    from skorch.helper import predefined_split

    net = NeuralNet(
        model, LOSS, optimizer=torch.optim.AdamW, lr=LR, max_epochs=epochs, device="cpu", verbose=0,
        train_split=predefined_split(val_loader.dataset), callbacks__print_log=None,
        iterator_train=lambda *_, **__: train_loader, iterator_valid=lambda *_, **__: val_loader,
    )  # fmt: skip
    net.fit(train_loader.dataset, None)


def fastai(model, train_loader, val_loader, epochs: int) -> None:
    """fastai's Learner; its recorder keeps both losses. Nothing is printed."""
    from fastai.basics import DataLoaders, Learner, OptimWrapper  # without fastai's progress bars

    def optimizer(parameters, **options):
        return OptimWrapper(parameters, torch.optim.AdamW, **options)

    loaders = DataLoaders(train_loader, val_loader, device=torch.device("cpu"))
    learner = Learner(loaders, model, loss_func=LOSS, opt_func=optimizer, lr=LR, wd=1e-2)  # AdamW's own default
    with learner.no_logging():
        learner.fit(epochs)


TRAINERS: dict[str, Callable] = {
    "floor": plain_loop,
    "bare loop": bare,
    "fit": fit,
    "Lightning": lightning,
    "Lightning, losses logged": lightning_recorded,
    "skorch": skorch,
    "fastai": fastai,
}
PACKAGES = {name: name.split(",")[0].lower() for name in TRAINERS if name not in ("floor", "bare loop", "fit")}


def loaders(data: CourseData, batch_size: int) -> tuple[Batches, Batches]:
    """Shuffled training batches from epoch 1 on, and validation batches, both normalised."""
    scale = {"mean": data.mean, "std": data.std}
    train_loader = Batches(data.train, batch_size, shuffle=True, **scale)
    train_loader.set_epoch(1)
    return train_loader, Batches(data.val, 256, **scale)


class Timed:
    """One trainer with its data: `once()` trains a fresh model and returns wall and CPU seconds of an epoch."""

    def __init__(self, trainer: str, data: CourseData, batch_size: int, epochs: int):
        self.name, self.data, self.batch_size, self.epochs = trainer, data, batch_size, epochs
        self.model: nn.Module

    def once(self) -> dict[str, float]:
        """Seconds of an epoch, set-up of the trainer included; building the model and the data is not."""
        set_seed(0, threads=1)
        self.model = build("small_cnn", classes=len(self.data.classes), size=self.data.size)
        train_loader, val_loader = loaders(self.data, self.batch_size)
        job = (self.model, train_loader, val_loader, self.epochs)
        if self.name == "floor":
            job = (self.model, [list(train_loader) for _ in range(self.epochs)], list(val_loader))
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        TRAINERS[self.name](*job)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"wall": wall / self.epochs, "cpu": cpu / self.epochs}

    def check(self) -> dict[str, float | int | bool]:
        """What all trainers must have in common after `once`: where they ended, on how many threads."""
        loss = evaluate(self.model, loaders(self.data, self.batch_size)[1], LOSS)["loss"]
        deterministic = torch.are_deterministic_algorithms_enabled()
        return {"val_loss": loss, "threads": torch.get_num_threads(), "deterministic": deterministic}


def main(settings: str) -> None:
    """Warm up, say so, then train once for every line on standard input: a JSON answer a line on standard output."""
    answers, sys.stdout = os.fdopen(os.dup(1), "w", buffering=1), sys.stderr  # frameworks may print what they like
    given = SETTINGS | json.loads(settings)
    name = given["trainer"]
    package = PACKAGES.get(name)
    about = {"version": f"{package} {version(package)}" if package else ""}
    data = load_dataset(given["dataset"], n_train=given["scans"], n_val=given["val_scans"])
    timed = Timed(name, data, given["batch_size"], given["epochs"])
    timed.once()
    print(json.dumps({**about, **timed.check(), "scans": len(data.train)}), file=answers)
    for _ in sys.stdin:
        print(json.dumps(timed.once()), file=answers)


if __name__ == "__main__":
    main(sys.argv[1])
