"""What a data set is in this course: pictures in memory, labels, patients, and a test set behind a lock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_utils.data.lock import DataError, TestLock

SPLITS = ("train", "val", "test")


class ScanDataset(Dataset):
    """Scans of one split, in memory.

    images: uint8 (N, C, H, W); labels: int64 (N,); classes: the names behind the labels; meta: one row a scan, or None;
    groups: the patient of each scan (N,), or None. `dataset[i]` is (float32 (C, H, W) in [0, 1], int label), the image
    passed through `transform` when there is one. Raises DataError when the parts do not fit together.
    """

    def __init__(
        self,
        images: Tensor | np.ndarray,
        labels: Tensor | np.ndarray,
        classes: Sequence[str],
        *,
        meta: pd.DataFrame | None = None,
        groups: np.ndarray | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.images, self.labels = _tensor(images), _tensor(labels).long()
        self.classes = tuple(classes)
        self.meta = meta
        self.groups = None if groups is None else np.asarray(groups)
        self.transform = transform
        self._check()

    def _check(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            shape = tuple(self.images.shape)
            raise DataError(f"the images are {self.images.dtype} {shape}; they must be uint8 (N, C, H, W)")
        for name, part in (("labels", self.labels), ("meta", self.meta), ("groups", self.groups)):
            if part is not None and len(part) != len(self.images):
                raise DataError(
                    f"there are {len(part)} {name} for {len(self.images)} images; the numbers must be equal"
                )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index].float() / 255
        return (image if self.transform is None else self.transform(image)), int(self.labels[index])

    def __repr__(self) -> str:
        channels, height, width = self.images.shape[1:]
        return f"ScanDataset({len(self)} scans, {channels}×{height}×{width}, {len(self.classes)} classes)"

    def subset(self, indices: Sequence[int] | np.ndarray | Tensor) -> ScanDataset:
        """The scans at `indices` (integers, or a boolean mask), in that order, as a new data set."""
        rows = np.asarray(indices)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        chosen = torch.from_numpy(rows)
        return ScanDataset(
            self.images[chosen],
            self.labels[chosen],
            self.classes,
            meta=None if self.meta is None else self.meta.iloc[rows].reset_index(drop=True),
            groups=None if self.groups is None else self.groups[rows],
            transform=self.transform,
        )

    def head(self, n: int) -> ScanDataset:
        """The first `n` scans."""
        return self.subset(np.arange(min(n, len(self))))

    def class_counts(self) -> pd.Series:
        """Scans of each class, in the order of `classes`."""
        counts = torch.bincount(self.labels, minlength=len(self.classes)).numpy()
        return pd.Series(counts, index=pd.Index(self.classes, name="class"), name="scans")


class CourseData(TestLock):
    """A data set split in three: `train` and `val` lie open, the test set only through `open_test(reason=...)`.

    name, source (one line: what this is), simulated, has_table (a table of patient data comes with the scans), classes,
    channels, size (pixels), and `benchmark`: the MedMNIST name when val and test are that set's official ones.
    """

    def __init__(
        self,
        name: str,
        splits: dict[str, ScanDataset],
        *,
        source: str,
        simulated: bool = False,
        has_table: bool = False,
        benchmark: str | None = None,
        answer_keys: dict[str, pd.DataFrame] | None = None,
    ) -> None:
        self.name, self.source, self.simulated = name, source, simulated
        self.has_table, self.benchmark = has_table, benchmark
        self.train, self.val, self._test = (splits[split] for split in SPLITS)
        self.classes = self.train.classes
        self.channels, self.size = int(self.train.images.shape[1]), int(self.train.images.shape[2])
        self._answer_keys = answer_keys

    def __repr__(self) -> str:
        counts = f"{len(self.train)} train, {len(self.val)} val, {len(self._test)} locked test scans"
        return f"CourseData({self.name!r}: {counts}, {self.channels}×{self.size}×{self.size})"

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel of the training scans in [0, 1], from counts of grey values."""
        values = np.arange(256) / 255
        counts = np.zeros((self.channels, 256))
        for chunk in self.train.images.split(1024):
            for channel in range(self.channels):
                counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256).numpy()
        weights = counts / counts.sum(1, keepdims=True)
        mean = weights @ values
        return mean, np.sqrt((weights * (values - mean[:, None]) ** 2).sum(1))

    @property
    def mean(self) -> float | tuple[float, ...]:
        """Mean grey value of the training scans in [0, 1]; one number a channel for colour."""
        return _plain(self._moments[0])

    @property
    def std(self) -> float | tuple[float, ...]:
        """Standard deviation of the training scans' grey values in [0, 1]; one number a channel for colour."""
        return _plain(np.maximum(self._moments[1], 1e-3))  # blank pictures must not divide by zero

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of all scans and labels: equal only for equal data."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for split in (self.train, self.val, self._test):
            digest.update(repr(tuple(split.images.shape)).encode())
            digest.update(split.images.contiguous().numpy())
            digest.update(split.labels.contiguous().numpy())
        return digest.hexdigest()[:12]

    def summary(self) -> pd.DataFrame:
        """One row a split: scans, patients (missing when not known), scans of each class; of the test set, scans."""
        rows = {}
        for name, split in (("train", self.train), ("val", self.val)):
            patients = pd.NA if split.groups is None else len(np.unique(split.groups))
            rows[name] = {"scans": len(split), "patients": patients, **split.class_counts()}
        rows["test (locked)"] = {"scans": len(self._test)}
        return pd.DataFrame.from_dict(rows, orient="index").astype("Int64").rename_axis("split")

    def answer_key(self, split: str) -> pd.DataFrame:
        """The planted faults and true labels of a split, one row a scan; only the simulated set has one.

        Raises DataError for other data, and LockedError for the test split before `open_test`.
        """
        if self._answer_keys is None:
            raise DataError(f"{self.name} is not simulated, so nobody has its answer key; only oct-phantom has one")
        if split not in SPLITS:
            raise DataError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}")
        if split == "test" and not self._opened:
            return self.test  # raises
        return self._answer_keys[split].copy()


def _tensor(values: Tensor | np.ndarray) -> Tensor:
    """Share the memory when that is safe; an array that must not be written is copied."""
    if isinstance(values, Tensor):
        return values
    array = np.asarray(values)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _plain(values: np.ndarray) -> float | tuple[float, ...]:
    return float(values[0]) if len(values) == 1 else tuple(float(value) for value in values)
