"""The radar windows of the second capstone: made once and kept on disk, with the test set behind its lock."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils import radar
from course_utils.data.cache import Arrays, code_key, kept
from course_utils.data.core import SPLITS, DataError
from course_utils.data.lock import TestLock
from course_utils.env import data_dir
from course_utils.radar.windows import CONDITIONS, Windows, make_dataset

NAME = "radar-phantom"
SUBJECTS = {"train": 75, "val": 25, "test": 40}
WINDOWS = {"train": 40, "val": 30, "test": 40}  # of each subject
ON_THE_SPOT = 600  # windows: so few are made in a second and not kept
SIMULATOR = ("breathing", "noise", "people", "physics", "scene", "windows")
Splits = dict[str, Windows]


class RadarData(TestLock):
    """`train` and `val` lie open (Windows), the test set only through `open_test(reason=...)`. Simulated.

    name, source (one line: what this is), fingerprint, and `summary()`.
    """

    name = NAME
    source = "simulated breathing before a 60 GHz radar, made by the course; not for clinical use"
    simulated = True

    def __init__(self, splits: Splits) -> None:
        self.train, self.val, self._test = (splits[split] for split in SPLITS)

    def __repr__(self) -> str:
        return f"RadarData({len(self.train)} train, {len(self.val)} val, {len(self._test)} locked test windows)"

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that other data would not have.

        Sines and exponentials differ between machines in the last bit, so what is hashed are whole numbers: conditions,
        subjects, labels to the next breath, and the signals' mean power to four digits.
        """
        digest = hashlib.sha256()
        for split in (self.train, self.val, self._test):
            for part in (split.condition, split.subject, np.rint(split.rate).astype(np.int16)):
                digest.update(part.tobytes())
            power = np.square(np.abs(split.z)).mean(dtype=float)
            digest.update(f"{split.z.shape} {power:.3e}".encode())
        return digest.hexdigest()[:12]

    def summary(self) -> pd.DataFrame:
        """One row a split: windows, subjects, windows of each condition, apneas; of the test set, windows."""
        rows = {}
        for name, split in (("train", self.train), ("val", self.val)):
            shares = {condition: int((split.condition == k).sum()) for k, condition in enumerate(CONDITIONS)}
            subjects = len(set(split.subject.tolist()))
            rows[name] = {"windows": len(split), "subjects": subjects, **shares, "apnea": int(split.apnea.sum())}
        rows["test (locked)"] = {"windows": len(self._test)}
        return pd.DataFrame.from_dict(rows, orient="index").astype("Int64").rename_axis("split")


def load_radar(
    seed: int = 0,
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    folder: str | Path | None = None,
) -> RadarData:
    """3000, 750 and 1600 windows of 75, 25 and 40 subjects, or at most as many as asked for.

    Fewer are the first ones of the same set: they go round the subjects, so few windows are few of each subject. The
    whole set takes some eight seconds to make and is kept in `folder` (`data_dir()` by default; 95 MB); a small one,
    all three counts given, is made on the spot. Raises DataError for a count below 1.
    """
    counts = {"train": n_train, "val": n_val, "test": n_test}
    for split, n in counts.items():
        if n is not None and n < 1:
            raise DataError(f"n_{split} is {n}; at least 1 window is needed")
    wanted = {split: SUBJECTS[split] * WINDOWS[split] if n is None else n for split, n in counts.items()}
    rounds = {split: math.ceil(n / SUBJECTS[split]) for split, n in wanted.items()}
    if sum(wanted.values()) <= ON_THE_SPOT:
        splits = _make(seed, rounds)
    else:
        rounds = {split: max(rounds[split], WINDOWS[split]) for split in SPLITS}
        splits = _kept(seed, rounds, Path(folder).expanduser() if folder is not None else data_dir())
    return RadarData({split: splits[split][: wanted[split]] for split in SPLITS})


def _make(seed: int, rounds: dict[str, int]) -> Splits:
    return make_dataset(seed, [SUBJECTS[split] for split in SPLITS], [rounds[split] for split in SPLITS])


def _kept(seed: int, rounds: dict[str, int], folder: Path) -> Splits:
    code = Path(radar.__file__).parent
    key = code_key({"seed": seed, "windows": rounds}, [code / f"{name}.py" for name in SIMULATOR])
    return kept(folder / f"{NAME}-{key}.npz", lambda: _make(seed, rounds), _pack, _unpack)


def _pack(splits: Splits) -> Arrays:
    return {f"{name}.{part}": array for name, split in splits.items() for part, array in split.parts().items()}


def _unpack(arrays: Arrays) -> Splits:
    parts = {split: {} for split in SPLITS}
    for name, array in arrays.items():
        split, part = name.split(".")
        parts[split][part] = array
    return {split: Windows(**parts[split]) for split in SPLITS}
