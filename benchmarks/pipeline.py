"""Two ways to feed a network, on the same scans and one thread: batches from memory, and one scan at a time.

    python -m benchmarks.pipeline

`Batches` varies a whole batch on its device; the classic route is `DataLoader` with `torchvision.transforms.v2`, a scan
at a time, with the same variations and the same reflected borders. Shown beside it: the classic route with a worker of
its own, and without the reflection, which is cheaper but leaves black borders. Medians over repeats, with their spread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch

from course_utils.data import Augment, Batches, ScanDataset, make_loader
from course_utils.env import set_seed

TARGET = 5.0  # times faster
CLASSIC = "DataLoader"  # with the same variations, in this process


def random_scans(n: int, size: int, seed: int = 0) -> ScanDataset:
    """Scans of noise: neither route looks at what is on them."""
    images = np.random.default_rng(seed).integers(0, 256, (n, 1, size, size), dtype=np.uint8)
    return ScanDataset(images, np.arange(n) % 4, ("CNV", "DME", "DRUSEN", "NORMAL"))


def seconds(loader: Iterable) -> float:
    """Time of one pass."""
    start = time.perf_counter()
    for images, _ in loader:
        if images.is_cuda:
            torch.cuda.synchronize()
    return time.perf_counter() - start


def run(n: int = 2000, size: int = 64, batch_size: int = 64, repeats: int = 7, device: str = "cpu") -> pd.DataFrame:
    """One row a route and augmentation: scans a second (median and range), ms a batch, times slower than Batches.

    Routes take turns, so that a busy moment of the machine hits all of them.
    """
    set_seed(0)
    dataset = random_scans(n, size)
    options = {"batch_size": batch_size, "shuffle": True}
    routes = {}
    for name, augment in (("none", None), ("full", Augment())):
        routes[name, "Batches"] = Batches(dataset, augment=augment, device=device, **options)
        routes[name, CLASSIC] = make_loader(dataset, augment=augment, **options)
        routes[name, "DataLoader, 1 worker"] = make_loader(dataset, augment=augment, workers=1, **options)
    routes["full", "DataLoader, black borders"] = make_loader(dataset, augment=Augment(), reflect=False, **options)
    for loader in routes.values():
        next(iter(loader))  # imports and caches are paid before the clock starts
    taken = {route: [] for route in routes}
    for _ in range(repeats):
        for route, loader in routes.items():
            taken[route].append(seconds(loader))
    return _table(taken, n, len(routes["none", "Batches"]))


def _table(taken: dict[tuple[str, str], list[float]], n: int, batches: int) -> pd.DataFrame:
    rows = []
    for (augment, route), times in taken.items():
        ratios = np.array(times) / np.array(taken[augment, "Batches"])  # pairs of neighbours in time
        rows.append(
            {
                "augmentation": augment,
                "route": route,
                "scans_per_second": n / np.median(times),
                "lowest": n / max(times),
                "highest": n / min(times),
                "ms_per_batch": 1000 * np.median(times) / batches,
                "times_slower": np.median(ratios),
                "times_slower_lowest": ratios.min(),
                "times_slower_highest": ratios.max(),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table and whether the target is met."""
    table = run()
    print(table.round(2).to_string(index=False))
    (row,) = table[(table["augmentation"] == "full") & (table["route"] == CLASSIC)].itertuples()
    verdict = "met" if row.times_slower >= TARGET else "NOT met"
    print(
        f"with augmentation, Batches is {row.times_slower:.1f} times as fast as {CLASSIC}; target {TARGET:g}: {verdict}"
    )


if __name__ == "__main__":
    main()
