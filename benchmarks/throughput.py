"""`fit` against the barest hand-written loop: same model, data, batches, threads; alternating, medians with spread.

    python -m benchmarks.throughput [--repeats 7]

Target: `fit` reaches at least 0.97 of the bare loop's samples a second.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from benchmarks.trainers import Timed
from course_utils.data import load_dataset

SCANS, BATCH = 2000, 64


def run(repeats: int = 7) -> pd.DataFrame:
    """Median, 5th and 95th percentile of training samples a second for both loops, and of their paired ratio."""
    data = load_dataset("oct-phantom", n_train=SCANS, n_val=300, n_test=100)
    loops = {name: Timed(name, data, BATCH, epochs=1) for name in ("bare loop", "fit")}
    for loop in loops.values():
        loop.once()  # warm up
    rates = {name: [] for name in loops}
    for repeat in range(repeats):  # alternate, and swap who goes first, so that a busy machine slows both alike
        for name in sorted(loops, reverse=repeat % 2 == 1):
            rates[name].append(len(data.train) / loops[name].once()["wall"])
    rates["ratio fit / bare loop"] = list(np.divide(rates["fit"], rates["bare loop"]))
    rows = {name: np.percentile(values, [50, 5, 95]) for name, values in rates.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["median", "p5", "p95"]).rename_axis("samples a second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    print(run(parser.parse_args().repeats).round(3).to_string())
