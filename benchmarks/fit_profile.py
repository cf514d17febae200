"""Where the time of `fit` goes, part by part, beside the same parts of the floor: milliseconds a training batch.

    python -m benchmarks.fit_profile [--rounds 11]

Functions are wrapped in a stopwatch that counts each moment once, for the innermost of them: the parts add up to the
whole. On a CPU PyTorch works while it is called, so the clock sees the work itself (on a GPU it would not).
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from unittest.mock import patch

import pandas as pd
import torch

from benchmarks import trainers
from benchmarks.trainers import SETTINGS
from course_utils import train
from course_utils.data import Batches, load_dataset
from course_utils.env import set_seed
from course_utils.models import build

# What the clock is told apart by, and what it means.
PARTS = {
    "forward": "the model, in training",
    "loss": "the loss of a batch",
    "backward": "its gradient",
    "optimizer": "zero_grad and step",
    "gather": "order of the epoch; the rows of a batch",
    "scale": "bytes to float, minus mean, by deviation",
    "loop": "running loss and accuracy, the loop itself",
    "val forward": "the model, in validation",
    "val gather": "as above, for validation",
    "val scale": "as above, for validation",
    "val scores": "loss, accuracy, macro-F1",
    "around": "set-up, history, once an epoch",
}


class Stopwatch:
    """Seconds by name; time in a wrapped function called by another counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []  # for each wrapped function that runs now: what its wrapped callees took

    def timed(self, name: str | Callable[[], str], function: Callable) -> Callable:
        """`function`, its time counted under `name` (or what `name()` says at the call)."""

        def wrapped(*args, **kwargs):
            label = name() if callable(name) else name
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                self.seconds[label] += spent - self._inner.pop()
                if self._inner:
                    self._inner[-1] += spent

        return wrapped


class TimedBatches:
    """`Batches` whose gathering and scaling are timed."""

    def __init__(self, watch: Stopwatch, loader: Batches, prefix: str = ""):
        self.watch, self.loader, self.prefix = watch, loader, prefix
        self.set_epoch = loader.set_epoch
        loader._make = watch.timed(f"{prefix}scale", loader._make)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator:
        batches, step = iter(self.loader), self.watch.timed(f"{self.prefix}gather", next)
        while (batch := step(batches, None)) is not None:
            yield batch


def profile(trainer: str, data, batch_size: int, epochs: int) -> dict[str, float]:
    """Seconds of each part of one training from a fresh model; `trainer` is "fit", "bare loop" or "floor"."""
    set_seed(0, threads=1)
    model = build("small_cnn", classes=len(data.classes), size=data.size)
    loaders, watch = trainers.loaders(data, batch_size), Stopwatch()
    feeds = [TimedBatches(watch, loader, prefix) for loader, prefix in zip(loaders, ("", "val "))]
    job = (model, *feeds, epochs)
    if trainer == "floor":
        job = (model, [list(loaders[0]) for _ in range(epochs)], list(loaders[1]))
        watch.seconds.clear()  # what made the batches ready
    whole = watch.timed("around" if trainer == "fit" else "loop", trainers.TRAINERS[trainer])
    gc.collect()
    with ExitStack() as stack:
        for owner, name, wrapped in _wrapped(watch, model):
            stack.enter_context(patch.object(owner, name, wrapped))
        whole(*job)
    return dict(watch.seconds)


def _wrapped(watch: Stopwatch, model: torch.nn.Module) -> Iterator[tuple[object, str, Callable]]:
    """What has to be replaced by a timed version, where, and by what."""
    in_training = lambda a, b: lambda: a if model.training else b  # noqa: E731

    def adamw(model, make=trainers.adamw):
        optimizer = make(model)
        for method in ("zero_grad", "step"):
            setattr(optimizer, method, watch.timed("optimizer", getattr(optimizer, method)))
        return optimizer

    yield model, "forward", watch.timed(in_training("forward", "val forward"), model.forward)
    yield trainers, "LOSS", watch.timed(in_training("loss", "val scores"), trainers.LOSS)
    yield trainers, "adamw", adamw
    yield torch.Tensor, "backward", watch.timed("backward", torch.Tensor.backward)
    yield train, "train_one_epoch", watch.timed("loop", train.train_one_epoch)
    yield train, "evaluate", watch.timed("val scores", train.evaluate)


def run(rounds: int = 11, **settings) -> pd.DataFrame:
    """One row a part: median milliseconds a training batch in fit and in the floor, and by how much fit's is more.

    `above_%` is in percent of the whole floor, so that the last row's is what all of fit costs above it.
    """
    given = SETTINGS | settings
    data = load_dataset(given["dataset"], n_train=given["scans"], n_val=given["val_scans"])
    options = (data, given["batch_size"], given["epochs"])
    names = ("floor", "fit")
    for name in names:
        profile(name, *options)  # warm up
    taken = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[:: 1 if turn % 2 else -1]:
            taken[name].append(profile(name, *options))
    batches = given["epochs"] * len(trainers.loaders(data, given["batch_size"])[0])
    table = pd.DataFrame(
        {
            f"{name}_ms": 1000 / batches * pd.DataFrame(taken[name]).reindex(columns=list(PARTS)).fillna(0).median()
            for name in ("fit", "floor")
        }
    )
    table.loc["all"] = table.sum()
    table["above_ms"] = table["fit_ms"] - table["floor_ms"]
    table["above_%"] = 100 * table["above_ms"] / table.loc["all", "floor_ms"]
    return table.assign(what=[*PARTS.values(), ""]).rename_axis("part").reset_index()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    for option, value in SETTINGS.items():
        parser.add_argument(f"--{option.replace('_', '-')}", type=type(value), default=value)
    print(run(**vars(parser.parse_args())).round(3).to_string(index=False))
