"""How far two models are apart on the same scans, and how long an answer takes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from course_utils.artifacts.export import onnx_session


def parity(model: nn.Module, onnx_path: str | Path | bytes, images: Tensor, batch_size: int = 256) -> dict[str, float]:
    """Compare a model with its ONNX file on the same normalised images (N, C, H, W) float32.

    `max_difference`: largest absolute difference of two logits. `equal_decisions`: share of images, 0 to 1, that both
    put in the same class.
    """
    session, twin = onnx_session(onnx_path), copy.deepcopy(model).cpu().eval()
    largest, equal = 0.0, 0
    for batch in images.detach().cpu().split(batch_size):
        with torch.inference_mode():
            ours = twin(batch).numpy()  # (B, K)
        theirs = session.run(None, {"x": np.ascontiguousarray(batch.numpy())})[0]
        largest = float(np.maximum(largest, np.abs(ours - theirs).max()))  # NaN stays NaN
        equal += int((ours.argmax(1) == theirs.argmax(1)).sum())
    return {"max_difference": largest, "equal_decisions": equal / len(images)}


def parity_table(
    outputs: Mapping[str, np.ndarray], reference: np.ndarray, decide: Callable[[np.ndarray], np.ndarray] | None = None
) -> pd.DataFrame:
    """A row for each way to run a model: how far its `outputs` (N, K) are from the `reference` (N, K), scan by scan.

    Columns: `max_difference` of one number, `different` decisions, and `agreement`, the share of equal ones. A decision
    is the largest number of a row unless `decide` says otherwise: (N, K) → (N,). ValueError when the shapes differ.
    """
    decide = decide or (lambda scores: scores.argmax(1))
    rows = {}
    for name, theirs in outputs.items():
        if np.shape(theirs) != np.shape(reference):
            raise ValueError(f"{name} gave {np.shape(theirs)} numbers, the reference {np.shape(reference)}")
        apart = np.asarray(decide(theirs)) != np.asarray(decide(reference))  # (N,)
        largest = float(np.abs(np.asarray(theirs, float) - np.asarray(reference, float)).max())
        rows[name] = {"max_difference": largest, "different": int(apart.sum()), "agreement": float(1 - apart.mean())}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["max_difference", "different", "agreement"])


def latency(fn: Callable[[Any], Any], inputs: Any, repeats: int = 100, warmup: int = 10) -> dict[str, float]:
    """Time ``fn(inputs)``: p50_ms and p99_ms of one call, and throughput in items a second, `len(inputs)` items a call.

    The first calls are not counted: they allocate memory and fill caches. CUDA work is waited for.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; time at least one call")
    on_gpu = isinstance(inputs, Tensor) and inputs.is_cuda
    seconds = []
    for _ in range(warmup + repeats):
        start = time.perf_counter()
        fn(inputs)
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    p50, p99 = np.percentile(seconds[warmup:], [50, 99]) * 1e3
    throughput = len(inputs) * repeats / sum(seconds[warmup:])
    return {"batch": len(inputs), "p50_ms": float(p50), "p99_ms": float(p99), "throughput": float(throughput)}


def time_in_turns(
    runners: Mapping[str, Callable[[Any], Any]], inputs: Any, rounds: int = 5, calls: int = 50
) -> pd.DataFrame:
    """Time `runners[name](inputs)`, a few calls of each in turn, so that a busy moment falls on all of them alike.

    A row a call: columns `runner`, `round`, `ms`. The first call of each turn is not counted.
    """
    rows = []
    for turn in range(rounds):
        for name, run in runners.items():
            run(inputs)
            for _ in range(calls):
                start = time.perf_counter()
                run(inputs)
                rows.append((name, turn, (time.perf_counter() - start) * 1e3))
    return pd.DataFrame(rows, columns=["runner", "round", "ms"])
