"""A hospital's data with planted faults, and how a learner's suspects are graded against its answer key."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from course_utils.exercises.answers import entries
from course_utils.exercises.core import NotYet
from course_utils.phantom import CLASSES, PhantomSplit, make_dataset

LEAST = {  # precision and recall that close the case
    "unit slip": (0.8, 0.8),
    "outlier": (0.8, 0.8),
    "marker": (0.8, 0.8),
    "exact copy": (0.9, 0.9),
    "near copy": (0.8, 0.8),
    "wrong label": (0.25, 0.5),  # an eye that contradicts itself names innocent scans, too
}
CLUES = {  # what to try when innocent scans are accused, and when guilty ones go free
    "unit slip": ("a thin retina is no slip: which thickness can no retina have?", "no retina is thinner than 10 µm"),
    "outlier": ("raise your threshold and look at the worst ones", "compare brightness, contrast and the two halves"),
    "marker": (
        "sick tissue is bright, too: ask for many pixels of one exact grey",
        "look in the lower left corner only",
    ),
    "exact copy": ("compare every byte, not a summary", "name all members of each set, not only the later ones"),
    "near copy": (
        "exact copies have their own entry, and scans of one patient are relatives",
        "compare the grain, a pixel aside",
    ),
    "wrong label": ("an eye without a contradiction is no suspect", "which eyes change their diagnosis between scans?"),
}


@cache
def _case() -> PhantomSplit:
    return make_dataset(n_train=1000, n_val=1, n_test=1, seed=21, size=64)["train"]


def detective_case() -> tuple[np.ndarray, pd.DataFrame]:
    """A hospital nobody has looked at: scans uint8 (1000, 64, 64) and their table, a `diagnosis` by name among it."""
    case = _case()
    return case.images.copy(), case.meta.assign(diagnosis=np.array(CLASSES)[case.labels])


def guilty(key: pd.DataFrame) -> dict[str, set[str]]:
    """Scan ids of each fault, out of an answer key; of copies both members count."""

    def with_sources(column: str) -> set[str]:
        copied = key[key[column] != ""]
        return set(copied["scan_id"]) | set(copied[column])

    broken = key["outlier"].isin(["blank", "saturated", "half_missing"])
    masks = {
        "unit slip": key["unit_slip"],
        "outlier": broken,
        "marker": key["marker"],
        "wrong label": key["label_flipped"],
    }
    sets = {fault: set(key.loc[mask, "scan_id"]) for fault, mask in masks.items()}
    return sets | {"exact copy": with_sources("duplicate_of"), "near copy": with_sources("near_duplicate_of")}


def suspects(answer: Any, fault: str, known: set[str]) -> set[str]:
    """The scan ids a learner names for one fault, from any collection of them."""
    try:
        ids = {answer} if isinstance(answer, str) else set(answer)
    except TypeError:
        raise NotYet(f"{fault}: a set of scan ids is wanted, not {type(answer).__name__}") from None
    strange = sorted(map(str, ids - known))
    if strange:
        raise NotYet(f"{fault}: {strange[0]!r} is no scan_id; a mask gives them by table.loc[mask, 'scan_id']")
    if not ids:
        raise NotYet(f"{fault}: nobody is accused yet. {CLUES[fault][1].capitalize()}")
    return ids


def judge_detective(found) -> str:
    """02.4: the learner's suspects against the answer key, by precision and recall of each fault."""
    entries(found, LEAST, "found")
    key = _case().key
    named = {fault: suspects(found[fault], fault, set(key["scan_id"])) for fault in LEAST}
    scores = []
    for fault, truth in guilty(key).items():
        right = len(named[fault] & truth)
        precision, recall = right / len(named[fault]), right / len(truth)
        scores.append(f"{fault} {precision:.2f}/{recall:.2f}")
        if precision < LEAST[fault][0] or recall < LEAST[fault][1]:
            clue = CLUES[fault][precision >= LEAST[fault][0]]
            raise NotYet(
                f"{fault}: {len(named[fault])} suspects, precision {precision:.2f}, recall {recall:.2f}. "
                f"{clue.capitalize()}"
            )
    return (
        f"the case is closed (precision/recall): {', '.join(scores)}. Handling leaves sharp traces, judgement does not"
    )
