"""`fit` against the barest hand-written loop: same model, data, batches, threads; alternating, medians with spread.

    python -m benchmarks.throughput [--repeats 7]

Target: `fit` reaches at least 0.97 of the bare loop's samples a second.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import torch
from torch import nn

from course_utils.data import Batches, load_dataset
from course_utils.env import set_seed
from course_utils.models import build
from course_utils.train import fit

SCANS, BATCH = 2000, 64


def bare_loop(model, train_loader, val_loader, loss_fn, optimizer) -> None:
    """Forward, backward, step; then logits for validation: nothing is averaged, logged, stored or checked."""
    train_loader.set_epoch(1)
    model.train()
    for images, targets in train_loader:
        optimizer.zero_grad(set_to_none=True)
        loss_fn(model(images), targets).backward()
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        for images, _ in val_loader:
            model(images)


def our_fit(model, train_loader, val_loader, loss_fn, optimizer) -> None:
    """One epoch of the course's `fit`, with all it does besides."""
    fit(model, train_loader, val_loader, loss_fn=loss_fn, optimizer=optimizer, epochs=1, progress=False)


def seconds(loop, data) -> float:
    """Wall seconds of one epoch with `loop`, from a fresh model."""
    set_seed(0, threads=1)
    model = build("small_cnn")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    train_loader = Batches(data.train, BATCH, shuffle=True, mean=data.mean, std=data.std)
    val_loader = Batches(data.val, 256, mean=data.mean, std=data.std)
    start = time.perf_counter()
    loop(model, train_loader, val_loader, nn.CrossEntropyLoss(), optimizer)
    return time.perf_counter() - start


def run(repeats: int = 7) -> pd.DataFrame:
    """Median, 5th and 95th percentile of training samples a second for both loops, and of their paired ratio."""
    data = load_dataset("oct-phantom", n_train=SCANS, n_val=300, n_test=100)
    loops = {"bare loop": bare_loop, "fit": our_fit}
    for loop in loops.values():
        seconds(loop, data)  # warm up
    rates = {name: [] for name in loops}
    for repeat in range(repeats):  # alternate, and swap who goes first, so that a busy machine slows both alike
        for name in sorted(loops, reverse=repeat % 2 == 1):
            rates[name].append(len(data.train) / seconds(loops[name], data))
    rates["ratio fit / bare loop"] = list(np.divide(rates["fit"], rates["bare loop"]))
    rows = {name: np.percentile(values, [50, 5, 95]) for name, values in rates.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["median", "p5", "p95"]).rename_axis("samples a second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    print(run(parser.parse_args().repeats).round(3).to_string())
