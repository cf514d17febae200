"""Pictures in folders: one folder a class, or `train`, `val` and `test` above that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.data.core import SPLITS, DataError, ScanDataset
from course_utils.data.npz import MAX_BYTES, MAX_CLASSES
from course_utils.data.pictures import SUFFIXES, read_image
from course_utils.data.splits import grouped_split

ALIASES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
FRACTIONS = (0.7, 0.15, 0.15)
Files = list[tuple[Path, int]]  # picture and its label


def read_folder(folder: Path, size: int, seed: int = 0) -> tuple[dict[str, ScanDataset], str]:
    """Splits of a folder, and a note that says whether the folder gave the split or chance did.

    Pictures of any size are cropped to their central square and resized to `size`. Raises DataError naming the file or
    folder at fault.
    """
    parts, classes = _listed(folder)
    note = "split as its folders say"
    if "val" not in parts and "test" in parts:
        parts["train"], parts["val"] = _cut(parts["train"], FRACTIONS[0] + FRACTIONS[2], seed)
        note = "validation scans drawn at random from its training folder, stratified by class"
    elif set(parts) != set(SPLITS):
        parts = dict(zip(SPLITS, _split_three(parts["all"], seed, folder), strict=True))
        note = "split at random, stratified by class: file names were not searched for patients"
    _check_parts(parts, classes, folder)
    total = sum(len(files) for files in parts.values())
    if total * size * size * 3 > MAX_BYTES:
        raise DataError(f"{folder} holds {total} pictures, too many for memory at {size} pixels; choose a smaller size")
    read = {split: _read_all(files, size) for split, files in parts.items()}
    colour = any(_is_colour(images) for images in read.values())
    splits = {}
    for split, files in parts.items():
        images = read[split].transpose(0, 3, 1, 2) if colour else read[split][:, None, :, :, 0]
        table = pd.DataFrame({"file": [file.relative_to(folder).as_posix() for file, _ in files]})
        labels = np.array([label for _, label in files])
        splits[split] = ScanDataset(np.ascontiguousarray(images), labels, classes, meta=table)
    return splits, note


def _listed(folder: Path) -> tuple[dict[str, Files], tuple[str, ...]]:
    """Files with labels by split ("all" when the folder has no splits), and the class names."""
    root = folder.resolve()
    children = _folders(folder, root)
    splits = {ALIASES[child.name.lower()]: child for child in children if child.name.lower() in ALIASES}
    if not splits:
        classes = tuple(child.name for child in children)
        _check_class_count(classes, folder)
        return {"all": _files(children, classes, root)}, classes
    if len(splits) != len(children) or not {"train", "test"} <= set(splits):
        names = ", ".join(child.name for child in children)
        raise DataError(
            f"{folder} holds the folders {names}; right would be train, val and test, or one folder a class"
        )
    inside = {split: _folders(child, root) for split, child in splits.items()}
    classes = tuple(child.name for child in inside["train"])
    _check_class_count(classes, splits["train"])
    return {split: _files(children, classes, root) for split, children in inside.items()}, classes


def _folders(folder: Path, root: Path) -> list[Path]:
    children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    for child in children:
        _check_inside(child, root)
    return [child for child in children if child.is_dir()]


def _files(children: list[Path], classes: tuple[str, ...], root: Path) -> Files:
    found = []
    for child in children:
        if child.name not in classes:
            raise DataError(
                f"{child} is a class that the training folder does not have; its classes are {', '.join(classes)}"
            )
        inside = sorted(
            file for file in child.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not inside:
            raise DataError(f"{child} holds no picture; each class needs at least one ({', '.join(SUFFIXES)})")
        for file in inside:
            _check_inside(file, root)
        found += [(file, classes.index(child.name)) for file in inside]
    return found


def _check_inside(path: Path, root: Path) -> None:
    if not path.resolve().is_relative_to(root):
        raise DataError(f"{path} is a link that leaves the data folder; copy the file there instead")


def _check_class_count(classes: tuple[str, ...], folder: Path) -> None:
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise DataError(f"{folder} holds {len(classes)} class folders; at least two are needed, with pictures inside")


def _check_parts(parts: dict[str, Files], classes: tuple[str, ...], folder: Path) -> None:
    for split, files in parts.items():
        if not files:
            raise DataError(f"{folder}: the split {split} is empty; each split needs at least one picture")
    absent = set(range(len(classes))) - {label for _, label in parts["train"]}
    if absent:
        raise DataError(
            f"{folder}: class {classes[min(absent)]} has no picture in train; each class needs at least one there"
        )


def _split_three(files: Files, seed: int, folder: Path) -> list[Files]:
    try:
        parts = grouped_split(np.array([label for _, label in files]), None, FRACTIONS, seed)
    except DataError:
        raise DataError(
            f"{folder} holds {len(files)} pictures, too few for a training, a validation and a test set"
        ) from None
    return [[files[row] for row in part] for part in parts]


def _cut(files: Files, share: float, seed: int) -> list[Files]:
    labels = np.array([label for _, label in files])
    return [[files[row] for row in part] for part in grouped_split(labels, None, (share, 1 - share), seed)]


def _read_all(files: Files, size: int) -> np.ndarray:
    from tqdm import tqdm

    images = np.empty((len(files), size, size, 3), dtype=np.uint8)
    for row, (file, _) in enumerate(tqdm(files, desc="reading pictures", delay=5)):
        images[row] = read_image(file, size)
    return images


def _is_colour(images: np.ndarray) -> bool:
    return any((chunk != chunk[..., :1]).any() for chunk in np.array_split(images, -(-len(images) // 512)))
