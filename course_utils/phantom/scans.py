"""Draw a cohort's scans: the one entry to the picture side of the phantom."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .anatomy import anatomy
from .cohort import Cohort, enrol, traits
from .draws import SPLITS, Columns
from .optics import mirror_left, render

SMALLEST = 28
CHUNK = 128  # scans drawn at once: small enough for the processor's cache


@dataclass(frozen=True)
class Scans:
    """Clean scans and all that is known about them.

    images uint8 (n, size, size); labels int64 (n,), the true ones; traits: one value a scan (severity, device, ...);
    thickness_um (n,): central thickness, from the geometry; lesion_columns bool (n, size): where the disease shows.
    """

    images: np.ndarray
    cohort: Cohort
    traits: Columns
    thickness_um: np.ndarray
    lesion_columns: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """True classes, int64 (n,), indices into CLASSES."""
        return self.cohort.who.diagnosis

    def __len__(self) -> int:
        return len(self.images)


def generate(
    n: int, split: str = "train", seed: int = 0, size: int = 64, threads: int = 2, *, chunk: int = CHUNK
) -> Scans:
    """`n` clean scans of one split; the same, bit for bit, whatever `threads`, `chunk` and the number asked for.

    Raises ValueError for an unknown split, a size below 28 pixels, or a number below one.
    """
    check(n, split, seed, size)
    cohort = enrol(n, split, seed)
    return draw(cohort, traits(cohort), size, threads, chunk=chunk)


def unlabelled(n: int, seed: int = 0, size: int = 64, threads: int = 2) -> np.ndarray:
    """`n` scans of other patients, uint8 (n, size, size), without labels: for pre-training."""
    return generate(n, "unlabelled", seed, size, threads).images


def draw(cohort: Cohort, facts: Columns, size: int = 64, threads: int = 2, *, chunk: int = CHUNK) -> Scans:
    """The scans of a cohort with given traits, in chunks, on several threads."""
    parts = [slice(start, start + chunk) for start in range(0, len(cohort), chunk)]

    def one(rows: slice) -> tuple[np.ndarray, ...]:
        some, their = cohort.take(rows), facts.take(rows)
        eye = anatomy(some, their, size)
        return render(some, their, eye), eye.central_thickness(), mirror_left(eye.lesions.visible, some)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        images, thickness, visible = zip(*pool.map(one, parts), strict=True)
    return Scans(np.concatenate(images), cohort, facts, np.concatenate(thickness), np.concatenate(visible))


def check(n: int, split: str, seed: int, size: int) -> None:
    """Refuse what cannot be drawn, in one sentence."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    if size < SMALLEST:
        raise ValueError(f"size {size} is too small to show the layers: choose {SMALLEST} pixels or more")
    if n < 1:
        raise ValueError(f"asked for {n} scans: choose one or more")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative: choose zero or more")
