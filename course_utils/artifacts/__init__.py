"""What leaves the lab: ONNX files with proved parity, measured latency, and versioned model bundles.

Only formats that hold numbers, not code, are written or read: safetensors, ONNX, JSON, CSV, Markdown.

`export` writes and opens ONNX files; `measure` compares and times; `sealed` keeps folders of files under a manifest;
`weights` turns a model into bytes and back; `bundle` is what is handed to a clinic; `cache` what one lesson leaves
for the next; `compress` makes int8 of an ONNX file; `device` writes programs for phones; `report` a page of results.
"""

from __future__ import annotations

import importlib
from typing import Any

from course_utils.artifacts.bundle import (
    BUNDLE_FILES,
    REQUIRED,
    Bundle,
    find_bundle,
    load_bundle,
    model_card,
    save_bundle,
)
from course_utils.artifacts.cache import CACHE_FILES, cached_model
from course_utils.artifacts.device import executorch_runner, export_executorch
from course_utils.artifacts.export import export_onnx, onnx_session
from course_utils.artifacts.measure import latency, parity, parity_table, time_in_turns
from course_utils.artifacts.report import Picture, Warn, write_report
from course_utils.artifacts.sealed import MANIFEST, BundleError
from course_utils.artifacts.weights import random_states_kept

__all__ = [
    "BUNDLE_FILES",
    "CACHE_FILES",
    "MANIFEST",
    "REQUIRED",
    "Bundle",
    "BundleError",
    "Picture",
    "Warn",
    "cached_model",
    "executorch_runner",
    "export_executorch",
    "export_onnx",
    "find_bundle",
    "latency",
    "load_bundle",
    "model_card",
    "onnx_session",
    "parity",
    "parity_table",
    "random_states_kept",
    "save_bundle",
    "time_in_turns",
    "write_report",
]
LAZY = ("ScanFeed", "quantize_int8")  # their library is slow to import, and most lessons quantise nothing


def __getattr__(name: str) -> Any:
    """What `compress` defines, imported when it is first asked for."""
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("course_utils.artifacts.compress"), name)
