"""What working together costs, by models simple enough to do on paper."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np


def allreduce_seconds(size: float, workers: int, bandwidth: float, latency: float) -> float:
    """Time of a ring all-reduce of `size` bytes: 2 (n - 1) hops of an n-th each (Patarasuk & Yuan 2009, JPDC).

    `bandwidth` in bytes a second, `latency` in seconds a hop, both of the slowest link of the ring.
    """
    hops = 2 * (workers - 1)
    return hops * (size / workers / bandwidth + latency)


def step_seconds(workers: int, compute: float, size: float, bandwidth: float, latency: float, hidden=0.0) -> float:
    """Time of one data-parallel step of a joined batch that keeps one worker busy for `compute` seconds.

    `size`: bytes of all gradients. `hidden`: the share of the exchange that runs behind the backward pass.
    """
    return compute / workers + (1 - hidden) * allreduce_seconds(size, workers, bandwidth, latency)


def bubble(stages: int, micro_batches: int) -> float:
    """Share of its time that a pipeline's stage stands idle while it fills and drains (Huang et al. 2019, NeurIPS)."""
    return (stages - 1) / (micro_batches + stages - 1)


def state_bytes(parameters: float, workers: int = 1, sharded: Sequence[str] = ()) -> float:
    """Bytes each worker keeps to train with Adam in float32, activations left out (Rajbhandari et al. 2020, SC).

    `sharded`: which of "weights", "gradients" and "moments" are spread over the workers and not kept by each.
    """
    each = {"weights": 4, "gradients": 4, "moments": 8}  # Adam keeps two numbers a weight
    return parameters * sum(size / (workers if name in sharded else 1) for name, size in each.items())


def median_seconds(action: Callable[[], object], repeats: int) -> float:
    """Median time of an action, after two runs to warm up."""
    seconds = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[2:]))
