"""Half-minute windows with their answers, and the course's data set of them: train, val, test of different people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from .breathing import APNEA_SECONDS, breathe, window_course
from .people import Subject, draw_subjects
from .physics import FRAME_RATE, FRAMES, SECONDS, WAVEFORM_RATE
from .scene import body_motion, centred_volume, clutter, echoes, receive, scatterers, strongest_bins

CONDITIONS = ("clean", "low SNR", "motion", "harmonic", "pause")
SHARES = (0.28, 0.18, 0.24, 0.15, 0.15)
LABEL_NOISE = 0.2  # breaths/min, of the reference the training labels were read from
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Windows:
    """N windows of 30 s at 20 frames/s. `len(windows)`; `windows[index]` takes a slice, a mask or row numbers.

    z complex64 (N, 3, 600): the three range bins that move most, the strongest first. rate float32 (N,): the label in
    breaths/min, which in training windows carries a reading error; true_rate does not. waveform float32 (N, 150): lung
    volume at 5 Hz, mean 0, variance 1. condition int8 (N,), an index into CONDITIONS. apnea bool (N,): a hold of 8 s or
    more. hold_s: the longest hold. subject int32 (N,). snr_db, depth_mm float32 (N,). wave_mm float32 (N, 600): the
    chest's motion by breathing alone, inhaling positive. bins int8 (N, 3): which range bins z holds. profile complex64
    (N, 600, 16), if it was kept: all range bins.
    """

    z: np.ndarray
    rate: np.ndarray
    true_rate: np.ndarray
    waveform: np.ndarray
    condition: np.ndarray
    apnea: np.ndarray
    hold_s: np.ndarray
    subject: np.ndarray
    snr_db: np.ndarray
    depth_mm: np.ndarray
    wave_mm: np.ndarray
    bins: np.ndarray
    profile: np.ndarray | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(part) for name, part in self.parts().items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the parts of the windows differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.rate)

    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> Windows:
        rows = index if isinstance(index, slice) else np.atleast_1d(index)
        return Windows(**{name: part[rows] for name, part in self.parts().items()})

    def parts(self) -> dict[str, np.ndarray]:
        """The arrays that are there, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def make_dataset(
    seed: int = 0, subjects: Sequence[int] = (75, 25, 40), windows: Sequence[int] = (40, 30, 40)
) -> dict[str, Windows]:
    """The splits "train", "val" and "test": so many subjects each, so many windows of each subject. Simulated.

    No subject is in two splits (their numbers go on). Window i is of the i-th subject, round and round, and what it
    shows depends on seed, split, number of subjects and i alone: asking for fewer windows gives the first ones.
    """
    if not (len(subjects) == len(windows) == 3 and min(*subjects, *windows) >= 1):
        raise ValueError(f"subjects {subjects} and windows {windows} must be three whole numbers from 1 each")
    made, before = {}, 0
    for number, (split, n_people, rounds) in enumerate(zip(SPLITS, subjects, windows)):
        people_rng, window_rng, label_rng = _streams(seed, number)
        part = simulate(draw_subjects(n_people, people_rng), np.tile(np.arange(n_people), rounds), window_rng)
        reading_error = label_rng.normal(0, LABEL_NOISE, len(part)) if split == "train" else 0
        labels = (part.true_rate + reading_error).astype(np.float32)
        made[split] = replace(part, rate=labels, subject=part.subject + np.int32(before))
        before += n_people
    return made


def _streams(seed: int, split: int) -> list[np.random.Generator]:
    children = np.random.SeedSequence(entropy=seed, spawn_key=(split,)).spawn(3)
    return [np.random.default_rng(child) for child in children]


def simulate(
    subjects: Sequence[Subject],
    who: Sequence[int] | np.ndarray,
    rng: np.random.Generator,
    *,
    condition: str | None = None,
    snr_db: float | None = None,
    keep_profile: bool = False,
) -> Windows:
    """One window of `subjects[i]` for each i in `who`; conditions by their shares, or all the same `condition`.

    snr_db: instead of the one the condition brings. Each window has a generator of its own, spawned from `rng`, so it
    does not depend on how many come after it. Two milliseconds a window. ValueError for a subject or condition that is
    not there.
    """
    who = np.asarray(who, np.int32)
    if who.ndim != 1 or len(who) == 0 or who.min() < 0 or who.max() >= len(subjects):
        raise ValueError(f"who must be row numbers of the {len(subjects)} subjects, at least one; it is {who[:10]}")
    if condition is not None and condition not in CONDITIONS:
        raise ValueError(f"there is no condition {condition!r}; choose one of {', '.join(CONDITIONS)}")
    rows = [
        _window(subjects[i], own, condition, snr_db, keep_profile) | {"subject": i}
        for i, own in zip(who, rng.spawn(len(who)))
    ]
    return Windows(**{name: _column(name, [row[name] for row in rows]) for name in rows[0]})


def _column(name: str, values: list) -> np.ndarray:
    kinds = {"condition": np.int8, "bins": np.int8, "subject": np.int32, "apnea": bool}
    complex_part = name in ("z", "profile")
    return np.array(values, np.complex64 if complex_part else kinds.get(name, np.float32))


def _window(subject: Subject, rng: np.random.Generator, condition: str | None, snr_db: float | None, keep: bool):
    """Everything about one window, by name."""
    drawn = CONDITIONS[rng.choice(len(CONDITIONS), p=SHARES)]
    condition = condition or drawn
    breath = breathe(
        subject,
        window_course(subject, FRAMES, rng),
        rng,
        holds=_holds(condition, rng),
        out_of_step=condition == "harmonic",
    )
    motion = body_motion(subject, FRAMES, _bursts(condition, rng), rng)
    ideal = echoes(scatterers(subject, breath, motion, rng), rng) + clutter(subject, rng)
    usual_snr = rng.uniform(*((-2, 6) if condition == "low SNR" else (16, 28))) + subject.snr_offset_db
    snr = usual_snr if snr_db is None else snr_db
    profile = receive(ideal, snr, rng)
    bins = strongest_bins(profile)
    return {
        "z": profile[:, bins].T,
        "rate": breath.mean_rate,
        "true_rate": breath.mean_rate,
        "waveform": at_waveform_rate(centred_volume(breath)),
        "condition": CONDITIONS.index(condition),
        "apnea": breath.longest_hold >= APNEA_SECONDS,
        "hold_s": breath.longest_hold,
        "snr_db": snr,
        "depth_mm": breath.depth_mm,
        "wave_mm": breath.chest_mm,
        "bins": bins,
        **({"profile": profile} if keep else {}),
    }


def _holds(condition: str, rng: np.random.Generator) -> list[tuple[float, float]]:
    """A hold of 5 to 15 s in every pause window, and in a tenth of the noisy and the restless ones."""
    chance = {"pause": 1.0, "low SNR": 0.1, "motion": 0.1}.get(condition, 0.0)
    seconds = rng.uniform(5, 15)
    return [(rng.uniform(2, SECONDS - 4 - seconds), seconds)] if rng.random() < chance else []


def _bursts(condition: str, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Two to five bursts of motion, 1 to 4 s each; elsewhere one, in a twentieth of the windows."""
    count = rng.integers(2, 6) if condition == "motion" else int(rng.random() < 0.05)
    return [(rng.uniform(1, SECONDS - 1), rng.uniform(1, 4)) for _ in range(count)]


def at_waveform_rate(line: np.ndarray) -> np.ndarray:
    """The mean of every four frames: (F,) at 20 Hz -> (F / 4,) at 5 Hz."""
    step = round(FRAME_RATE / WAVEFORM_RATE)
    return line[: len(line) // step * step].reshape(-1, step).mean(axis=1)
