"""Five schedules of the learning rate at five peak learning rates: lesson 09's small network, one budget."""

from functools import cache

from benchmarks.studies.regularisers import few_and_rest
from benchmarks.study import Study
from course_utils import train, tune
from course_utils.data import CourseData, load_dataset

SCANS, SIZE = 800, 32
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


@cache
def dataset() -> CourseData:
    """The simulated set the lesson uses, at half its size."""
    return load_dataset(size=SIZE)


def measure(setting: tune.Setting, seed: int) -> dict[str, float]:
    """Train on some patients by `setting`, score on all the other training patients."""
    learn, unseen = few_and_rest(dataset(), SCANS, seed)
    model, history = tune.train_setting(setting, dataset(), learn, dataset().val, seed=seed)
    return tune.score(model, dataset(), unseen) | {"train_accuracy": float(history["train_accuracy"].iloc[-1])}


STUDY = Study(
    name="schedules",
    question="Which schedule, at which peak learning rate, reads most unseen patients' scans in six epochs?",
    settings={f"{kind} {lr:g}": tune.Setting(schedule=kind, lr=lr) for kind in tune.SCHEDULES for lr in RATES},
    seeds=range(5),
    measure=measure,
    data=lambda: dataset().fingerprint,
    modules=[train, tune],
    small=("cosine 0.01", 0),
    columns={
        "accuracy": "on the scans of training patients the network has not seen",
        "macro_f1": "the same, mean F1 over the classes",
        "train_accuracy": "during the last epoch",
    },
)
