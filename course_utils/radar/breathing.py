"""How the chest moves: a rate that wanders, breaths with a shape, holds, and a chest out of step with the abdomen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .noise import wandering
from .people import Subject
from .physics import FRAME_RATE

SLOWEST, FASTEST = 4.5, 44.0  # breaths/min, at any moment
APNEA_SECONDS = 8.0  # a hold of at least this long is called an apnea


@dataclass(frozen=True)
class Breathing:
    """Frame by frame, all (F,): the rate in breaths/min, whether air moves, and what moves how far, in mm."""

    rate: np.ndarray
    moving: np.ndarray  # bool; False in a hold
    volume: np.ndarray  # of the lung, no unit: one hump a breath
    chest_mm: np.ndarray
    abdomen_mm: np.ndarray
    depth_mm: float

    @property
    def mean_rate(self) -> float:
        """The target: mean of the rate over the frames in which the person breathes, in breaths/min."""
        return float(self.rate[self.moving].mean()) if self.moving.any() else 0.0

    @property
    def longest_hold(self) -> float:
        """Seconds."""
        edges = np.flatnonzero(np.diff(np.concatenate([[True], self.moving, [True]]).astype(int)))
        return float(np.max(edges[1::2] - edges[::2], initial=0) / FRAME_RATE)


def breathe(
    subject: Subject,
    course: np.ndarray,
    rng: np.random.Generator,
    *,
    holds: Sequence[tuple[float, float]] = (),
    out_of_step: np.ndarray | bool = False,
) -> Breathing:
    """The breathing of one recording.

    course (F,): the rate as a multiple of the subject's usual one, before it wanders. holds: (earliest second, seconds)
    each; a hold begins at the next end of an exhale. out_of_step, one truth value or (F,): chest and abdomen move
    against each other, so that the chest shows two humps a breath.
    """
    frames = len(course)
    rate = wandering_rate(subject, course, rng)
    phase, moving = phase_with_holds(rate, rng.random(), holds)
    depth = rng.lognormal(np.log(subject.depth_mm), 0.25) * (0.8 if subject.rate * course.mean() > 25 else 1)
    depth = float(np.clip(depth, 1, 12))
    amplitude = np.clip(1 + 0.12 * wandering(frames, 8, rng), 0.4, 1.6)
    lag = np.where(out_of_step, rng.uniform(0.38, 0.62), rng.uniform(0, 0.06))  # of a breath
    leak = np.where(out_of_step, rng.uniform(0.5, 0.9), 0)  # of the abdomen's motion into the chest's
    volume, belly = breath_shape(phase, subject), breath_shape(phase - lag, subject)
    return Breathing(
        rate=rate,
        moving=moving,
        volume=amplitude * volume,
        chest_mm=depth * centred(amplitude * (volume + leak * belly)),
        abdomen_mm=depth * subject.abdomen_ratio * amplitude * centred(belly),
        depth_mm=depth,
    )


def centred(line: np.ndarray) -> np.ndarray:
    """The line without its mean."""
    return line - line.mean()


def window_course(subject: Subject, frames: int, rng: np.random.Generator) -> np.ndarray:
    """The rate of a window as a multiple of the usual one: (frames,), another one each time, drifting by up to ±6 %."""
    level = np.clip(subject.rate * rng.lognormal(0, 0.2), 6, 40) / subject.rate
    return level * (1 + rng.uniform(-0.12, 0.12) * (np.arange(frames) / frames - 0.5))


def wandering_rate(subject: Subject, course: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Breaths/min at each frame: the course, times a variation that forgets itself over four seconds."""
    wander = 1 + subject.rate_variation * wandering(len(course), 4, rng)
    return np.clip(subject.rate * course * wander, SLOWEST, FASTEST)


def phase_with_holds(
    rate: np.ndarray, start: float, holds: Sequence[tuple[float, float]] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """(phase in breaths, moving), both (F,): the rate's integral from `start`, standing still in the holds."""
    moving = np.ones(len(rate), bool)
    step = rate / (60 * FRAME_RATE)
    for earliest, seconds in holds:
        phase = start + np.cumsum(step * moving)
        first = next_breath(phase, int(earliest * FRAME_RATE))
        moving[first : first + int(seconds * FRAME_RATE)] = False
    return start + np.cumsum(step * moving), moving


def next_breath(phase: np.ndarray, frame: int) -> int:
    """The first frame from `frame` on at which a new breath begins; len(phase) when none does."""
    begun = phase >= np.ceil(phase[frame])
    return int(begun.argmax()) if begun[-1] else len(phase)


def breath_shape(phase: np.ndarray, subject: Subject) -> np.ndarray:
    """0 (empty) to 1 (full): a raised cosine up, a power of one down, then rest. phase counts breaths."""
    within = phase - np.floor(phase)
    up = 0.5 - 0.5 * np.cos(np.pi * np.minimum(within / subject.inhale, 1))
    down = 0.5 + 0.5 * np.cos(np.pi * np.clip((within - subject.inhale) / subject.exhale, 0, 1))
    return np.where(within < subject.inhale, up, down**subject.exhale_power)
