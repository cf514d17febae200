"""Which of the bundles in a folder is live: one small file that points at it, swapped in a single step.

Bundles are never overwritten, so going back is pointing at the one before.
"""

from __future__ import annotations

import json
from pathlib import Path

from course_utils.env import atomic_path, file_lock, to_json

POINTER = "LIVE.json"


def live_history(root: str | Path) -> list[dict[str, str]]:
    """Every step so far, oldest first: {"version", "reason"}; the last one is live. Empty before the first."""
    path = Path(root) / POINTER
    if not path.exists():
        return []
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        if steps and all(isinstance(step["version"], str) and isinstance(step["reason"], str) for step in steps):
            return steps
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path} does not say which bundle is live; remove it and call go_live again")


def live_version(root: str | Path) -> str:
    """The version that is live. ValueError when none is."""
    steps = live_history(root)
    if not steps:
        raise ValueError(f"no bundle of {root} is live yet; call go_live with a version and a reason")
    return steps[-1]["version"]


def go_live(root: str | Path, version: str, reason: str) -> str:
    """Point at bundle `version` of folder `root`; returns it. ValueError when it is not there, or without a reason."""
    root = Path(root)
    if Path(version).name != version or not (root / version / "metadata.json").is_file():
        raise ValueError(f"there is no bundle {version!r} in {root}; save it there before it goes live")
    if not reason.strip():
        raise ValueError("a change of the live model needs a reason in words")
    with file_lock(root / f".{POINTER}.lock"):
        steps = [*live_history(root), {"version": version, "reason": reason.strip()}]
        with atomic_path(root / POINTER) as temporary:
            temporary.write_text(to_json({"steps": steps}) + "\n", encoding="utf-8")
    return version


def roll_back(root: str | Path, reason: str) -> str:
    """Point at the bundle that was live before this one; returns its version. ValueError when there was none."""
    steps = live_history(root)
    earlier = [step["version"] for step in steps if step["version"] != live_version(root)]
    if not earlier:
        raise ValueError(f"nothing was live in {root} before {live_version(root)}; there is nothing to go back to")
    return go_live(root, earlier[-1], f"roll back: {reason}")
