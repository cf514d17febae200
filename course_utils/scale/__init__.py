"""More than one process: what it costs, a training and a search that several share, and how they are started.

`costs` holds the arithmetic, `training` the shared training, `launching` torchrun with a time limit. Not imported here:
`searching`, the shared study, which needs Optuna, and `worker`, the program that each process runs.
"""

from course_utils.scale.costs import allreduce_seconds, bubble, median_seconds, state_bytes, step_seconds
from course_utils.scale.launching import launch, run_limited, start_process
from course_utils.scale.training import Plan, sgd, share, small_net, train_share

__all__ = [
    "Plan",
    "allreduce_seconds",
    "bubble",
    "launch",
    "median_seconds",
    "run_limited",
    "sgd",
    "share",
    "small_net",
    "start_process",
    "state_bytes",
    "step_seconds",
    "train_share",
]
