"""Reading `.npz` files that anybody may have made: sizes are checked before a byte is loaded, and nothing is unpickled.

MedMNIST's format: arrays `{train,val,test}_images` uint8 (N, S, S) or (N, S, S, 3) and `{train,val,test}_labels`
integers (N,) or (N, 1). Ours adds, both optional, `{split}_patients` (N,) and `class_names` (K,).
"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course_utils.data.core import SPLITS, DataError

MAX_BYTES = 2 * 2**30  # of all arrays together, unpacked: the largest MedMNIST set at 64 pixels has 1.3 GB
MAX_MEMBERS = 256
MAX_CLASSES = 1000
SIDES = range(8, 1025)  # pixels
CHUNK = 4 * 2**20
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


class Header(NamedTuple):
    """What an array says about itself before it is loaded."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_arrays(path: Path, wanted: Iterable[str] | None = None, max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays called `wanted` (all, when None) that the archive holds, checked against its checksums.

    Raises DataError when it is no archive, is damaged, holds object arrays or odd names, or unpacks beyond `max_bytes`.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}: give the path of a MedMNIST-format .npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)
            names = members if wanted is None else [name for name in wanted if name in members]
            headers = {name: _header(archive, members[name], path) for name in names}
            _check_total(path, sum(header.nbytes for header in headers.values()), max_bytes)
            return {name: _load(archive, members[name], header, path) for name, header in headers.items()}
    except DataError:
        raise
    except DAMAGE as error:
        raise DataError(
            f"{path.name} is not a readable .npz file ({_brief(error)}); it is damaged or no archive: get it again"
        ) from None


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise DataError(f"{path.name} holds {len(infos)} members; a data set has at most {MAX_MEMBERS}")
    members = {}
    for info in infos:
        if not re.fullmatch(r"\w[\w.-]*\.npy", info.filename) or ".." in info.filename:
            raise DataError(
                f"{path.name} holds a member called {info.filename[:80]!r}; right would be train_images.npy"
            )
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise DataError(f"{path.name} holds {name} twice; each array must be there once")
        members[name] = info
    return members


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Header:
    """Shape and dtype from the first bytes of an array, without loading it."""
    with archive.open(info) as file:
        header = _read_header(file)
        start = info.file_size - header.nbytes
    if header.dtype.hasobject:
        raise DataError(
            f"{path.name}: {info.filename} holds Python objects, which could run code when loaded; save plain numbers"
        )
    if header.dtype.names is not None or min(header.shape, default=1) < 0 or not 0 < start < 2**17:
        raise DataError(
            f"{path.name}: {info.filename} says {header.shape} {header.dtype}, but its size differs; save it again"
        )
    return header


def _read_header(file) -> Header:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return Header(*np.lib.format.read_array_header_1_0(file))
    if version == (2, 0):
        return Header(*np.lib.format.read_array_header_2_0(file))
    raise ValueError(f"array format {version} is not known")


def _check_total(path: Path, total: int, max_bytes: int) -> None:
    if total > max_bytes:
        raise DataError(
            f"{path.name} unpacks to {total / 2**20:,.0f} MB; the most that is loaded is {max_bytes / 2**20:,.0f} MB: "
            "shrink the pictures or keep fewer"
        )


def _load(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: Header, path: Path) -> np.ndarray:
    """Read exactly the bytes that the header promised; the archive's CRC-32 is checked at the end."""
    flat = np.empty(header.nbytes, dtype=np.uint8)
    with archive.open(info) as file:
        _read_header(file)
        filled, view = 0, memoryview(flat)
        while filled < header.nbytes:
            count = file.readinto(view[filled : filled + CHUNK])
            if not count:
                raise DataError(
                    f"{path.name}: {info.filename} ends too early; the file was cut short: copy or make it again"
                )
            filled += count
        if file.read(1):  # reaching the end is also what makes zipfile compare the checksum
            raise DataError(f"{path.name}: {info.filename} is longer than it says; save it again")
    return flat.view(header.dtype).reshape(header.shape, order="F" if header.fortran_order else "C")


def _brief(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


# --- what a data set must look like -----------------------------------------------------------------------------------
class Raw(NamedTuple):
    """Checked arrays of a file: images uint8 (N, C, S, S), labels int64 (N,), patients (N,) or None."""

    images: np.ndarray
    labels: np.ndarray
    patients: np.ndarray | None


def read_splits(path: Path) -> tuple[dict[str, Raw], tuple[str, ...] | None]:
    """The three splits of a MedMNIST-format file, and its class names when it has them. Raises DataError."""
    required = [f"{split}_{part}" for split in SPLITS for part in ("images", "labels")]
    arrays = read_arrays(path, [*required, *(f"{split}_patients" for split in SPLITS), "class_names"])
    missing = [name for name in required if name not in arrays]
    if missing:
        raise DataError(
            f"{path.name} lacks {', '.join(missing)}; MedMNIST's format is images and labels for train, val and test"
        )
    names = _class_names(arrays.get("class_names"), path)
    images = {split: _images(arrays[f"{split}_images"], f"{path.name}: {split}_images") for split in SPLITS}
    _check_same_shape(images, path)
    labels = {split: _labels(arrays, split, path) for split in SPLITS}
    check_classes({split: labels[split] for split in SPLITS}, names, path.name)
    patients = _patients(arrays, path)
    return {split: Raw(images[split], labels[split], patients[split]) for split in SPLITS}, names


def _images(array: np.ndarray, what: str) -> np.ndarray:
    """Check, and bring to (N, C, S, S)."""
    if array.dtype != np.uint8:
        nan = ", with NaN among them" if array.dtype.kind == "f" and np.isnan(array).any() else ""
        raise DataError(f"{what} is {array.dtype}{nan}; pictures must be uint8, grey values from 0 to 255")
    if array.ndim == 5 or (array.ndim == 4 and array.shape[-1] not in (1, 3) and array.shape[1] == array.shape[2]):
        raise DataError(
            f"{what} has shape {array.shape}: volumes; this course takes flat pictures, (N, S, S) or (N, S, S, 3)"
        )
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in (1, 3)):
        raise DataError(f"{what} has shape {array.shape}; it must be (N, S, S) for grey or (N, S, S, 3) for colour")
    if len(array) == 0:
        raise DataError(f"{what} is empty; each split needs at least one picture")
    if array.shape[1] != array.shape[2] or array.shape[1] not in SIDES:
        raise DataError(
            f"{what} has shape {array.shape}; pictures must be square, {SIDES.start} to {SIDES.stop - 1} pixels a side"
        )
    return array[:, None] if array.ndim == 3 else np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _check_same_shape(images: dict[str, np.ndarray], path: Path) -> None:
    shapes = {split: array.shape[1:] for split, array in images.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{path.name}: the splits' pictures differ in shape, {shapes}; they must be equal")


def _labels(arrays: dict[str, np.ndarray], split: str, path: Path) -> np.ndarray:
    what, labels = f"{path.name}: {split}_labels", arrays[f"{split}_labels"]
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise DataError(
            f"{what} has {labels.shape[1]} labels a picture (multi-label); this course takes one class a picture"
        )
    labels = labels.reshape(len(labels)) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim != 1:
        raise DataError(f"{what} has shape {labels.shape}; it must be (N,) or (N, 1)")
    if labels.dtype.kind not in "iu":
        nan = ", with NaN among them" if labels.dtype.kind == "f" and np.isnan(labels).any() else ""
        raise DataError(f"{what} is {labels.dtype}{nan}; labels must be whole numbers from 0")
    if len(labels) != len(arrays[f"{split}_images"]):
        raise DataError(
            f"{what} has {len(labels)} labels for {len(arrays[f'{split}_images'])} pictures; the numbers must be equal"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MAX_CLASSES:
        raise DataError(f"{what} runs from {low} to {high}; labels must be 0 to {MAX_CLASSES - 1} at most")
    return labels.astype(np.int64)


def check_classes(labels: dict[str, np.ndarray], names: tuple[str, ...] | None, what: str) -> None:
    """Every label must be a class, there must be two or more, and each must have a training scan. Raises DataError."""
    classes = len(names) if names is not None else int(labels["train"].max()) + 1
    for split, values in labels.items():
        if values.max() >= classes:
            why = "classes are named" if names is not None else "classes are in the training labels"
            raise DataError(
                f"{what}: {split}_labels holds {values.max()}, but {classes} {why}; labels must be 0 to {classes - 1}"
            )
    counts = np.bincount(labels["train"], minlength=classes)
    if classes < 2:
        raise DataError(f"{what} has one class only; there must be at least two to tell apart")
    if counts.min() == 0:
        raise DataError(f"{what}: class {counts.argmin()} has no picture in train; each class needs at least one there")


def _class_names(array: np.ndarray | None, path: Path) -> tuple[str, ...] | None:
    if array is None:
        return None
    if (
        array.dtype.kind != "U"
        or array.ndim != 1
        or not 2 <= len(array) <= MAX_CLASSES
        or len(set(array)) != len(array)
    ):
        raise DataError(
            f"{path.name}: class_names is {array.dtype} {array.shape}; it must be one different text a class, (K,)"
        )
    return tuple(str(name) for name in array)


def _patients(arrays: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray | None]:
    found = {split: arrays.get(f"{split}_patients") for split in SPLITS}
    if all(array is None for array in found.values()):
        return found
    for split, array in found.items():
        what, n = f"{path.name}: {split}_patients", len(arrays[f"{split}_images"])
        if array is None:
            raise DataError(f"{what} is missing, but other splits have patients; give them for all three or for none")
        if array.shape not in ((n,), (n, 1)) or array.dtype.kind not in "iuU":
            raise DataError(
                f"{what} is {array.dtype} {array.shape}; it must be one whole number or text a picture, ({n},)"
            )
        found[split] = array.reshape(n)
    _check_no_leak(found, path)
    return found


def _check_no_leak(patients: dict[str, np.ndarray], path: Path) -> None:
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        both = np.intersect1d(patients[a], patients[b])
        if len(both):
            raise DataError(
                f"{path.name}: patient {both[0]} is in both {a} and {b}; a patient may be in one split only"
            )
