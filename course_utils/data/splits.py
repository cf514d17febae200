"""Dividing scans into parts: at random, or by patient so that nobody is on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from course_utils.data.core import DataError, ScanDataset


def random_split(n: int, fractions: Sequence[float], seed: int = 0) -> list[np.ndarray]:
    """Shuffle 0..n-1 and cut: one sorted index array a fraction. The naive split: blind to patients and classes."""
    _check_fractions(fractions)
    ends = np.round(np.cumsum(fractions) * n).astype(int)
    parts = np.split(np.random.default_rng(seed).permutation(n), ends[:-1])
    return _non_empty([np.sort(part) for part in parts], n, "scans")


def grouped_split(
    labels: np.ndarray, groups: np.ndarray | None, fractions: Sequence[float], seed: int = 0
) -> list[np.ndarray]:
    """Split by patient, keeping the classes' shares as equal as whole patients allow; a sorted index array a fraction.

    labels: int (N,); groups: patient of each scan (N,), or None when each scan stands alone (then: a stratified split).
    Patients are placed one by one, those with most scans first, each where the table of class counts comes closest to
    the wanted one in chi-square distance, sum of (placed - wanted)² / wanted. Raises DataError when a part stays empty.
    """
    _check_fractions(fractions)
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    if len(groups) != len(labels):
        raise DataError(f"there are {len(groups)} groups for {len(labels)} labels; the numbers must be equal")
    names, group_of = np.unique(groups, return_inverse=True)
    classes, class_of = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (group_of, class_of), 1)
    counts = np.column_stack([counts, counts.sum(1)])  # the last column keeps the parts' sizes right
    part_of_group = _place(counts, np.asarray(fractions, dtype=float), np.random.default_rng(seed))
    parts = [np.flatnonzero(part_of_group[group_of] == part) for part in range(len(fractions))]
    return _non_empty(parts, len(names), "patients")


def _place(counts: np.ndarray, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of each group (G,), by the greedy rule of `grouped_split`; counts: (G, columns)."""
    wanted = np.maximum(fractions[:, None] * counts.sum(0), 1e-9)  # (parts, columns)
    placed = np.zeros_like(wanted)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order, -1], kind="stable")]
    part = np.empty(len(counts), dtype=int)
    for group in order:
        growth = counts[group] * (2 * (placed - wanted) + counts[group]) / wanted  # of the distance, by part and column
        part[group] = growth.sum(1).argmin()
        placed[part[group]] += counts[group]
    return part


def first_scans(dataset: ScanDataset, n: int | None, seed: int = 0) -> ScanDataset:
    """At most `n` scans in shuffled order of patients, whole patients only; without patients, `n` scans at random.

    The rows keep their order. `None`, or more than there are, is everything.
    """
    if n is None or n >= len(dataset):
        return dataset
    if n < 1:
        raise DataError(f"{n} scans were asked for; at least 1 is needed")
    groups = np.arange(len(dataset)) if dataset.groups is None else dataset.groups
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    keep, room = np.zeros(len(sizes), dtype=bool), n
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        if sizes[group] <= room:
            keep[group], room = True, room - sizes[group]
    if not keep.any():
        raise DataError(f"no patient has as few as {n} scans; ask for at least {sizes.min()}")
    return dataset.subset(keep[group_of])


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) < 2 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DataError(
            f"the fractions are {tuple(fractions)}; they must be two or more positive numbers that sum to 1"
        )


def _non_empty(parts: list[np.ndarray], n: int, what: str) -> list[np.ndarray]:
    if min(len(part) for part in parts) == 0:
        raise DataError(f"{n} {what} are too few for {len(parts)} parts; each part needs at least one")
    return parts
