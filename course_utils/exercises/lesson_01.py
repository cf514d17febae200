"""Exercises of lesson 01: what the prices decide, a rule with gaps, alarms elsewhere, and which network to buy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course_utils.exercises.answers import close, entries, flags
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.tracking import TRIAGE

LESSON = "01_define_the_problem"
COST = np.array(TRIAGE.cost, dtype=float)  # (classes, decisions): clinic visits

# ── 01.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
PATIENTS = {
    "Anna": (0.15, 0.00, 0.00, 0.85),
    "Bela": (0.00, 0.15, 0.00, 0.85),
    "Carla": (0.02, 0.02, 0.02, 0.94),
    "Deniz": (0.10, 0.00, 0.00, 0.90),
    "Deniz, CNV sent home costs 10": (0.10, 0.00, 0.00, 0.90),
}


def judge_prices_decide(guesses) -> str:
    """01.1: the decision with the least expected cost for five sets of probabilities."""
    entries(guesses, PATIENTS, "guesses")
    for name in PATIENTS:
        choice(guesses[name], TRIAGE.decisions, name)
    if len(set(guesses.values())) == 1:
        raise NotYet(
            f"you say {guesses['Anna']!r} to all five: the likeliest diagnosis decides, and the others cost nothing?"
        )
    for name, probs in PATIENTS.items():
        cost = COST.copy()
        cost[0, 2] = 10 if "10" in name else cost[0, 2]
        expected = dict(zip(TRIAGE.decisions, np.array(probs) @ cost, strict=True))
        best, said = min(expected, key=expected.get), guesses[name]
        if said != best:
            raise NotYet(f"{name}: {said!r} costs {expected[said]:.2f} visits on average, and there is a cheaper one")
    return "85 % healthy means urgent beside CNV and routine beside DME: prices decide, not the likeliest class"


# ── 01.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
#         thick, normal, gap, in mm: thick, in mm: thin, gap, normal, exactly at the limit, both gaps, thick, healthy
THICKNESS = (350.0, 250.0, np.nan, 0.340, 0.260, np.nan, 280.0, 300.0, np.nan, 420.0, 255.0)
ACUITY = (0.1, 0.8, 0.1, 0.1, 0.2, np.nan, np.nan, 0.5, np.nan, np.nan, 0.2)
WANTED = np.array([1, 1, 1, 1, 0, 1, 0, 0, 1, 1, 0], dtype=bool)
CLUES = (  # rows that tell a mistake, and what to say
    ((10,), "a scan with 255 µm and an acuity of 0.2 went on top: what became of values that were right as they were?"),
    ((0, 1), "350 µm or an acuity of 0.8 alone is left at the bottom: one sign above its limit is enough"),
    (
        (2, 5, 8),
        "a scan without a thickness stays at the bottom: NaN > 300 is False, and lesson 01 wanted such scans looked at",
    ),
    ((3,), "a retina of 0.34 stays at the bottom: no retina is thinner than 10 µm, so in which unit was that typed?"),
    (
        (6,),
        "the patient with 280 µm and no acuity went on top: one clinic hardly notes acuity, so that gap says little",
    ),
    ((4,), "0.26 was typed in millimetres and is a thin retina: a slip of the unit alone is no reason to look"),
    ((7,), "300 µm and an acuity of 0.5 lie exactly at the limits, and only what is above them goes on top"),
)


def judge_pile(on_top) -> str:
    """01.2: thickness and acuity with gaps and slipped units; which scans go on top of the pile."""
    order = np.random.default_rng(1).permutation(len(WANTED))
    # an index out of order, as after a filter
    thickness, acuity = pd.Series(THICKNESS)[order], pd.Series(ACUITY)[order]
    before = thickness.copy(), acuity.copy()
    said = flags(ask(on_top, thickness, acuity), len(WANTED), "the result of on_top")
    for column, name, kept in ((thickness, "thickness", before[0]), (acuity, "acuity", before[1])):
        if not column.equals(kept):
            raise NotYet(f"the {name} handed in has changed: return new values and leave the clinic's table alone")
    wrong = set(order[said != WANTED[order]])
    for rows, sentence in CLUES:
        if wrong & set(rows):
            raise NotYet(sentence)
    if wrong:
        row = min(wrong)
        raise NotYet(f"thickness {THICKNESS[row]:g}, acuity {ACUITY[row]:g}: this scan is in the wrong half")
    return "a gap is a reason to look where it means danger, and no reason where one clinic simply does not measure"


# ── 01.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_travel(precision_at) -> str:
    """01.3: the precision of an alarm where the sick are rarer, from recall and false-alarm rate."""
    rng = np.random.default_rng(3)
    cases = [(0.73, 0.26, 0.02), (0.73, 0.26, 0.45), *rng.uniform(0.05, 0.95, (5, 3)).tolist()]
    for recall, false_alarm, share in cases:
        said = number(ask(precision_at, recall, false_alarm, share), "the precision")
        hits, false_hits = recall * share, false_alarm * (1 - share)
        right = hits / (hits + false_hits)
        mistakes = {
            100 * right: "that is in per cent: the result, too, is to lie between 0 and 1",
            1 - right: "that is the part of the alarms that is false: which part is true?",
            recall / (recall + false_alarm): "the share of the sick plays no part here: weigh both rates with it",
            hits: "that is the share of all scans that are caught; precision asks about the alarms: divide by them",
            hits / (hits + false_alarm): "the false alarms come from the healthy only: how large is their share?",
            hits / (hits + (1 - false_alarm) * (1 - share)): "you counted the healthy who are left alone as alarms",
            hits + (1 - false_alarm) * (1 - share): "that is accuracy: right answers among all, not among alarms",
        }
        if close(said, right, 1e-3):
            continue
        for value, sentence in mistakes.items():
            if close(said, value):
                raise NotYet(sentence)
        raise NotYet(
            f"recall {recall:.2f}, false alarms {false_alarm:.2f}, {share:.0%} sick: of 1000 scans {1000 * hits:.0f} "
            f"are caught and {1000 * false_hits:.0f} flagged by mistake, and you say {said:.3g}"
        )
    if not close(never_wrong := number(ask(precision_at, 0.5, 0.0, 0.3), "the precision"), 1, 1e-3):
        raise NotYet(f"an alarm that flags no healthy scan is true whenever it rings, and you say {never_wrong:.3g}")
    for silent in ((0.0, 0.0, 0.1), (0.7, 0.0, 0.0)):  # it hears nothing; there is nothing to hear
        none = number(ask(precision_at, *silent), "the precision of an alarm that never rings")
        if none != 0:
            raise NotYet(f"for an alarm that never rings the task asks for 0, and you say {none:g}")
    return "the eyes did not change, the waiting room did: quote a precision only together with the share of the sick"


# ── 01.4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
COUNTS = {  # 200 validation scans: a row for each true class, a column for each decision
    "network A": ((58, 0, 6), (22, 1, 3), (0, 10, 7), (2, 3, 88)),
    "network B": ((62, 2, 0), (24, 2, 0), (3, 13, 1), (14, 25, 54)),
}


def judge_purchase(chosen, saved) -> str:
    """01.4: the way of working that costs least, and the visits it saves per 1000 scans against a person."""
    visits = {name: float((np.array(counts) * COST).sum() / np.sum(counts)) for name, counts in COUNTS.items()}
    visits["a person reads every scan"] = TRIAGE.review_cost
    best = min(visits, key=visits.get)
    if choice(chosen, tuple(visits), "chosen") != best:
        home = COUNTS["network A"][0][2]
        raise NotYet(
            f"network A is right most often, and sends {home} patients with CNV home; what do those alone cost, "
            f"over 200 scans?"
            if chosen == "network A"
            else "one of the networks costs less than the 0.7 visits of a person: add up its mistakes, each at "
            "its price"
        )
    right = 1000 * (visits["a person reads every scan"] - visits[best])
    said, per_class = number(saved, "saved"), (np.array(COUNTS[best]) * COST).sum(1) / np.sum(COUNTS[best], axis=1)
    if abs(said - right) < 0.006 * right:
        return "right least often of the two, and the only one worth its place: a price shows what a percentage hides"
    if abs(said - 1000 * (TRIAGE.review_cost - per_class.mean())) < 1:
        raise NotYet(
            "the four classes were averaged as equals; CNV and NORMAL are far commoner: divide by all 200 scans"
        )
    if said < 0:
        raise NotYet(f"{said:g} saved visits would be a loss: the person's price minus the network's")
    for scans, whose in ((1, "one scan saves"), (200, "the 200 scans of the table save")):
        if abs(said - scans * right / 1000) < 0.002 * scans:
            raise NotYet(f"{said:g} is what {whose}: the question is about a thousand")
    if abs(said - 1000 * visits[best]) < 1:
        raise NotYet(f"{said:g} is what {best} costs itself: how much is that below the person?")
    raise NotYet(
        f"{said:g} is not what the table gives: costs times counts, added up, over 200 scans, then against 0.7"
    )


EXERCISES = {
    "01.1": Exercise(
        "What do the prices decide?",
        "predict",
        judge_prices_decide,
        (
            "Take one patient and one decision: each diagnosis has a probability and a price. What does the "
            "decision cost on average?",
            "expected = np.array(probabilities) @ np.array(TRIAGE.cost) gives three numbers a patient; the "
            "smallest wins.",
        ),
    ),
    "01.2": Exercise(
        "Two measurements, both with gaps",
        "repair",
        judge_pile,
        (
            "Ask of each gap: is it a reason to look? A missing thickness is; a missing acuity, noted by habit or "
            "not, is none.",
            "thickness = thickness.where(~(thickness < 10), thickness * 1000), then "
            "(thickness > 300) | thickness.isna() | (acuity > 0.5): a comparison with NaN is False, which suits "
            "acuity.",
        ),
        points=2,
    ),
    "01.3": Exercise(
        "The same alarm somewhere else",
        "write",
        judge_travel,
        (
            "Imagine a thousand scans. How many are sick, and of those, how many does the alarm catch? And of the "
            "healthy?",
            "hits = recall * share; false hits = false_alarm * (1 - share); precision is hits over the sum of both.",
        ),
        points=2,
    ),
    "01.4": Exercise(
        "Which one would you buy?",
        "decide",
        judge_purchase,
        (
            "Every one of the 200 scans has a price: that of its row and column in TRIAGE.cost. Which total is "
            "smallest?",
            "visits = (np.array(counts) * np.array(TRIAGE.cost)).sum() / 200 for each network; saved = 1000 * "
            "(0.7 - the least).",
        ),
        points=2,
    ),
}
