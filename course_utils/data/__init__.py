"""Data sets, splits, batches and augmentation: `load_dataset` is the door."""

from course_utils.data.augment import Augment, CutMix, MixUp
from course_utils.data.batches import Batches
from course_utils.data.columns import Prepared
from course_utils.data.core import CourseData, DataError, LockedError, ScanDataset
from course_utils.data.load import load_dataset
from course_utils.data.loaders import make_loader, per_sample_transform
from course_utils.data.lock import test_openings
from course_utils.data.radar import RadarData, load_radar
from course_utils.data.recordings import OwnRecording, read_recording
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
    "OwnRecording",
    "Prepared",
    "RadarData",
    "ScanDataset",
    "TableData",
    "TablePart",
    "first_scans",
    "grouped_split",
    "load_dataset",
    "load_radar",
    "load_table",
    "make_loader",
    "per_sample_transform",
    "random_split",
    "read_recording",
    "test_openings",
]
