"""Exercises of lesson 03: shapes, a split by patient, gaps filled from the training rows, fifty readings."""

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
SLIPS = {  # by the place of the guess
    (0, (32, 64, 64, 3)): "that is how plotting libraries order it; PyTorch puts the channels before the rows",
    (0, (3, 64, 64)): "that is one scan; a batch holds 32 of them",
    (1, (5,)): "five columns went in, but clinic and device are names: how many columns does each become?",
    (1, (12,)): "the lesson's row has another measurement and the sex as well: count the columns of this one",
    (2, (10,)): "that counts the words; what does encode put before them and after them?",
    (2, (11,)): "ten words and [CLS] are eleven ids, but the notes of a batch must be equally long",
    (3, (31,)): "that counts the full batches; how many scans are left for the last one?",
    (3, (32,)): "31 batches of 32 are 992 scans; who is left for the last one?",
}


def judge_shapes(guesses) -> str:
    """03.1: the shapes of four tensors before they are made."""
    entries(guesses, SHAPES, "guesses")
    said = {}
    for name, guess in guesses.items():
        if isinstance(guess, str):
            raise NotYet(f"{name}: a shape is a tuple of numbers, and {guess!r} is text")
        guess = guess if isinstance(guess, tuple | list | torch.Size) else (guess,)
        said[name] = tuple(int(number(size, name)) for size in guess)
    for place, (name, wanted) in enumerate(SHAPES.items()):
        if (shape := said[name]) != wanted:
            again = f"not {shape}: say aloud what each axis counts, one after the other, and reckon its size again"
            raise NotYet(f"{name}: {SLIPS.get((place, shape), again)}")
    return "a shape you can say beforehand is a test you can write: most mistakes with tensors show there first"


# ── 03.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_split(split) -> str:
    """03.2: rows of two parts, whole patients each, of about the share wanted."""
    rng = np.random.default_rng(8)
    sizes = 1 + np.arange(60) // 5  # patients of one scan to twelve: a share of them is not that share of the scans
    patients = rng.permutation(np.repeat([f"P{k:03d}" for k in range(60)], sizes))
    count = len(patients)
    kept, aside = pair(ask(split, patients.copy(), 0.25, 3), "the result of split")
    if np.asarray(kept).dtype.kind in "US":
        raise NotYet("the parts hold names of patients; in which rows of the array do these patients stand?")
    kept, aside = (floats(rows, None, "a part").ravel().clip(-1, count).astype(int) for rows in (kept, aside))
    rows, different = np.concatenate([kept, aside]), len(set(kept) | set(aside))
    if len(rows) and (rows.min() < 0 or rows.max() >= count):
        raise NotYet(f"the parts should hold row numbers from 0 to {count - 1}, and hold {rows.min()} to {rows.max()}")
    if len(rows) != count or different != count:
        raise NotYet(
            f"each of {count} rows belongs into one part, once; yours hold {len(rows)} ({different} different)"
        )
    both = np.intersect1d(patients[kept], patients[aside])
    if len(both):
        raise NotYet(f"{len(both)} of 60 patients sit on both sides, {both[0]} among them: draw patients, not scans")
    again, other, half = (
        floats(pair(ask(split, patients.copy(), share, seed), "the result of split")[1], None, "a part").ravel()
        for share, seed in ((0.25, 3), (0.25, 4), (0.5, 3))
    )
    for wanted, some in ((15, aside), (30, half)):
        people = len(np.unique(patients[some.astype(int)]))
        if abs(people - wanted) > 1:
            raise NotYet(f"of 60 patients {wanted} should stand aside, second in the pair, and {people} do")
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
    if np.array_equal(said, gap):
        raise NotYet("the two columns stand the other way round: first the thickness, then what was missing")
    if np.array_equal(flagged, 1.0 - gap):
        raise NotYet("the second part is 1 where a thickness is there; it should be 1 where one is missing")
    if not np.array_equal(flagged, gap):
        raise NotYet(f"2 of the 8 new thicknesses are missing, and the second part marks {flagged.sum():g}")
    mean, std = np.nanmean(learn), np.nanstd(learn)
    either = np.isclose(said[~gap][:, None], ((new[~gap] - mean)[:, None] / [std, np.nanstd(learn, ddof=1)]), rtol=1e-4)
    if either.all(axis=0).any():
        if close(said[gap], np.zeros(2), 1e-3):
            return "the mean says nothing about a gap, the second column does: and no new patient moved either number"
        if close(said[gap], np.full(2, -mean / std), 1e-2):
            raise NotYet(
                f"a gap became {said[gap][0]:.1f} standard deviations, a retina of no thickness: fill in the mean first"
            )
        raise NotYet(
            f"a gap filled with the training mean ends at 0 after standardising; yours ends at {said[gap][0]:.2f}"
        )
    if close(said[~gap].mean(), 0, 0.15) and said[~gap].std() > 0.5:
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
    "the model agrees": (3500, 1),
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
        50 * 78 / 3980: "that is what fifty scans drawn at random would find; the expert starts with the sure ones",
        right / 50: "that is the share of the readings that find one: how many are that out of fifty?",
        30 * 0.40: "12 from the sure band, and then 20 readings are left: the next best band takes them",
        30 * 0.40 + 50 * 0.22: "that would be 80 readings; only 20 are left for the second band",
        40 + 22: "the rates are per 100 scans: 30 scans at 40 in 100 are not 40 wrong labels",
    }
    if abs(said - right) > 0.3:
        for value, sentence in mistakes.items():
            if abs(said - value) < 0.05:
                raise NotYet(sentence)
        if said == round(right):
            raise NotYet(f"{said:g} comes close: an average need not be a whole number, so do not round it")
        raise NotYet(
            f"{said:g} is not what 50 readings find: fill the bands from the best down, each scan at its band's rate"
        )
    return "sixteen instead of one at random: the model points, a person decides, and mostly the label was right"


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
            "Draw among the different patients (np.unique; a set has another order in each session), then ask of "
            "each row on which side its patient is (np.isin).",
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
