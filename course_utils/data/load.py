"""One door to every data set of the course: a name, a MedMNIST-format file, or a folder of pictures."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from course_utils.data.core import SPLITS, CourseData, DataError, ScanDataset
from course_utils.data.folders import read_folder
from course_utils.data.medmnist import MULTI_LABEL, OCT, SETS, VOLUMES, medmnist_file, refuse_unusable
from course_utils.data.npz import Raw, check_classes, read_splits
from course_utils.data.splits import first_scans
from course_utils.env import data_dir

PHANTOM = "oct-phantom"
PHANTOM_COUNTS = {"train": 4000, "val": 600, "test": 1000}
Splits = dict[str, ScanDataset]


def load_dataset(
    name_or_path: str | Path = PHANTOM,
    *,
    seed: int = 0,
    size: int = 64,
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    cache: str | Path | None = None,
) -> CourseData:
    """Load "oct-phantom", a MedMNIST set by name, a MedMNIST-format .npz file, or a folder of pictures.

    size: pixels a side of what you get; a file keeps its own size when that is smaller, MedMNIST names take 28 or 64.
    n_train, n_val, n_test: at most so many scans, drawn by `seed`, whole patients where patients are known. seed also
    makes the simulated set and splits a folder that has no split. cache: where sets are kept, `data_dir()` by default.
    Raises DataError with one sentence when the data cannot be used.
    """
    if not 8 <= size <= 512:
        raise DataError(f"size is {size}; it must be 8 to 512 pixels")
    counts = {"train": n_train, "val": n_val, "test": n_test}
    folder = Path(cache).expanduser() if cache is not None else data_dir()
    name = str(name_or_path).strip().lower()
    if not name:
        raise DataError(
            f"no data set was named; choose {PHANTOM}, a MedMNIST name, a .npz file or a folder of pictures"
        )
    if name == PHANTOM:
        return _load_phantom(seed, size, counts, folder)
    if name in SETS or name in MULTI_LABEL + VOLUMES:
        return _load_medmnist(name, seed, size, counts, folder)
    path = _find(name_or_path)
    return _load_folder(path, seed, size, counts) if path.is_dir() else _load_file(path, seed, size, counts)


def _cut(splits: Splits, counts: dict[str, int | None], seed: int) -> Splits:
    return {split: first_scans(splits[split], counts[split], seed) for split in SPLITS}


# --- the simulated set ------------------------------------------------------------------------------------------------
def _load_phantom(seed: int, size: int, counts: dict[str, int | None], folder: Path) -> CourseData:
    from course_utils.data.cache import cached_phantom
    from course_utils.phantom import CLASSES

    # The usual set is made whole and kept, then cut: a lesson that asks for fewer scans sees some of the same ones.
    made = {f"n_{split}": max(counts[split] or 0, usual) for split, usual in PHANTOM_COUNTS.items()}
    raw = cached_phantom({**made, "seed": seed, "size": size}, folder)
    splits, keys = {}, {}
    for split in SPLITS:
        part = raw[split]
        patients = part.meta["patient_id"].to_numpy()
        whole = ScanDataset(part.images[:, None], part.labels, CLASSES, meta=part.meta, groups=patients)
        splits[split] = first_scans(whole, counts[split], seed)
        kept = part.key["scan_id"].isin(splits[split].meta["scan_id"])
        keys[split] = part.key[kept].reset_index(drop=True)
    return CourseData(
        PHANTOM,
        splits,
        source="simulated OCT scans with planted faults, made by the course; not for clinical use",
        simulated=True,
        has_table=True,
        answer_keys=keys,
    )


# --- files ------------------------------------------------------------------------------------------------------------
def _load_medmnist(name: str, seed: int, size: int, counts: dict[str, int | None], folder: Path) -> CourseData:
    refuse_unusable(name)
    path = medmnist_file(name, size, folder)
    source = f"{SETS[name].title} at {size} pixels, MedMNIST v2 ({SETS[name].licence}), official file and split"
    return _from_file(path, name, source, seed, size, counts)


def _load_file(path: Path, seed: int, size: int, counts: dict[str, int | None]) -> CourseData:
    return _from_file(path, path.stem, f"the file {path.name}, split as it says", seed, size, counts)


def _from_file(path: Path, name: str, source: str, seed: int, size: int, counts: dict[str, int | None]) -> CourseData:
    raw, names = read_splits(path)
    classes = names or _guess_classes(path, raw)
    if names is None:
        check_classes({split: raw[split].labels for split in SPLITS}, classes, path.name)
    benchmark = _benchmark(path, raw) if counts["val"] is None and counts["test"] is None else None
    splits = {split: _dataset(raw[split], classes, size) for split in SPLITS}
    return CourseData(name, _cut(splits, counts, seed), source=source, benchmark=benchmark)


def _dataset(raw: Raw, classes: tuple[str, ...], size: int) -> ScanDataset:
    images = shrink(torch.from_numpy(np.ascontiguousarray(raw.images)), size)
    return ScanDataset(images, raw.labels, classes, groups=raw.patients)


def shrink(images: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 (N, C, S, S) resized to `size` with antialiasing when S is larger; smaller pictures stay as they are."""
    if images.shape[-1] <= size:
        return images
    small = [
        F.interpolate(chunk.float(), (size, size), mode="bicubic", antialias=True, align_corners=False)
        for chunk in images.split(256)
    ]
    return torch.cat([chunk.round_().clamp_(0, 255).to(torch.uint8) for chunk in small])


def _set_of(path: Path) -> str | None:
    """The MedMNIST set that a file's name speaks of, or None."""
    return next((name for name in SETS if path.stem.lower().startswith(name)), None)


def _guess_classes(path: Path, raw: dict[str, Raw]) -> tuple[str, ...]:
    """Names for the labels: MedMNIST's when file name and count fit, those of OCT for "oct", else numbered."""
    count = int(max(split.labels.max() for split in raw.values())) + 1
    known = _set_of(path)
    if known and len(SETS[known].classes) == count:
        return SETS[known].classes
    if "oct" in path.stem.lower() and count == len(OCT):
        return OCT
    return tuple(f"class {number}" for number in range(count))


def _benchmark(path: Path, raw: dict[str, Raw]) -> str | None:
    """The MedMNIST set whose name and official counts the file has, so that published scores may stand beside ours."""
    name = _set_of(path)
    same = name is not None and tuple(len(raw[split].labels) for split in SPLITS) == SETS[name].counts
    return name if same else None


# --- folders ----------------------------------------------------------------------------------------------------------
def _load_folder(path: Path, seed: int, size: int, counts: dict[str, int | None]) -> CourseData:
    splits, note = read_folder(path, size, seed)
    return CourseData(path.resolve().name, _cut(splits, counts, seed), source=f"the folder {path.name}, {note}")


def _find(name_or_path: str | Path) -> Path:
    """The path as given, or as seen from the data folder or the course's own. Raises DataError when there is none."""
    path = Path(name_or_path).expanduser()
    for place in (path, data_dir() / path, data_dir().parent / path):
        if place.exists():
            return place
    if len(path.parts) > 1 or path.suffix:
        raise DataError(
            f"there is no file or folder at {path}; give a MedMNIST-format .npz file or a folder of pictures"
        )
    known = [PHANTOM, *SETS]
    close = difflib.get_close_matches(str(name_or_path).lower(), known, 1)
    hint = f"did you mean {close[0]}?" if close else f"choose {', '.join(known)}, a .npz file or a folder of pictures"
    raise DataError(f"there is no data set called {str(name_or_path)!r}; {hint}")
