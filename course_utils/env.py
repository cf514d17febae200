"""The floor every module stands on: seeds, device, profile, folders, safe writes, and what is installed.

Heavy libraries are imported inside the functions that need them, so that importing this module costs nothing.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import random
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import torch

PROFILES = ("smoke", "fast", "full")
LEFTOVER_AGE = 3600.0  # seconds after which a killed writer's temporary file is swept
PATIENCE = 10.0  # seconds to wait for a lock before saying so: shorter waits nobody notices


def set_seed(seed: int, threads: int | None = 1) -> None:
    """Seed random, NumPy and PyTorch, and ask PyTorch for deterministic algorithms.

    One thread by default: sums then run in one order, so results repeat bit for bit on one machine, and two lessons
    run side by side without fighting. `threads=None` leaves the count alone. ValueError for a seed NumPy cannot take.
    """
    import numpy as np
    import torch

    if not 0 <= seed < 2**32:
        raise ValueError(f"the seed is {seed}; it must be a whole number from 0 to 2**32 - 1")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may add in any order
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # every device
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms would import the compiler, for seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # a net for bugs in PyTorch itself; a tenth of the time
    if threads is not None:
        torch.set_num_threads(threads)


def get_device(name: str = "auto") -> torch.device:
    """The device called `name`: "cpu", "cuda", "cuda:1", "mps", or "auto", the fastest there is.

    ValueError when the name is unknown or this machine has no such device.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    present = ["cuda"] * (count > 0) + ["mps"] * torch.backends.mps.is_available() + ["cpu"]
    if name == "auto":
        return torch.device(present[0])
    if name in present or name in {f"cuda:{index}" for index in range(count)}:
        return torch.device(name)
    raise ValueError(f'DEVICE is "{name}", but this machine has {" and ".join(present)}; use one of those, or "auto"')


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a run may cost: "smoke" (seconds, logic only), "fast" (what the pages show) or "full" (hours or a GPU)."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in PROFILES:
            raise ValueError(f'PROFILE is "{self.name}"; it must be one of {", ".join(PROFILES)}')

    @property
    def smoke(self) -> bool:
        """True when only the logic is run, so results mean nothing."""
        return self.name == "smoke"

    def pick(self, *, smoke: Any, fast: Any, full: Any) -> Any:
        """The value that belongs to this profile."""
        return {"smoke": smoke, "fast": fast, "full": full}[self.name]


# --- folders ---------------------------------------------------------------------------------------------------------
def checkout_dir() -> Path | None:
    """The checkout this package sits in, or None when it was installed on its own (Colab, for one)."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() else None


def data_dir() -> Path:
    """Where data sets are kept: $COURSE_DATA, else `data/` of the checkout or the working folder. Not created."""
    return _folder("COURSE_DATA", "data")


def runs_dir() -> Path:
    """Where logs and models go: $COURSE_RUNS, else `runs/` of the checkout or the working folder. Not created."""
    return _folder("COURSE_RUNS", "runs")


def _folder(variable: str, name: str) -> Path:
    chosen = os.environ.get(variable)
    return Path(chosen).expanduser().absolute() if chosen else (checkout_dir() or Path.cwd()) / name


# --- safe writes -----------------------------------------------------------------------------------------------------
@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends, remove it when the block fails.

    Readers see the old file or the whole new one, never half. The suffix is kept, since some writers look at it. The
    block may make a folder instead of a file, if none is at `path` yet. What a killed process left behind is swept by a
    later write of the same file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:  # also after Ctrl-C; after success there is nothing left to remove
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    start = f".{path.name}."
    for entry in path.parent.iterdir():
        if entry.name.startswith(start) and f".tmp{path.suffix}" in entry.name[len(start) :]:
            try:
                if time.time() - entry.stat().st_mtime > LEFTOVER_AGE:
                    _remove(entry)
            except FileNotFoundError:  # its writer was quicker
                continue


@contextmanager
def file_lock(path: str | Path, timeout: float = 1800.0) -> Iterator[None]:
    """Hold the lock file at `path` for the block; a second process waits, and says so on stderr if it takes long.

    The lock belongs to the process, not to the file: the operating system frees it when the process dies, however it
    dies, so the file that stays behind blocks nobody. TimeoutError after `timeout` seconds.
    """
    from filelock import FileLock, Timeout

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=min(PATIENCE, timeout))
    except Timeout:
        print(f"process {os.getpid()} waits for another process that holds {path.name} …", file=sys.stderr)
        try:
            lock.acquire(timeout=max(0.0, timeout - PATIENCE))
        except Timeout:
            message = (
                f"another process has held {path} for {timeout:g} seconds; wait for it or end it, then run this again"
            )
            raise TimeoutError(message) from None
    try:
        yield
    finally:
        lock.release()


def to_json(value: Any, indent: int | None = 1) -> str:
    """`value` as strict JSON text with sorted keys: the same content always gives the same text.

    Dataclasses, paths, NumPy numbers and arrays, and tensors become their plain counterparts; NaN and infinities, which
    JSON lacks, become the texts "nan", "inf" and "-inf". TypeError for anything else.
    """
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if hasattr(value, "tolist"):  # NumPy and PyTorch, without importing them
        return _plain(value.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON; pass numbers, texts, lists or dicts")


# --- what is here ----------------------------------------------------------------------------------------------------
def git_state() -> dict[str, str | bool]:
    """The state of the checkout this package sits in: {"commit": hash, "dirty": bool}, or "unknown" for both."""
    unknown: dict[str, str | bool] = {"commit": "unknown", "dirty": "unknown"}
    root = checkout_dir()
    if root is None or not (root / ".git").exists():
        return unknown
    commit, status = _git(root, "rev-parse", "--verify", "HEAD"), _git(root, "status", "--porcelain")
    return unknown if commit is None or status is None else {"commit": commit, "dirty": bool(status)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):  # no git here, or a disk that hangs
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# stage, tool, name on the package index (None: a language or a format), why it is or is not this course's choice
TOOLS: tuple[tuple[str, str, str | None, str], ...] = (
    ("everything", "Python", None, "the language of the field"),
    ("data", "NumPy", "numpy", "arrays; every other tool speaks them"),
    ("data", "pandas", "pandas", "tables: scan metadata, results, logs"),
    ("data", "Pillow", "pillow", "reads and resizes pictures"),
    ("data", "OpenCV", "opencv-python", "alternative: more image operations, a bigger install"),
    ("data", "Matplotlib", "matplotlib", "figures"),
    ("data", "seaborn", "seaborn", "statistical figures in one line"),
    ("architecture", "PyTorch", "torch", "eager, Pythonic, what most papers publish"),
    ("architecture", "torchvision", "torchvision", "transforms and known networks"),
    ("architecture", "TensorFlow/Keras", "tensorflow", "alternative: the same ideas, strong on mobile and SavedModel"),
    ("architecture", "JAX", "jax", "alternative: functional, compiled, strong on TPUs"),
    ("training", "tqdm", "tqdm", "progress bars"),
    ("training", "Optuna", "optuna", "hyperparameter search; the tuning lesson's tool"),
    ("evaluation", "scikit-learn", "scikit-learn", "metrics, splits and the simple models to beat"),
    ("evaluation", "SciPy", "scipy", "tests and intervals"),
    ("tracking", "course_utils", "course-utils", "an experiment log in plain JSON files"),
    ("tracking", "TensorBoard", "tensorboard", "live curves; the tuning lesson opens it"),
    ("tracking", "MLflow", "mlflow", "alternative: a tracking server with a model registry"),
    ("tracking", "Weights & Biases", "wandb", "alternative: tracking as a hosted service"),
    ("export", "safetensors", "safetensors", "weights without executable code"),
    ("export", "ONNX", "onnx", "one graph format for many runtimes"),
    ("export", "ONNX Runtime", "onnxruntime", "runs it: server, phone, browser"),
    ("export", "ExecuTorch", "executorch", "optional: PyTorch on devices"),
    ("export", "SavedModel", "tensorflow", "alternative: TensorFlow's format, written by TensorFlow only"),
    ("serving", "FastAPI", "fastapi", "optional: a REST service from type hints"),
)


def versions() -> pd.DataFrame:
    """The map of tools by stage: columns stage, tool, version ("not installed" where it is not) and why.

    Reads the installed packages' metadata; imports none of them.
    """
    import pandas as pd

    rows = [(stage, tool, _version(package), why) for stage, tool, package, why in TOOLS]
    return pd.DataFrame(rows, columns=["stage", "tool", "version", "why"])


def _version(package: str | None) -> str:
    if package is None:
        return platform.python_version()
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def device_report() -> pd.DataFrame:
    """What this machine can compute on: columns device, present, name, memory_gb (NaN when not known), count.

    `count` is cores for the CPU, devices for the others.
    """
    import pandas as pd
    import torch

    rows = [("cpu", True, platform.machine(), _memory_gb(), os.cpu_count() or 1)]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count:
        card = torch.cuda.get_device_properties(0)
        rows.append(("cuda", True, card.name, round(card.total_memory / 2**30, 1), count))
    else:
        rows.append(("cuda", False, "none found", float("nan"), 0))
    mps = torch.backends.mps.is_available()
    rows.append(("mps", mps, "Apple GPU" if mps else "none found", float("nan"), int(mps)))
    return pd.DataFrame(rows, columns=["device", "present", "name", "memory_gb", "count"])


def _memory_gb() -> float:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return float("nan")
