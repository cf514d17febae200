"""Exercises of lesson 22: columns, holes in a table, days that come in order, what a test set can prove."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import close, entries, flags, floats, pair
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.metrics import wilson_interval

LESSON = "22_your_own_data"

COLUMNS = {
    "the number of the row": "drop",
    "a column with the same value everywhere": "drop",
    "the patient's name, two rows each": "group by",
    "a measurement, missing in one row of ten": "use",
    "a measurement that predicts the target almost perfectly": "ask",
    "visits in the year after the measurements": "drop",
}
REASONS = {
    "the number of the row": "it says when somebody typed the row in, and the next patient has no number yet",
    "a column with the same value everywhere": "what could a model learn from a number that never changes?",
    "the patient's name, two rows each": "no feature, and yet it is needed: which rows must not be torn apart?",
    "a measurement, missing in one row of ten": "nine rows in ten have it, and that it is missing may be telling, too",
    "a measurement that predicts the target almost perfectly": "a leak, or botany: who knows how the file came about?",
    "visits in the year after the measurements": "what will stand in this column on the day the model is asked?",
}


def judge_columns(guesses) -> str:
    """22.1: what becomes of each column."""
    entries(guesses, COLUMNS, "guesses")
    for name, wanted in COLUMNS.items():
        guess = choice(guesses[name], ("use", "drop", "ask", "group by"), name)
        if guess != wanted:
            raise NotYet(f"{name}: {guess}? Think: {REASONS[name]}")
    return "a program may notice each of these; what they mean, somebody who knows how the file came about must say"


def judge_holes(fill) -> str:
    """22.2: holes filled with what was known in training, and marked."""
    rng = np.random.default_rng(0)
    train, other = rng.gamma(2.0, 3.0, (41, 3)), 5 + rng.gamma(2.0, 3.0, (20, 3))
    for part, complete in ((train, 1), (other, 3)):
        part[(rng.random(part.shape) < 0.2) & (np.arange(3) != complete)] = np.nan  # a hole may come in use only
    parts = [part.copy() for part in (train, other)]
    filled = pair(ask(fill, *parts), "what fill returns")
    if any(
        not np.array_equal(before, after, equal_nan=True) for before, after in zip((train, other), parts, strict=True)
    ):
        raise NotYet("the tables that were passed in have changed: fill copies")
    joined = np.concatenate([train, other])
    for name, part, got in zip(("train", "other"), (train, other), filled, strict=True):
        got = floats(got, what=f"the filled {name}")
        if got.shape == part.shape:
            raise NotYet(f"{name} has {part.shape[1]} columns as before: where is it noted that a value was missing?")
        got = floats(got, (len(part), 6), f"the filled {name}")
        holes = np.isnan(part)
        if not np.array_equal(got[:, 3:], holes):
            raise NotYet(
                f"{name}: columns 4 to 6 should be 1 where columns 1 to 3 were missing, and 0 elsewhere: {holes.sum()} "
                f"holes, and {(got[:, 3:] == 1).sum()} ones are there"
            )
        if not close(got[:, :3][~holes], part[~holes]):
            raise NotYet(f"{name}: values that were there have changed")
        known = {
            "": np.nanmedian(train, axis=0),
            "filled with its own medians: one row that comes alone has none": np.nanmedian(part, axis=0),
            "filled with medians of both tables: the other rows have had a say in training": np.nanmedian(
                joined, axis=0
            ),
            "filled with means, which one absurd value moves; medians are wanted": np.nanmean(train, axis=0),
            "filled with 0: a patient without a measurement is not one of nought": np.zeros(3),
            "filled with one number for all columns": np.full(3, np.nanmedian(train)),
        }
        for help, values in known.items():
            if close(got[:, :3][holes], np.broadcast_to(values, part.shape)[holes]):
                if help:
                    raise NotYet(f"{name} is {help}")
                break
        else:
            raise NotYet(f"{name}: its holes are filled with neither the training rows' medians nor anything I know")
    return "three numbers learned from training rows travel with the model: without them a row in use is unreadable"


def judge_days(by_time) -> str:
    """22.3: the past to learn from, the future to be asked about."""
    rng = np.random.default_rng(0)
    days = rng.choice(rng.permutation(400)[:60], 500, p=rng.dirichlet(np.ones(60)))  # not sorted, not alike
    there = np.unique(days)
    got = flags(ask(by_time, days.copy(), 0.7), 500, "the result (True for rows to learn from)")
    learn, rest, first = set(days[got]), set(days[~got]), set(there[: int(0.7 * len(there) + 1e-9)])
    if not learn or not rest:
        raise NotYet(f"{int(got.sum())} of 500 rows are to learn from: one side is empty")
    if np.array_equal(got, np.isin(np.sort(days), list(first))):
        raise NotYet("right for the days in order, but the rows come in any order: answer for each row as it came")
    if learn == first and not learn & rest:
        few = np.array([3, 1, 2, 1, 3, 9, 9, 9, 9, 9])
        again = flags(ask(by_time, few.copy(), 0.75), 10)
        if not np.array_equal(again, few < 9):
            raise NotYet(
                f"with days 1, 2, 3 and 9, a share of 0.75 is three of the four days, however many rows each has; "
                f"yours takes {len(set(few[again]))}"
            )
        return "the score now answers the question that is asked in use: what of days that have not come yet?"
    torn = learn & rest
    if len(torn) > 5:
        raise NotYet(
            f"{len(torn)} days stand on both sides: rows of one day resemble each other like rows of one patient"
        )
    if torn:
        raise NotYet(f"day {min(torn)} is cut in two: whole days, first 70 % of the days, not of the rows")
    if min(rest) < max(learn):
        raise NotYet(f"day {max(learn)} is learned from and day {min(rest)} tested: nobody knows the future")
    more = "rounded down" if len(learn) == len(first) + 1 else "of the days that occur, not of rows or of the calendar"
    raise NotYet(f"{len(learn)} of {len(there)} days are to learn from; 70 % would be {0.7 * len(there):.1f}, {more}")


TESTS = {"dozen": (12, 12), "forty": (38, 40), "four hundred": (360, 400)}


def judge_proof(pick, low) -> str:
    """22.4: which of three test sets proves what was promised."""
    choice(pick, tuple(TESTS), "pick")
    low = number(low, "low")
    proof = {name: wilson_interval(*counts) for name, counts in TESTS.items()}
    right, n = TESTS[pick]
    if pick != "four hundred":
        raise NotYet(f"{right} of {n} right: the true share may well be {proof[pick].low:.2f}. Is that the promise?")
    if abs(low - proof[pick].low) < 0.0012:
        return "the lowest score of the three is the only one that proves anything: size is evidence, too"
    plain = 0.9 - 1.96 * (0.09 / 400) ** 0.5
    if low == round(plain, 2):
        raise NotYet(f"{low:g} may be any of several intervals' ends, rounded: give three decimals")
    if abs(low - plain) < 0.0012:
        raise NotYet(
            f"{low:.4f} is the plain interval's end; Wilson's was asked for, which is sound at twelve of twelve, too"
        )
    if abs(low - 100 * proof[pick].low) < 1:
        raise NotYet(f"{low:g} is in per cent: give the share")
    if abs(low - 0.9) < 0.001:
        raise NotYet("0.90 is the score; asked for is what one can be sure of")
    if abs(low - proof[pick].high) < 0.0012:
        raise NotYet(f"{low:.3f} is the upper end: a promise must hold at the lower one")
    raise NotYet(f"low is {low:.3f}: the lower end of wilson_interval({right}, {n})")


EXERCISES = {
    "22.1": Exercise(
        "What becomes of a column?",
        "predict",
        judge_columns,
        (
            "Ask of each: will it be there, and mean something, for the next patient on the day of the question?",
            "Three are dropped, one groups, one is used with its holes filled, one needs a person who knows.",
        ),
    ),
    "22.2": Exercise(
        "Holes in a table",
        "repair",
        judge_holes,
        (
            "Whose medians are known before the other rows have come? And how is it noted what was filled in?",
            "medians = np.nanmedian(train, axis=0); np.hstack([np.where(np.isnan(x), medians, x), np.isnan(x)]).",
        ),
    ),
    "22.3": Exercise(
        "No rows from the future",
        "write",
        judge_days,
        (
            "Which days occur, in order? How many of them does the share make, rounded down? Then look up the rows.",
            "there = np.unique(days); np.isin(days, there[: int(share * len(there))]).",
        ),
    ),
    "22.4": Exercise(
        "What does a test set prove?",
        "decide",
        judge_proof,
        (
            "A score without a mistake on a dozen cases leaves much room. How low may the truth be in each row?",
            "wilson_interval(right, cases).low for each of the three; only one of them lies above 0.85.",
        ),
    ),
}
