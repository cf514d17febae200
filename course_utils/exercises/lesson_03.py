"""Exercises of lesson 03: shapes, a split by patient, gaps filled from the training rows, weights, fifty readings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from course_utils.exercises.answers import close, entries, floats, pair
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number

LESSON = "03_prepare_the_data"

# ── 03.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
SHAPES = {
    "a batch of 32 colour scans": (32, 3, 64, 64),
    "a row one-hot encoded": (9,),
    "one note as token ids": (32,),
    "scans in the last batch": (8,),
}


def judge_shapes(guesses) -> str:
    """03.1: the shapes of four tensors before they are made."""
    entries(guesses, SHAPES, "guesses")
    said = {}
    for name, guess in guesses.items():
        guess = guess if isinstance(guess, tuple | list | torch.Size) else (guess,)
        said[name] = tuple(int(number(size, name)) for size in guess)
    a, b, c, d = SHAPES
    if said[a] == (32, 64, 64, 3):
        raise NotYet(f"{a}: that is how plotting libraries order it; PyTorch puts the channels before the rows")
    if said[b] == (5,):
        raise NotYet(f"{b}: five columns went in, but clinic and device are names: how many columns does each become?")
    if said[c] == (11,):
        raise NotYet(f"{c}: ten words and [CLS] are eleven ids, but the notes of a batch must be equally long")
    if said[d] == (32,):
        raise NotYet(f"{d}: 31 batches of 32 are 992 scans; who is left for the last one?")
    for name, wanted in SHAPES.items():
        if said[name] != wanted:
            raise NotYet(f"{name}: not {said[name]}; write it down on paper, one axis after the other")
    return "a shape you can say beforehand is a test you can write: most mistakes with tensors show there first"


# ── 03.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_split(split) -> str:
    """03.2: rows of two parts, whole patients each, of about the share wanted."""
    rng = np.random.default_rng(8)
    patients = np.array([f"P{k:03d}" for k in rng.integers(0, 60, 400)])
    kept, aside = pair(ask(split, patients.copy(), 0.25, 3), "the result of split")
    kept, aside = (floats(rows, None, "a part").ravel().clip(-1, 400).astype(int) for rows in (kept, aside))
    rows = np.concatenate([kept, aside])
    if len(rows) and (rows.min() < 0 or rows.max() >= len(patients)):
        raise NotYet(f"the parts should hold row numbers from 0 to 399, and hold {rows.min()} to {rows.max()}")
    if len(rows) != 400 or len(set(rows)) != 400:
        raise NotYet(
            f"each of 400 rows belongs into one part, once; yours hold {len(rows)} ({len(set(rows))} different)"
        )
    both = np.intersect1d(patients[kept], patients[aside])
    if len(both):
        raise NotYet(f"{len(both)} of 60 patients sit on both sides, {both[0]} among them: draw patients, not scans")
    if not 0.15 < len(aside) / 400 < 0.35:
        raise NotYet(f"a quarter should stand aside, second in the pair, and {len(aside) / 400:.0%} do")
    again = floats(pair(ask(split, patients.copy(), 0.25, 3), "the result of split")[1], None, "a part").ravel()
    other = floats(pair(ask(split, patients.copy(), 0.25, 4), "the result of split")[1], None, "a part").ravel()
    if not np.array_equal(np.sort(again), np.sort(aside)):
        raise NotYet("the same seed gave two different splits: draw from np.random.default_rng(seed)")
    if np.array_equal(np.sort(other), np.sort(aside)):
        raise NotYet("seeds 3 and 4 gave the same split: the seed is not used, or nothing is drawn")
    return "whole patients, repeatable by seed: what is promised aside will be kept on people nobody has seen"


# ── 03.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_gaps(prepare) -> str:
    """03.3: fill with the training mean, standardise with training numbers, and say what was missing."""
    rng = np.random.default_rng(6)
    learn, new = rng.normal(300, 40, 50), rng.normal(360, 40, 8)
    learn[[3, 10, 11]] = new[[0, 5]] = np.nan
    values, missing = pair(ask(prepare, pd.Series(learn), pd.Series(new)), "the result of prepare")
    gap = np.isnan(new)
    said, flagged = floats(values, (8,), "the first part"), floats(missing, (8,), "the second part")
    if np.array_equal(flagged, 1.0 - gap):
        raise NotYet("the second part is 1 where a thickness is there; it should be 1 where one is missing")
    if not np.array_equal(flagged, gap):
        raise NotYet(f"2 of the 8 new thicknesses are missing, and the second part marks {flagged.sum():g}")
    mean, std = np.nanmean(learn), np.nanstd(learn)
    either = np.isclose(said[~gap][:, None], ((new[~gap] - mean)[:, None] / [std, np.nanstd(learn, ddof=1)]), rtol=1e-4)
    if either.all(axis=0).any():
        if close(said[gap], np.zeros(2), 1e-3):
            return (
                "the mean says nothing about a gap, the second column says it: and no new patient moved either number"
            )
        if close(said[gap], np.full(2, -mean / std), 1e-2):
            raise NotYet(
                f"a gap became {said[gap][0]:.1f} standard deviations, a retina of no thickness: fill in the mean first"
            )
        raise NotYet(
            f"a gap filled with the training mean ends at 0 after standardising; yours ends at {said[gap][0]:.2f}"
        )
    if close(said[~gap].mean(), 0, 0.15):
        raise NotYet("the new scans come out centred on 0: standardised with their own mean, their clinic is gone")
    if close(said[~gap], new[~gap]):
        raise NotYet("the thicknesses are still in µm: subtract the training mean, divide by the training deviation")
    filled = np.where(np.isnan(learn), 0, learn)
    if close(said[~gap], (new[~gap] - filled.mean()) / filled.std(), 1e-2):
        raise NotYet("gaps in the training scans were counted as 0 µm and bent mean and deviation: leave them out")
    raise NotYet(
        f"a thickness of {new[1]:.0f} µm became {said[1]:.2f}; with the training mean and deviation it would be "
        f"otherwise"
    )


# ── 03.4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
FLAGS = {  # of each band of the model's certainty: scans with another label than the model says, wrong labels among 100
    "sure (above 0.9)": (30, 40),
    "fairly sure (0.8 to 0.9)": (50, 22),
    "unsure (below 0.8)": (400, 5),
    "anybody": (3500, 2),
}
READINGS = 50


def judge_readings(first, found) -> str:
    """03.4: where fifty readings go first, and how many wrong labels they find."""
    if choice(first, tuple(FLAGS), "first") != "sure (above 0.9)":
        raise NotYet(
            f"of 100 scans in {first!r} only {FLAGS[first][1]} have a wrong label: which band has most a reading?"
        )
    said, right = number(found, "found"), 30 * 0.40 + 20 * 0.22
    mistakes = {
        50 * 0.40: "the sure band has 30 scans only, and the expert reads 50: where do the other 20 come from?",
        50 * 0.02: "that is what fifty scans drawn at random would find; the expert starts with the sure ones",
        30 * 0.40: "12 from the sure band, and then 20 readings are left: the next best band takes them",
        30 * 0.40 + 50 * 0.22: "that would be 80 readings; only 20 are left for the second band",
        40 + 22: "the rates are per 100 scans: 30 scans at 40 in 100 are not 40 wrong labels",
    }
    if abs(said - right) > 0.3:
        for value, sentence in mistakes.items():
            if abs(said - value) < 0.3:
                raise NotYet(sentence)
        raise NotYet(
            f"{said:g} is not what 50 readings find: fill the bands from the best down, each scan at its band's rate"
        )
    return (
        "sixteen instead of one at random: the model points, a person decides, and most of what it points at is right"
    )


EXERCISES = {
    "03.1": Exercise(
        "Say the shape",
        "predict",
        judge_shapes,
        (
            "Channels come before rows and columns. A name with k values becomes k columns. [PAD] fills every "
            "note to one length.",
            "3 measurements + 4 clinics + 2 devices; notes are always `length` long; 1000 = 31 * 32 + 8.",
        ),
    ),
    "03.2": Exercise(
        "Whole patients on one side",
        "repair",
        judge_split,
        (
            "Draw among the different patients (np.unique), then ask of each row on which side its patient is "
            "(np.isin).",
            "names = np.random.default_rng(seed).permutation(np.unique(patients)); aside = np.isin(patients, "
            "names[: round(share * len(names))]); return np.flatnonzero(~aside), np.flatnonzero(aside).",
        ),
        points=2,
    ),
    "03.3": Exercise(
        "A gap is information",
        "write",
        judge_gaps,
        (
            "Whatever is estimated, is estimated on the training part: both the mean and the deviation. pandas "
            "skips NaN by itself.",
            "return (new.fillna(train.mean()) - train.mean()) / train.std(), new.isna().astype(float)",
        ),
        points=2,
    ),
    "03.4": Exercise(
        "Fifty readings",
        "decide",
        judge_readings,
        (
            "A reading is worth most where a wrong label is most likely. How many scans are there in that band?",
            "30 scans at 40 in 100, then 20 scans at 22 in 100.",
        ),
        points=2,
    ),
}
