"""Referral notes from a small grammar: one to three hurried sentences a visit, with abbreviations and typos.

They are partly informative, about as much as the table's honest columns, because complaints go with diseases; they
never name the diagnosis.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .cohort import CNV, DIABETIC, DME, DRUSEN, NORMAL, Cohort
from .draws import stream

COMPLAINTS = {
    "distortion": ("wavy straight lines", "bent lines when reading", "distorted central vision"),
    "sudden": ("a sudden drop in vision", "much worse vision since last week", "central blur of rapid onset"),
    "blur": ("blurred vision", "vision less sharp than before", "gradual blurring over months"),
    "fluctuating": ("vision changing during the day", "vision up and down with sugar levels", "good and bad days"),
    "reading": ("need of more light for reading", "slow reading in dim light", "trouble with small print"),
    "none": ("no complaints", "no visual symptoms", "nothing unusual"),
}
COMPLAINT_CHANCES = {  # in the order of COMPLAINTS
    CNV: (0.30, 0.16, 0.26, 0.03, 0.13, 0.12),
    DME: (0.07, 0.05, 0.30, 0.26, 0.15, 0.17),
    DRUSEN: (0.11, 0.04, 0.22, 0.03, 0.30, 0.30),
    NORMAL: (0.05, 0.03, 0.22, 0.05, 0.20, 0.45),
}
OPENINGS = (
    "{person} referred for scan of the {eye}.",
    "Please assess {eye} of this {person} with {complaint}.",
    "{eye}: {complaint}.",
    "{person} with {complaint}, {eye}.",
    "Patient reports {complaint} in the {eye}.",
)
HISTORIES = (
    "history of high blood pressure",
    "cataract surgery {years} years ago",
    "wears reading glasses",
    "fellow eye under observation",
    "current smoker",
    "family history of eye disease",
    "no known allergies",
)
DIABETES = ("type 2 diabetes for {years} years", "diabetes, sugar poorly controlled", "diabetic for {years} years")
DIABETES_CHANCE = {True: 0.50, False: 0.10}  # diabetic patients, others
ACUITY_SENTENCES = ("Visual acuity {acuity}.", "Acuity measured {acuity}.", "Sees {acuity} logMAR.")
CLOSINGS = ("Thank you.", "Please advise.", "Kind regards.", "Patient is anxious.", "Drops given.")

ABBREVIATIONS = {
    "right eye": "RE",
    "left eye": "LE",
    "Visual acuity": "VA",
    "Patient": "Pt",
    "history": "hx",
    "years": "yrs",
    "vision": "vn",
    "with": "w/",
    "year-old": "yo",
    "diabetes": "diab",
    "Please": "Pls",
    "referred": "ref'd",
    "high blood pressure": "HTN",
    "for": "4",
}
ABBREVIATE, MISSPELL = 0.30, 0.03
FORBIDDEN = ("cnv", "dme", "drusen", "normal", "amd", "macular", "neovascular", "oedema", "edema", "healthy")


def referral_notes(cohort: Cohort, table: pd.DataFrame) -> list[str]:
    """One note a scan; scans of one visit share it, as they share the letter."""
    notes, who = [], cohort.who
    facts = table[["eye", "age", "sex", "visual_acuity_logmar"]].itertuples(index=False, name=None)
    for row, (eye, age, sex, acuity) in enumerate(facts):
        start = who.visit_start[row]
        if start < row:
            notes.append(notes[start])
            continue
        rng = stream(cohort.seed, "note", cohort.split, who.patient[row], who.eye[row], who.visit[row])
        notes.append(_note(rng, who.diagnosis[row], who.group[row] == DIABETIC, eye, age, sex, acuity))
    return notes


def _note(rng, diagnosis: int, diabetic: bool, eye: str, age: float, sex: str, acuity: float) -> str:
    """Opening, sometimes a history, sometimes an acuity or a closing: at most three sentences."""
    complaint = _pick(rng, COMPLAINTS[_weighted(rng, COMPLAINT_CHANCES[diagnosis])])
    person = {"F": "woman", "M": "man"}[sex]
    if not np.isnan(age) and rng.random() < 0.7:
        person = f"{age:.0f} year-old {person}"
    words = {"person": person, "eye": "right eye" if eye == "OD" else "left eye", "complaint": complaint}
    sentences = [_pick(rng, OPENINGS).format(**words)]
    if rng.random() < 0.6:
        sentences.append(_history(rng, diabetic))
    if rng.random() < 0.35:
        known = not np.isnan(acuity) and rng.random() < 0.6
        sentences.append(_pick(rng, ACUITY_SENTENCES).format(acuity=acuity) if known else _pick(rng, CLOSINGS))
    return _hurry(rng, " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences))


def _history(rng: np.random.Generator, diabetic: bool) -> str:
    choices = DIABETES if rng.random() < DIABETES_CHANCE[bool(diabetic)] else HISTORIES
    return _pick(rng, choices).format(years=rng.integers(2, 21)) + "."


def _hurry(rng: np.random.Generator, text: str) -> str:
    """Abbreviate some phrases, misspell some words."""
    for phrase, short in ABBREVIATIONS.items():
        if f"{phrase} " in text + " " and rng.random() < ABBREVIATE:
            text = (text + " ").replace(f"{phrase} ", f"{short} ").rstrip()
    return " ".join(_misspell(rng, word) if rng.random() < MISSPELL else word for word in text.split(" "))


def _misspell(rng: np.random.Generator, word: str) -> str:
    """Swap two letters, drop one or double one; short words are spelled right."""
    if len(word) < 5 or not word.isalpha():
        return word
    i = int(rng.integers(1, len(word) - 2))
    mistakes = (
        word[:i] + word[i + 1] + word[i] + word[i + 2 :],
        word[:i] + word[i + 1 :],
        word[:i] + word[i] + word[i:],
    )
    return mistakes[rng.integers(3)]


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _weighted(rng: np.random.Generator, chances: tuple[float, ...]) -> str:
    return list(COMPLAINTS)[int(np.searchsorted(np.cumsum(chances), rng.random()).clip(0, len(chances) - 1))]
