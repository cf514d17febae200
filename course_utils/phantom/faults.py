"""What goes wrong with real data, planted on purpose, and the answer key that says where.

Faults that belong to one visit or one scan (wrong diagnoses, burnt-in markers, unit slips) come from that scan's own
random numbers. Copies and outliers are rates of the whole split, so where they land depends on its size: clean
scans are the same whatever the number asked for, planted ones are the same for the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .cohort import CLINICS, CNV, DME, DRUSEN, NORMAL, Cohort
from .draws import stream
from .scans import Scans
from .table import patient_ids

MARKER_CLINIC = "Northgate"
MARKER_GREY = 235
CONTRADICTION = {CNV: DRUSEN, DRUSEN: CNV, DME: CNV, NORMAL: DRUSEN}
OUTLIERS = ("blank", "saturated", "upside_down", "half_missing")
RE_REGISTERED = 900_000  # patients with this number and above exist on paper only
MISREADING = np.array(  # chance of each observed label (columns), by true label (rows); order CNV DME DRUSEN NORMAL
    [
        [0.972, 0.005, 0.022, 0.001],
        [0.022, 0.970, 0.000, 0.008],
        [0.100, 0.000, 0.875, 0.025],
        [0.001, 0.002, 0.006, 0.991],
    ]
)


@dataclass(frozen=True)
class Rates:
    """How much of each fault: shares of the scans, unless said otherwise."""

    duplicates: float = 0.015
    near_duplicates: float = 0.010
    outliers: float = 0.007
    unit_slips: float = 0.006
    marker_on_cnv: float = 0.75  # of the CNV scans of one clinic
    marker_on_others: float = 0.04  # of that clinic's other scans


def plant(
    scans: Scans, table: pd.DataFrame, key: pd.DataFrame, rates: Rates = Rates()
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """(images, table, key) with the faults in; the inputs stay as they are."""
    images, table, key = scans.images.copy(), table.copy(), key.copy()
    _burn_markers(images, key, scans, rates)
    _misread(table, key, scans.cohort)
    _slip_units(table, key, scans.cohort, rates)
    outliers, near, duplicates = _plan(scans.cohort, rates)
    _spoil(images, key, outliers, scans.cohort)
    _copy_near(images, near, scans.cohort)
    images[duplicates[1]] = images[duplicates[0]]
    table, key = _register_copies(table, key, near, duplicates, scans.cohort.split)
    return images, table, key


def no_faults(key: pd.DataFrame) -> pd.DataFrame:
    """The key of a split without planted faults: the same columns, all empty."""
    empty = {"marker": False, "label_flipped": False, "contradicting": False, "unit_slip": False}
    return key.assign(**empty, outlier="", duplicate_of="", near_duplicate_of="", re_registered=False)


# ------------------------------------------------------------------ faults of one scan


def paste_marker(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Burn a caliper into a copy of one scan, uint8 (size, size): two small crosses joined by dots, lower left."""
    marked, scale = image.copy(), image.shape[0] / 64
    x, y = (round((corner + int(rng.integers(0, 4))) * scale) for corner in (5, 54))
    length = round(9 * scale)
    for end in (x, x + length):
        marked[y - 1 : y + 2, end] = MARKER_GREY
        marked[y, end - 1 : end + 2] = MARKER_GREY
    marked[y, x : x + length : 2] = MARKER_GREY
    return marked


def _burn_markers(images: np.ndarray, key: pd.DataFrame, scans: Scans, rates: Rates) -> None:
    """One clinic measures lesions on the screen before it exports: the picture gives the diagnosis away."""
    chance = np.where(scans.labels == CNV, rates.marker_on_cnv, rates.marker_on_others)
    chance = chance * (scans.traits.clinic == CLINICS.index(MARKER_CLINIC))
    marked = scans.cohort.scan.marker < chance
    who = scans.cohort.who
    for row in np.flatnonzero(marked):
        images[row] = paste_marker(images[row], _rng(scans.cohort, "marker", who.patient[row], who.number[row]))
    key["marker"] = marked


def _misread(table: pd.DataFrame, key: pd.DataFrame, cohort: Cohort) -> None:
    """Wrong diagnoses, skewed as in life: drusen are taken for CNV. Every scan of a visit inherits the mistake."""
    luck = cohort.of_visit(cohort.scan.misreading)
    true = key["label_true"].to_numpy()
    observed = (luck[:, None] > np.cumsum(MISREADING, axis=1)[true, :-1]).sum(axis=1)
    table["label"] = observed
    key["label_flipped"] = observed != true


def _slip_units(table: pd.DataFrame, key: pd.DataFrame, cohort: Cohort, rates: Rates) -> None:
    """Some thicknesses were typed in millimetres."""
    slipped = (cohort.scan.unit_slip < rates.unit_slips) & ~key["thickness_missing"].to_numpy()
    table.loc[slipped, "central_thickness_um"] /= 1000
    key["unit_slip"] = slipped


# ------------------------------------------------------------------ faults of the whole split


def _plan(cohort: Cohort, rates: Rates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rows: outliers (m,), and (source, destination) pairs (2, m) of near and exact copies; none twice."""
    n = len(cohort)
    outliers, near, exact = (round(rate * n) for rate in (rates.outliers, rates.near_duplicates, rates.duplicates))
    order = _rng(cohort, "plan", n).permutation(n)
    rows, pairs, rest = np.split(order[: outliers + 2 * near + 2 * exact], [outliers, outliers + 2 * near])
    return rows, pairs.reshape(2, near), rest.reshape(2, exact)


def _rng(cohort: Cohort, purpose: str, *key: int) -> np.random.Generator:
    return stream(cohort.seed, purpose, cohort.split, *key)


def _spoil(images: np.ndarray, key: pd.DataFrame, rows: np.ndarray, cohort: Cohort) -> None:
    """Shots that should have been thrown away."""
    kinds = np.full(len(key), "", dtype=object)
    for k, row in enumerate(rows):
        kinds[row] = OUTLIERS[k % len(OUTLIERS)]
        images[row] = _outlier(images[row], kinds[row], _rng(cohort, "outlier", row))
    key["outlier"] = kinds.astype(str)


def _outlier(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind == "blank":
        return np.clip(rng.normal(22, 7, image.shape), 0, 255).astype(np.uint8)
    if kind == "saturated":
        return np.clip(image * 2.6 + 70, 0, 255).astype(np.uint8)
    if kind == "upside_down":
        return image[::-1]
    half = image.copy()
    half[:, image.shape[1] // 2 :] = 0
    return half


def _copy_near(images: np.ndarray, pairs: np.ndarray, cohort: Cohort) -> None:
    """The same scan exported again: up to a pixel aside, a little brighter or darker, freshly noisy."""
    for source, destination in pairs.T:
        rng = _rng(cohort, "copy", destination)
        moved = np.roll(images[source].astype(float), int(rng.integers(-1, 2)), axis=1)
        changed = moved * rng.uniform(0.94, 1.06) + rng.uniform(-2, 2) + rng.normal(0, 3, moved.shape)
        images[destination] = np.clip(changed, 0, 255).astype(np.uint8)


def _register_copies(
    table: pd.DataFrame, key: pd.DataFrame, near: np.ndarray, exact: np.ndarray, split: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the copies their rows: near ones and every second exact one under a new patient id.

    An eighth of the exact copies contradicts the label of its source.
    """
    origin = np.arange(len(table))
    for source, destination in (near, exact):
        origin[destination] = source
    scan_id = table["scan_id"].to_numpy()
    table = table.iloc[origin].reset_index(drop=True).assign(scan_id=scan_id)
    key = key.iloc[origin].reset_index(drop=True).assign(scan_id=scan_id)
    for name, (source, destination) in (("duplicate_of", exact), ("near_duplicate_of", near)):
        key[name] = ""
        key.loc[destination, name] = scan_id[source]
    strangers = np.concatenate([near[1], exact[1][1::2]])
    table.loc[strangers, "patient_id"] = patient_ids(split, RE_REGISTERED + np.arange(len(strangers)))
    key["re_registered"] = key.index.isin(strangers)
    contradicted = exact[1][::8]
    table.loc[contradicted, "label"] = table.loc[contradicted, "label"].map(CONTRADICTION)
    key["contradicting"] = key.index.isin(contradicted)
    key["label_flipped"] = table["label"] != key["label_true"]
    return table, key
