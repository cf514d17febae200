"""Models that a lesson needs from an earlier one: made once, kept in `runs/models`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from course_utils import __version__
from course_utils.artifacts.sealed import BundleError, read_sealed, sha256, write_sealed
from course_utils.artifacts.weights import model_from, random_states_kept, weights_bytes
from course_utils.env import atomic_path, file_lock, runs_dir, to_json

CACHE_FILES = ("history.csv", "weights.safetensors")
LOCK_SECONDS = 6 * 3600.0  # a full-profile training may take hours; whoever needs its model waits


def cached_model(
    name: str,
    config: Mapping[str, Any],
    make: Callable[[], tuple[nn.Module, pd.DataFrame | None]],
    root: str | Path | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """The model that `make` gives for `config`, from `root`/<name>-<hash of config>/ when an earlier run left it there.

    `config` holds everything the result depends on, as far as JSON can say it. Two processes that ask at once make it
    once; a damaged copy is made again. Either way the model comes in evaluation mode on the CPU and the random states
    are left alone, so what follows does not depend on which it was. Returns the model and a dict: `loaded`, `seconds`
    (of this call), `history` (DataFrame; empty when `make` gives None), `path`. Prints one line saying which.
    """
    root = Path(root) if root is not None else runs_dir() / "models"
    folder = root / f"{name}-{sha256(to_json([__version__, config]).encode())[:12]}"
    start = time.perf_counter()
    with file_lock(folder.with_name(f"{folder.name}.lock"), timeout=LOCK_SECONDS), random_states_kept():
        damage = ""
        if folder.exists():
            try:
                model, history = _load_cached(folder)
                print(f"{name}: loaded from {folder.name}")
                return model, _info(True, start, history, folder)
            except BundleError:
                damage = ", in place of a damaged copy"
                shutil.rmtree(folder)
        model, history = make()
        with atomic_path(folder) as temporary:
            text = pd.DataFrame(history if history is not None else {"epoch": []}).to_csv(index=False)
            write_sealed(temporary, {"weights.safetensors": weights_bytes(model), "history.csv": text.encode()})
        model, history = _load_cached(folder)  # what later calls will get, bit for bit
        info = _info(False, start, history, folder)
        print(f"{name}: made in {info['seconds']:.0f} s and kept in {folder.name}{damage}")
        return model, info


def _info(loaded: bool, start: float, history: pd.DataFrame, folder: Path) -> dict[str, Any]:
    return {"loaded": loaded, "seconds": time.perf_counter() - start, "history": history, "path": folder}


def _load_cached(folder: Path) -> tuple[nn.Module, pd.DataFrame]:
    files = read_sealed(folder, CACHE_FILES)
    history = pd.read_csv(BytesIO(files["history.csv"]))
    return model_from(files["weights.safetensors"], f"weights.safetensors in {folder.name}"), history
