"""Who is scanned: patients, their eyes, the visits of an eye, the slices of a visit; and what each of them is like.

One scan is one slice. Slices of a visit, visits of an eye and eyes of a patient resemble each other, as in a clinic:
whoever splits such data by scan, and not by patient, lets the test set be learnt by heart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .draws import EYE, PATIENT, SCAN, Budget, Columns, stream
from .shapes import lerp

CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")  # the order of OCTMNIST
CNV, DME, DRUSEN, NORMAL = range(4)
CLINICS = ("Northgate", "Harbour", "Eastfield", "Summit")
DEVICES = ("A", "B", "C")

HEALTHY, AMD, DIABETIC = range(3)  # kinds of patient; AMD is age-related macular degeneration
KINDS = (  # kind of patient, diagnoses of the eyes that are scanned, share of all patients (sums to 1)
    (HEALTHY, (NORMAL,), 0.1940),
    (HEALTHY, (NORMAL, NORMAL), 0.2910),
    (AMD, (CNV,), 0.1377),
    (AMD, (CNV, CNV), 0.0723),
    (AMD, (CNV, DRUSEN), 0.0516),
    (AMD, (CNV, NORMAL), 0.0826),
    (AMD, (DRUSEN,), 0.0243),
    (AMD, (DRUSEN, DRUSEN), 0.0219),
    (AMD, (DRUSEN, NORMAL), 0.0146),
    (DIABETIC, (DME,), 0.0440),
    (DIABETIC, (DME, DME), 0.0396),
    (DIABETIC, (DME, NORMAL), 0.0264),
)
STEPS = {
    "kind": 0.6180339887498949,
    "clinic": 0.4142135623730950,
    "device": 0.7320508075688772,
    "new_device": 0.6457513110645906,
}

# chance of a 2nd and of a 3rd visit, by diagnosis: treated eyes come back
MORE_VISITS = {CNV: (0.55, 0.35), DME: (0.60, 0.35), DRUSEN: (0.45, 0.0), NORMAL: (0.25, 0.0)}
MORE_SLICES = (0.75, 0.45)  # chance of a 2nd and of a 3rd slice

AGE_YEARS = np.array([(63, 13), (75, 9), (62, 10)])  # mean and spread, by kind of patient
WOMEN = np.array([0.52, 0.60, 0.46])
CLINIC_SHARES = (0.30, 0.27, 0.23, 0.20)
DEVICE_B_SHARE = {"test": 0.25}  # elsewhere:
DEVICE_B_USUAL = 0.08
DEVICE_B_BY_CLINIC = np.array([0.33, 0.66, 0.66, 2.86])  # times the share: mostly the fourth clinic; mean 1

SEVERITY_FLOOR = np.array([0.08, 0.18, 0.08, 0.0])
EDGE_LOSS = 0.75  # how much of a lesion is gone at the outermost slice of the volume
VISIT_SHARE = 0.85  # of the spread in exposure and quality, what scans of one visit have in common


@dataclass(frozen=True)
class Cohort:
    """Scans in order of enrolment, with the raw random numbers of their patient, eye and scan (one row a scan).

    `who` holds integers: patient, group (kind of patient), eye (0 first, 1 fellow), left (0/1), diagnosis, visit (from
    0), number (of the scan within its patient) and visit_start (row of the visit's first scan).
    """

    split: str
    seed: int
    who: Columns
    patient: Columns
    eye: Columns
    scan: Columns

    def __len__(self) -> int:
        return len(self.who.patient)

    def take(self, rows: slice | np.ndarray) -> Cohort:
        """Some of the scans (`visit_start` keeps pointing into the whole cohort)."""
        parts = {name: getattr(self, name).take(rows) for name in ("who", "patient", "eye", "scan")}
        return replace(self, **parts)

    def of_visit(self, values: np.ndarray) -> np.ndarray:
        """The value of the visit's first scan, for every scan: what is measured or decided once a visit."""
        return values[self.who.visit_start]


def enrol(n: int, split: str, seed: int, first_patient: int = 0) -> Cohort:
    """Enrol patients, one after another, until there are `n` scans; a longer cohort begins with a shorter one."""
    shares = np.cumsum([share for *_, share in KINDS])
    rows = {"who": [], "patient": [], "eye": [], "scan": []}
    patient = first_patient
    while len(rows["who"]) < n:
        kind = np.searchsorted(shares[:-1], evenly("kind", patient, split, seed))
        _scan_patient(rows, patient, *KINDS[kind][:2], stream(seed, "patient", split, patient))
        patient += 1
    who = ("patient", "group", "eye", "left", "diagnosis", "visit", "number", "visit_start")
    integers = np.array(rows["who"][:n], np.int64)
    return Cohort(
        split,
        seed,
        who=Columns(**{name: integers[:, i] for i, name in enumerate(who)}),
        patient=PATIENT.name(np.array(rows["patient"][:n])),
        eye=EYE.name(np.array(rows["eye"][:n])),
        scan=SCAN.name(np.array(rows["scan"][:n])),
    )


def evenly(what: str, patients: np.ndarray | int, split: str, seed: int) -> np.ndarray | float:
    """A number in [0, 1) for each patient, spread evenly instead of by chance, so that shares hold in small sets too.

    Multiples of an irrational number (the golden ratio, roots of 2, 3 and 7), wrapped around 1, from a random start.
    """
    start = stream(seed, "plan", split, list(STEPS).index(what)).random()
    return (start + patients * STEPS[what]) % 1.0


def _scan_patient(rows: dict[str, list], patient: int, group: int, diagnoses: tuple, rng: np.random.Generator) -> None:
    """Append every scan of one patient to `rows`; `diagnoses` of the eyes that are scanned, often not the same."""
    person, person_row = _draw(PATIENT, rng)
    eyes = [_draw(EYE, rng) for _ in diagnoses]
    number = 0
    for e, (eye, eye_row) in enumerate(eyes):
        left = int(person.first_eye_left < 0.5) ^ e
        for visit in range(1 + int((eye.more_visits < MORE_VISITS[diagnoses[e]]).sum())):
            visit_start = len(rows["who"])
            slices = 1 + int((eye.more_slices[2 * visit : 2 * visit + 2] < MORE_SLICES).sum())
            for _ in range(slices):
                rows["who"].append((patient, group, e, left, diagnoses[e], visit, number, visit_start))
                rows["patient"].append(person_row)
                rows["eye"].append(eye_row)
                rows["scan"].append(SCAN.draw(rng))
                number += 1


def _draw(budget: Budget, rng: np.random.Generator) -> tuple[Columns, np.ndarray]:
    row = budget.draw(rng)
    return budget.name(row), row


# ------------------------------------------------------------------ what a scan is like


def traits(cohort: Cohort, device_b: float | None = None, device_c: float = 0.0) -> Columns:
    """Named facts of each scan, from its random numbers.

    age (years), female, clinic, device (indices), slice_position (-1..1 through the volume), severity (0..1),
    quality (0..1), gain, offset, tone (-1..1, exposure), vignette_side, vignette_slope, vignette_bow, visit_gap_weeks.
    `device_b`, `device_c`: shares of the devices, instead of the split's own.
    """
    position = _slice_position(cohort)
    age = np.clip(np.round(_by_group(cohort, AGE_YEARS[:, 0], AGE_YEARS[:, 1], cohort.patient.age)), 20, 96)
    clinic = np.searchsorted(np.cumsum(CLINIC_SHARES[:-1]), _evenly(cohort, "clinic"))
    return Columns(
        age=age,
        female=cohort.patient.sex < WOMEN[cohort.who.group],
        clinic=clinic,
        device=_device(cohort, clinic, device_b, device_c),
        slice_position=position,
        severity=_severity(cohort, position),
        quality=_quality(cohort, age),
        visit_gap_weeks=_visit_gap(cohort),
        **{name: _alike(cohort, 2 * getattr(cohort.scan, name) - 1) for name in ("gain", "offset", "tone")},
        vignette_side=np.where(cohort.of_visit(cohort.scan.vignette_side) < 0.5, -1.0, 1.0),
        vignette_slope=_alike(cohort, cohort.scan.vignette_slope),
        vignette_bow=_alike(cohort, cohort.scan.vignette_bow),
    )


def _evenly(cohort: Cohort, what: str) -> np.ndarray:
    return evenly(what, cohort.who.patient, cohort.split, cohort.seed)


def _by_group(cohort: Cohort, mean: np.ndarray, spread: np.ndarray, z: np.ndarray) -> np.ndarray:
    return mean[cohort.who.group] + spread[cohort.who.group] * z


def _alike(cohort: Cohort, values: np.ndarray) -> np.ndarray:
    """Scans of one visit are taken minutes apart by one operator: they share most of `values`."""
    return VISIT_SHARE * cohort.of_visit(values) + (1 - VISIT_SHARE) * values


def _slice_position(cohort: Cohort) -> np.ndarray:
    rows = np.arange(len(cohort))
    centre = 2 * cohort.eye.slice_centre[rows, cohort.who.visit] - 1
    return np.clip(0.85 * centre + 0.15 * (2 * cohort.scan.slice_position - 1), -1, 1)


def _severity(cohort: Cohort, position: np.ndarray) -> np.ndarray:
    """Triangular above the floor of the class; treated eyes improve, drusen slowly grow; less at the volume's edge."""
    diagnosis, visit = cohort.who.diagnosis, cohort.who.visit
    at_first = lerp(SEVERITY_FLOOR[diagnosis], 1.0, cohort.eye.severity.mean(axis=1))
    treated = (diagnosis == CNV) | (diagnosis == DME)
    change = np.where(treated, -0.24, 0.10) * visit * cohort.eye.response
    fall = EDGE_LOSS * np.where(diagnosis == DRUSEN, 0.7, 1.0) * position * position
    return np.clip(at_first + change, 0.05, 1) * np.clip(1 - fall, 0.25, 1)


def _quality(cohort: Cohort, age: np.ndarray) -> np.ndarray:
    """Signal quality 0..1: the visit's alignment, the patient's media (a cataract dims them), and age."""
    visit = 0.16 * _alike(cohort, cohort.scan.quality)
    return np.clip(0.58 + visit + 0.10 * cohort.patient.clear_media - 0.0025 * (age - 60), 0.12, 1.0)


def _visit_gap(cohort: Cohort) -> np.ndarray:
    """Weeks between two visits of an eye: about 5, 10, 26 or 52 by diagnosis."""
    return np.array([5.0, 10.0, 26.0, 52.0])[cohort.who.diagnosis] * (0.8 + 0.4 * cohort.eye.visit_gap)


def _device(cohort: Cohort, clinic: np.ndarray, share_b: float | None, share_c: float) -> np.ndarray:
    """0, 1, 2 for device A, B, C. B sits mostly at the fourth clinic, until it is bought everywhere (above 25 %)."""
    share_b = DEVICE_B_SHARE.get(cohort.split, DEVICE_B_USUAL) if share_b is None else share_b
    spread = np.clip((share_b - 0.25) / 0.35, 0, 1)  # 0: its own clinic, 1: everywhere alike
    chance_b = share_b * lerp(DEVICE_B_BY_CLINIC[clinic], 1.0, spread)
    device = np.where(_evenly(cohort, "device") < chance_b, 1, 0)
    return np.where(_evenly(cohort, "new_device") < share_c, 2, device)
