"""The service's daily bread after the launch: scans week by week, on devices that change under it.

Weeks 1-6 are like the training set. Over weeks 7-14 the older device B spreads to every clinic (8 % -> 60 %); from
week 15 a new device C takes over (10 % -> 70 %). Nobody's eyes change: this is covariate shift, and the labels that
would show the damage come four weeks late.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from .cohort import DEVICE_B_USUAL, Cohort, enrol, traits
from .dataset import PhantomSplit
from .faults import no_faults
from .scans import check, draw
from .table import metadata

LABEL_DELAY_WEEKS = 4
B_RISES, B_PEAK = (6, 14), 0.60
C_RISES, C_FROM, C_TO = (15, 24), 0.10, 0.70
FIRST_MONDAY = np.datetime64("2024-01-01")
PATIENTS_PER_WEEK = 30_000  # room for patient numbers; no week uses them up
"""Patients of different weeks are different people; all visits of a patient fall in one week (a simplification)."""


def device_shares(week: int, drift: bool = True) -> tuple[float, float]:
    """(share of device B among A and B, share of device C) in a week, counted from 1."""
    if not drift:
        return DEVICE_B_USUAL, 0.0
    share_b = float(np.interp(week, B_RISES, (DEVICE_B_USUAL, B_PEAK)))
    share_c = float(np.interp(week, C_RISES, (C_FROM, C_TO))) if week >= C_RISES[0] else 0.0
    return share_b, share_c


def production_stream(
    seed: int = 0, weeks: int = 24, per_week: int = 150, size: int = 64, drift: bool = True, threads: int = 2
) -> Iterator[tuple[int, PhantomSplit]]:
    """Yield (week, split) for weeks 1, 2, ...; `meta` has two more columns: `week` and `label_week`.

    Labels are right but late: before `label_week` a monitor must not look at them. With `drift=False` the same
    patients come, and the devices stay as in training: what is alarming there is a false alarm.
    """
    check(per_week, "production", seed, size)
    for week in range(1, weeks + 1):
        cohort = enrol(per_week, "production", seed, first_patient=week * PATIENTS_PER_WEEK)
        scans = draw(cohort, traits(cohort, *device_shares(week, drift)), size, threads)
        table, key = metadata(scans)
        table = _in_week(table, cohort, week, per_week)
        key = no_faults(key.assign(scan_id=table["scan_id"]))
        yield week, PhantomSplit(scans.images, scans.labels, table, key)


def _in_week(table: pd.DataFrame, cohort: Cohort, week: int, per_week: int) -> pd.DataFrame:
    day = 7 * (week - 1) + (cohort.patient.first_day * 5).astype(int)  # Monday to Friday
    return table.assign(
        scan_id=[f"PR{(week - 1) * per_week + i:06d}" for i in range(len(table))],
        acquisition_date=(FIRST_MONDAY + day.astype("timedelta64[D]")).astype("datetime64[s]"),
        week=week,
        label_week=week + LABEL_DELAY_WEEKS,
    )
