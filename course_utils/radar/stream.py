"""A recording of some minutes: one person whose rate and circumstances change, for estimates that run along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .breathing import breathe, centred
from .noise import band_noise
from .people import Subject, draw_subjects
from .physics import FRAME_RATE, FRAMES, SECONDS
from .scene import body_motion, clutter, echoes, receive, scatterers, strongest_bins
from .windows import CONDITIONS, at_waveform_rate

FRAMES_PER_SECOND = round(FRAME_RATE)
EPISODES = ("clean", "motion", "clean", "pause", "low SNR")


@dataclass(frozen=True)
class Recording:
    """F frames of one subject, S = F / 20 seconds. Simulated.

    profile complex64 (F, 16): all range bins. z complex64 (3, F): the three that move most over the whole recording.
    rate float32 (S,): breaths/min, mean over each second, NaN where the breath is held. condition int8 (S,). volume
    float32 (S * 5,): of the lung, at 5 Hz. subject: who it is.
    """

    profile: np.ndarray
    z: np.ndarray
    rate: np.ndarray
    condition: np.ndarray
    volume: np.ndarray
    subject: Subject

    def __len__(self) -> int:
        return len(self.rate)

    def window(self, second: int) -> np.ndarray:
        """What a monitor has at the end of `second`: the last 30 s, complex64 (3, 600), with their own three bins."""
        if not SECONDS <= second <= len(self):
            raise ValueError(f"second is {second}; a window of {SECONDS} s ends between {SECONDS} and {len(self)}")
        last = self.profile[(second - SECONDS) * FRAMES_PER_SECOND : second * FRAMES_PER_SECOND]
        return np.ascontiguousarray(last[:, strongest_bins(last)].T)

    def true_rate(self, second: int) -> float:
        """The answer for that window: mean rate over its seconds of breathing, in breaths/min; NaN without any."""
        last = self.rate[max(second - SECONDS, 0) : second]
        return float(np.nanmean(last)) if np.isfinite(last).any() else float("nan")


def stream(
    seed: int = 0,
    episodes: Sequence[str] = EPISODES,
    *,
    seconds: int = 60,
    subject: Subject | None = None,
    quickening: float = 0.2,
) -> Recording:
    """One `subject` (drawn from `seed` if None) through `episodes`, each a condition that lasts `seconds`.

    quickening: how far the rate goes up and down over the minutes (log scale, one standard deviation). A "pause"
    episode has a hold of 12 s near its middle, a "motion" episode a burst every 12 s.
    """
    unknown = [name for name in episodes if name not in CONDITIONS]
    if unknown or len(episodes) == 0:
        raise ValueError(f"the episodes are {tuple(episodes)}; give at least one of {', '.join(CONDITIONS)}")
    if len(episodes) * seconds < SECONDS:
        raise ValueError(f"{len(episodes)} episodes of {seconds} s do not fill one window of {SECONDS} s")
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(len(CONDITIONS),)))
    subject = subject or draw_subjects(1, rng)[0]
    named = np.repeat([CONDITIONS.index(name) for name in episodes], seconds)  # (S,)
    condition = np.repeat(named, FRAMES_PER_SECOND)  # (F,)
    frames = len(condition)
    breath = breathe(
        subject,
        _course(frames, quickening, rng),
        rng,
        holds=[(start + 0.4 * seconds, 12.0) for start in _starts(episodes, seconds, "pause")],
        out_of_step=condition == CONDITIONS.index("harmonic"),
    )
    bursts = [
        (start + at, rng.uniform(1, 4))
        for start in _starts(episodes, seconds, "motion")
        for at in range(6, seconds, 12)
    ]
    motion = body_motion(subject, frames, bursts, rng)
    snr = np.where(condition == CONDITIONS.index("low SNR"), 2.0, 22.0) + subject.snr_offset_db
    ideal = echoes(scatterers(subject, breath, motion, rng), rng) + clutter(subject, rng)
    profile = receive(ideal, snr, rng)
    return Recording(
        profile,
        np.ascontiguousarray(profile[:, strongest_bins(profile)].T),
        _by_second(np.where(breath.moving, breath.rate, np.nan)),
        named.astype(np.int8),
        at_waveform_rate(centred(breath.volume)).astype(np.float32),
        subject,
    )


def _starts(episodes: Sequence[str], seconds: int, name: str) -> list[int]:
    return [number * seconds for number, episode in enumerate(episodes) if episode == name]


def _course(frames: int, quickening: float, rng: np.random.Generator) -> np.ndarray:
    """A rate that takes minutes to go up and down: (frames,), a multiple of the usual one."""
    slow = band_noise(max(frames, 2 * FRAMES), 0, 1 / 120, rng)[:frames]
    return np.exp(quickening * np.clip(slow, -2, 2))


def _by_second(line: np.ndarray) -> np.ndarray:
    """(F,) -> float32 (F / 20,): the mean of each second without its NaN; NaN where more than half is NaN."""
    rows = line.reshape(-1, FRAMES_PER_SECOND)
    present = np.isfinite(rows)
    sums = np.where(present, rows, 0).sum(axis=1)
    known = present.sum(axis=1) > FRAMES_PER_SECOND / 2
    return np.where(known, sums / np.maximum(present.sum(axis=1), 1), np.nan).astype(np.float32)
