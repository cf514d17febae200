"""The metadata table: one row a scan, as a clinic's export would give it. Sensible, incomplete, and with one trap.

The trap: `follow_up_weeks` is written down after the diagnosis. It predicts the label wonderfully and will not be
there when the model is asked. (A target leak; Kaufman et al., "Leakage in data mining", KDD 2011.)
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .cohort import CLINICS, DEVICES, Cohort
from .draws import SPLITS, Columns
from .referral import referral_notes
from .scans import Scans

COLUMNS = (
    "scan_id patient_id eye visit acquisition_date age sex clinic device signal_quality central_thickness_um "
    "visual_acuity_logmar follow_up_weeks referral_note label"
).split()
CLINIC_KM = {"Northgate": (4.0, 11.5), "Harbour": (1.5, 3.0), "Eastfield": (10.0, 6.5), "Summit": (14.5, 14.0)}
"""Where the clinics lie on a map of a town that does not exist, in kilometres east and north."""

FIRST_DAY = np.datetime64("2021-01-04")
ENROLMENT_DAYS = 900
FOLLOW_UP_WEEKS = np.array([4, 8, 26, 52])  # by class: the leak
FOLLOW_UP_RANDOM = 0.08
ACUITY = np.array([(0.36, 0.40, 0.26), (0.25, 0.35, 0.20), (0.13, 0.15, 0.14), (0.07, 0.0, 0.13)])
"""Visual acuity (logMAR: 0 is good, 1 is poor) by class: mean, gain with severity, spread."""

AGE_MISSING = 0.01
ACUITY_MISSING, ACUITY_MISSING_EASTFIELD = 0.04, 0.35
ACUITY_STEP, ACUITY_RANGE = 0.1, (-0.2, 1.8)
THICKNESS_ERROR_UM, THICKNESS_ERROR_B_UM, THICKNESS_BIAS_B_UM = 11.0, 18.0, 12.0


def metadata(scans: Scans) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(table, answer key) of clean scans; the key names what is missing, and what was decided after the diagnosis."""
    cohort, facts = scans.cohort, scans.traits
    n = len(cohort)
    follow_up, random_follow_up = _follow_up(cohort)
    table = pd.DataFrame(
        {
            "scan_id": [f"{cohort.split[:2].upper()}{i:06d}" for i in range(n)],
            "patient_id": patient_ids(cohort.split, cohort.who.patient),
            "eye": np.where(cohort.who.left == 1, "OS", "OD"),
            "visit": cohort.who.visit + 1,
            "acquisition_date": _dates(cohort, facts),
            "age": np.round(facts.age + facts.visit_gap_weeks * cohort.who.visit / 52),
            "sex": np.where(facts.female, "F", "M"),
            "clinic": np.array(CLINICS)[facts.clinic],
            "device": np.array(DEVICES)[facts.device],
            "signal_quality": _quality_reading(cohort, facts),
            "central_thickness_um": _thickness_reading(scans),
            "visual_acuity_logmar": _acuity(cohort, facts),
            "follow_up_weeks": follow_up,
            "label": scans.labels,
        }
    )
    missing = _missing(scans)
    for name, rows in missing.items():
        table.loc[rows, name] = np.nan
    table.insert(table.columns.get_loc("label"), "referral_note", referral_notes(cohort, table))
    key = pd.DataFrame(
        {
            "scan_id": table["scan_id"],
            "label_true": scans.labels,
            "severity": facts.severity.round(3),
            "follow_up_random": random_follow_up,
            "thickness_missing": missing["central_thickness_um"],
            "acuity_missing": missing["visual_acuity_logmar"],
            "age_missing": missing["age"],
        }
    )
    return table[list(COLUMNS)], key


def patient_ids(split: str, patients: np.ndarray) -> list[str]:
    """Ids that say nothing about the order of enrolment; no two patients, in any splits, share one."""
    scattered = (np.asarray(patients, np.int64) * 7919 + 13) % 999_983  # a prime: different patients stay different
    return [f"P{SPLITS[split]}{number:06d}" for number in scattered]


def _dates(cohort: Cohort, facts: Columns) -> np.ndarray:
    weeks = facts.visit_gap_weeks * cohort.who.visit
    days = (cohort.patient.first_day * ENROLMENT_DAYS + 7 * weeks).astype(int)
    return (FIRST_DAY + days.astype("timedelta64[D]")).astype("datetime64[s]")


def _quality_reading(cohort: Cohort, facts: Columns) -> np.ndarray:
    return np.clip(10 + 26 * facts.quality + 1.2 * cohort.scan.quality_reading, 5, 40).round(1)


def _thickness_reading(scans: Scans) -> np.ndarray:
    """The device's own measurement, µm: device B reads high and scatters more."""
    on_b = scans.traits.device == 1
    error = np.where(on_b, THICKNESS_ERROR_B_UM, THICKNESS_ERROR_UM) * scans.cohort.scan.thickness_reading
    return np.round(scans.thickness_um + np.where(on_b, THICKNESS_BIAS_B_UM, 0) + error)


def _acuity(cohort: Cohort, facts: Columns) -> np.ndarray:
    """Measured once a visit, in steps of 0.1."""
    mean, gain, spread = ACUITY[cohort.who.diagnosis].T
    visit = gain * (cohort.of_visit(facts.severity) - 0.4) + spread * cohort.of_visit(cohort.scan.acuity_reading)
    return np.clip(mean + visit + 0.0035 * (facts.age - 60), *ACUITY_RANGE).round(1)


def _follow_up(cohort: Cohort) -> tuple[np.ndarray, np.ndarray]:
    """(weeks until the next appointment, whether it was set at random): decided once a visit, knowing the label."""
    at_random = cohort.of_visit(cohort.scan.follow_up_random) < FOLLOW_UP_RANDOM
    choice = (cohort.of_visit(cohort.scan.follow_up_choice) * len(FOLLOW_UP_WEEKS)).astype(int)
    return FOLLOW_UP_WEEKS[np.where(at_random, choice, cohort.who.diagnosis)], at_random


def _missing(scans: Scans) -> dict[str, np.ndarray]:
    """Three ways to be missing (Rubin, Biometrika 1976).

    Age: completely at random. Acuity: at random given the clinic. Thickness: not at random, likelier when the signal
    is poor and the retina thick, which is when it matters.
    """
    cohort, facts = scans.cohort, scans.traits
    acuity = np.where(facts.clinic == CLINICS.index("Eastfield"), ACUITY_MISSING_EASTFIELD, ACUITY_MISSING)
    log_odds = -3.3 + 4.5 * np.clip(0.55 - facts.quality, 0, 1) + 0.016 * np.clip(scans.thickness_um - 290, 0, 200)
    return {
        "age": cohort.scan.age_missing < AGE_MISSING,
        "visual_acuity_logmar": cohort.of_visit(cohort.scan.acuity_missing) < acuity,
        "central_thickness_um": cohort.scan.thickness_missing < 1 / (1 + np.exp(-log_odds)),
    }
