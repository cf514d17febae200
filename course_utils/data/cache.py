"""Simulated sets on disk: made once, found again by a hash of their parameters and of the code that makes them."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from course_utils import phantom
from course_utils.data.core import SPLITS, DataError
from course_utils.data.npz import read_arrays
from course_utils.env import atomic_path, file_lock

Arrays = dict[str, np.ndarray]


def cached_phantom(parameters: dict, folder: Path) -> dict[str, phantom.PhantomSplit]:
    """`phantom.make_dataset(**parameters)`, kept in `folder`."""
    path = folder / f"oct-phantom-{_key(parameters)}.npz"
    return kept(path, lambda: phantom.make_dataset(**parameters), _pack, _unpack)


def kept(path: Path, make: Callable[[], Any], pack: Callable[[Any], Arrays], unpack: Callable[[Arrays], Any]) -> Any:
    """`make()`, kept at `path` as the arrays `pack` gives; a damaged file is noticed by its checksums and remade.

    Two processes at once are safe: one makes it, the other waits. A folder that cannot be written only costs the time.
    """
    if path.is_file() and (made := _read(path, unpack)) is not None:
        return made
    try:
        with file_lock(path.with_name(f".{path.name}.lock")):
            if path.is_file() and (made := _read(path, unpack)) is not None:  # another process was quicker
                return made
            made = make()
            with atomic_path(path) as temporary:
                np.savez(temporary, **pack(made))
            return made
    except OSError as error:  # read-only, full, or no folder at all
        warnings.warn(
            f"the simulated set is not kept, since {path.parent} cannot be written ({error.strerror})", stacklevel=4
        )
        return make()


def _key(parameters: dict) -> str:
    """Twelve hexadecimal digits for the parameters and the simulator's source code."""
    return code_key(parameters, sorted(Path(phantom.__file__).parent.glob("*.py")))


def code_key(parameters: dict, files: Iterable[Path]) -> str:
    """Twelve hexadecimal digits for `parameters` and the text of `files`."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _read(path: Path, unpack: Callable[[Arrays], Any]) -> Any:
    """What was kept, or None (with a warning) when the file is damaged."""
    try:
        return unpack(read_arrays(path))
    except (DataError, KeyError, ValueError, TypeError, AttributeError) as error:
        warnings.warn(f"{path.name} was damaged ({str(error)[:80]}) and is made again", stacklevel=5)
        return None


def _pack(splits: dict[str, phantom.PhantomSplit]) -> Arrays:
    arrays: Arrays = {}
    for name, split in splits.items():
        arrays |= {f"{name}.images": split.images, f"{name}.labels": split.labels}
        arrays |= _pack_table(f"{name}.meta", split.meta) | _pack_table(f"{name}.key", split.key)
    return arrays


def _unpack(arrays: Arrays) -> dict[str, phantom.PhantomSplit]:
    splits = {}
    for name in SPLITS:
        images, labels = arrays[f"{name}.images"], arrays[f"{name}.labels"]
        tables = [_unpack_table(f"{name}.{table}", arrays) for table in ("meta", "key")]
        if {len(part) for part in (labels, *tables)} != {len(images)}:
            raise ValueError(f"the parts of {name} differ in length")
        splits[name] = phantom.PhantomSplit(images, labels, *tables)
    return splits


def _pack_table(prefix: str, table: pd.DataFrame) -> Arrays:
    """Numbers, truth values and times as arrays; everything else, and the order of columns, as JSON text."""
    arrays: Arrays = {}
    description = []
    for column in table:
        values = table[column]
        plain = isinstance(values.dtype, np.dtype) and values.dtype.kind in "iufbM"
        description.append({"name": column, "dtype": str(values.dtype), "plain": plain})
        if plain:
            times = values.dtype.kind == "M"
            arrays[f"{prefix}.{column}"] = values.to_numpy().astype(np.int64) if times else values.to_numpy()
        else:
            description[-1]["values"] = [None if pd.isna(value) else value for value in values]
    text = json.dumps(description, ensure_ascii=False).encode()
    return arrays | {f"{prefix}.table": np.frombuffer(text, dtype=np.uint8)}


def _unpack_table(prefix: str, arrays: Arrays) -> pd.DataFrame:
    columns = {}
    for column in json.loads(arrays[f"{prefix}.table"].tobytes()):
        values = arrays[f"{prefix}.{column['name']}"] if column["plain"] else column["values"]
        columns[column["name"]] = pd.Series(values, dtype=column["dtype"])
    return pd.DataFrame(columns)
