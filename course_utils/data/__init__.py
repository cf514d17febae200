"""Data sets, splits, batches and augmentation: `load_dataset` is the door."""

import importlib
from typing import Any

from course_utils.data.augment import Augment, CutMix, MixUp
from course_utils.data.batches import Batches
from course_utils.data.columns import Prepared
from course_utils.data.core import CourseData, DataError, ScanDataset
from course_utils.data.load import load_dataset
from course_utils.data.loaders import make_loader, per_sample_transform
from course_utils.data.lock import LockedError, test_openings
from course_utils.data.splits import first_scans, grouped_split, random_split
from course_utils.data.tables import TableData, TablePart, load_table

__all__ = [
    "Augment",
    "Batches",
    "CourseData",
    "CutMix",
    "DataError",
    "LockedError",
    "MixUp",
    "Prepared",
    "ScanDataset",
    "TableData",
    "TablePart",
    "first_scans",
    "grouped_split",
    "load_dataset",
    "load_table",
    "make_loader",
    "per_sample_transform",
    "random_split",
    "test_openings",
]
# Radar stands on scipy.signal, which takes a second or two to import, and most lessons look at scans.
LAZY = {"RadarData": "radar", "load_radar": "radar", "OwnRecording": "recordings", "read_recording": "recordings"}


def __getattr__(name: str) -> Any:
    """What the radar modules define, imported when it is first asked for."""
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"course_utils.data.{LAZY[name]}"), name)
