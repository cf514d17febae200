"""Folders of files sealed by a manifest with the size and the SHA-256 of each.

A seal tells damage and careless edits. It cannot tell a forger who rewrites the manifest too, which is why nothing that
is read from such a folder is ever run, and sizes are compared before memory is taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.env import to_json

MANIFEST = "MANIFEST.json"
MAX_BYTES = 512 * 2**20  # of one file in a bundle; the course's models stay below a megabyte


class BundleError(ValueError):
    """A bundle that is not whole, not as it was written, or not what it says it is."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_sealed(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files and a manifest with the size and SHA-256 of each."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    listed = {name: {"bytes": len(content), "sha256": sha256(content)} for name, content in files.items()}
    (folder / MANIFEST).write_text(to_json({"format": 1, "files": listed}) + "\n", encoding="utf-8")


def read_sealed(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read exactly the files `names`, each as its manifest says: the bytes that were checked are the bytes returned."""
    if not folder.is_dir():
        raise BundleError(f"no bundle at {folder}; pass the folder that save_bundle returned")
    found = {entry.name: entry for entry in folder.iterdir()}
    for name in sorted({MANIFEST, *names} | found.keys()):
        if name not in found:
            raise BundleError(f"{folder.name} lacks {name}; copy the whole bundle again")
        if name not in (MANIFEST, *names):
            raise BundleError(f"{folder.name} holds {name}, which is no part of a bundle; copy the bundle again")
        if found[name].is_symlink() or not found[name].is_file():
            raise BundleError(f"{name} in {folder.name} is a link or a folder; a bundle holds plain files only")
        if found[name].stat().st_size > MAX_BYTES:
            raise BundleError(f"{name} in {folder.name} is larger than {MAX_BYTES // 2**20} MB, more than is ever read")
    listed = _read_manifest(found[MANIFEST], names)
    return {name: _checked(found[name], listed[name]) for name in names}


def _read_manifest(path: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        listed = {name: {"bytes": item["bytes"], "sha256": item["sha256"]} for name, item in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} is not a manifest ({type(error).__name__}); copy the bundle again") from error
    for name in sorted(listed.keys() ^ set(names)):  # also what would lead out of the folder
        what = "lists" if name in listed else "does not list"
        raise BundleError(f"{path} {what} {name!r}; a bundle's manifest lists exactly {', '.join(names)}")
    return listed


def _checked(path: Path, listed: Mapping[str, Any]) -> bytes:
    content = path.read_bytes()
    if len(content) != listed["bytes"] or sha256(content) != listed["sha256"]:
        raise BundleError(
            f"{path} is not as it was written: its size or SHA-256 differs from {MANIFEST}; copy it again"
        )
    return content
