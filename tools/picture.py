"""Draw the README's picture: simulated scans of the phantom, a row a class.

.venv/bin/python -m tools.picture
"""

import sys

import numpy as np

from course_utils.env import atomic_path
from course_utils.phantom import CLASSES, Scans, generate
from tools.lesson_format import ROOT

TARGET = ROOT / "docs" / "img" / "phantom_sheet.png"


def chosen(scans: Scans, label: int, count: int) -> np.ndarray:
    """Indices of `count` scans of a class, one a patient, those where the disease covers most of the scan."""
    rows = np.flatnonzero(scans.labels == label)
    rows = rows[np.argsort(-scans.lesion_columns[rows].sum(axis=1), kind="stable")]
    _, first = np.unique(scans.cohort.who.patient[rows], return_index=True)
    return rows[np.sort(first)[:count]]


def sheet(columns: int = 7, seed: int = 3, gap: int = 4) -> np.ndarray:
    """Clean scans side by side, uint8 (rows, columns), one row a class in the order of `CLASSES`."""
    scans = generate(1200, split="train", seed=seed, size=96)
    rows = []
    for label in range(len(CLASSES)):
        images = scans.images[chosen(scans, label, columns)]
        padded = np.pad(images, ((0, 0), (gap // 2, gap // 2), (gap // 2, gap // 2)), constant_values=255)
        rows.append(np.concatenate(list(padded), axis=1))
    return np.concatenate(rows)


def main() -> int:
    """Write the picture with the names of the classes beside its rows. Returns the exit status."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    picture = sheet()
    height, width = picture.shape
    figure, ax = plt.subplots(figsize=(8, 8 * height / width * 0.93))
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
    middles = (np.arange(len(CLASSES)) + 0.5) * height / len(CLASSES)
    ax.set_yticks(middles, CLASSES, fontsize=11)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    with atomic_path(TARGET) as partial:
        figure.savefig(partial, dpi=100, bbox_inches="tight", facecolor="white")
    print(f"wrote {TARGET.relative_to(ROOT)}, {TARGET.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
