"""Watching a model in service: has the world moved, is the new model better, who looks at what, which model is live.

`drift` measures, `watch` turns measures into alarms with a known false-alarm rate, `trials` plans and reads A/B tests,
`review` keeps the books on labels that come late and on people's time, `rollout` points at the live bundle.
"""

from course_utils.monitor.drift import (
    SCAN_STATISTICS,
    domain_auc,
    ks_statistic,
    median_distance,
    mmd2,
    psi,
    scan_statistics,
)
from course_utils.monitor.review import review_queue, rolling_accuracy
from course_utils.monitor.rollout import go_live, live_history, live_version, roll_back
from course_utils.monitor.trials import always_valid_p, design_effect, sample_size, two_shares_p
from course_utils.monitor.watch import MEASURES, DriftMonitor

__all__ = [
    "MEASURES",
    "SCAN_STATISTICS",
    "DriftMonitor",
    "always_valid_p",
    "design_effect",
    "domain_auc",
    "go_live",
    "ks_statistic",
    "live_history",
    "live_version",
    "median_distance",
    "mmd2",
    "psi",
    "review_queue",
    "roll_back",
    "rolling_accuracy",
    "sample_size",
    "scan_statistics",
    "two_shares_p",
]
