"""The course's data set: train and validation as a hospital would hand them over, the test set clean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .faults import no_faults, plant
from .scans import generate
from .table import metadata


@dataclass(frozen=True)
class PhantomSplit:
    """images uint8 (N, S, S); labels int64 (N,), as observed; meta, one row a scan; key, the answers, one row a scan.

    Open `key` to grade yourself, not to train: it holds the true label, the severity and a column for each fault.
    """

    images: np.ndarray
    labels: np.ndarray
    meta: pd.DataFrame
    key: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)


def make_dataset(
    n_train: int = 4000,
    n_val: int = 600,
    n_test: int = 1000,
    seed: int = 0,
    size: int = 64,
    threads: int = 2,
    faults: bool = True,
) -> dict[str, PhantomSplit]:
    """The splits "train", "val", "test" of different patients; simulated, never for clinical use.

    Faults go into train and val only, and only with `faults=True`. What every split has, because every clinic has it:
    missing values, and the column that is filled in after the diagnosis.
    """
    sizes = {"train": n_train, "val": n_val, "test": n_test}
    return {split: _make_split(n, split, seed, size, threads, faults and split != "test") for split, n in sizes.items()}


def _make_split(n: int, split: str, seed: int, size: int, threads: int, faults: bool) -> PhantomSplit:
    scans = generate(n, split, seed, size, threads)
    table, key = metadata(scans)
    images, key = scans.images, no_faults(key)
    if faults:
        images, table, key = plant(scans, table, key)
    return PhantomSplit(images, table["label"].to_numpy(np.int64), table, key)
