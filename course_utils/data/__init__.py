"""Data sets, splits, batches and augmentation: `load_dataset` is the door."""

from course_utils.data.augment import Augment, CutMix, MixUp
from course_utils.data.batches import Batches
from course_utils.data.core import CourseData, DataError, LockedError, ScanDataset
from course_utils.data.load import load_dataset
from course_utils.data.loaders import make_loader, per_sample_transform
from course_utils.data.lock import test_openings
from course_utils.data.splits import first_scans, grouped_split, random_split

__all__ = [
    "Augment",
    "Batches",
    "CourseData",
    "CutMix",
    "DataError",
    "LockedError",
    "MixUp",
    "ScanDataset",
    "first_scans",
    "grouped_split",
    "load_dataset",
    "make_loader",
    "per_sample_transform",
    "random_split",
    "test_openings",
]
