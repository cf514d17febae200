"""Two kinds of random line that the simulation needs again and again."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from .physics import FRAME_RATE


def wandering(frames: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """An Ornstein-Uhlenbeck line, float64 (frames,): unit variance, forgets itself over `seconds`.

    x[n] = a·x[n-1] + √(1-a²)·noise, a = exp(-1 / (frame rate · seconds)).
    """
    keep = np.exp(-1 / (FRAME_RATE * seconds))
    fresh = np.sqrt(1 - keep * keep)
    noise = rng.standard_normal(frames)
    noise[0] /= fresh  # starts with its lasting variance
    return lfilter([fresh], [1, -keep], noise)


def band_noise(frames: int, low_hz: float, high_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Noise with frequencies between `low_hz` and `high_hz` only: float64 (frames,), unit variance."""
    frequencies = np.fft.rfftfreq(frames, 1 / FRAME_RATE)
    inside = (frequencies >= low_hz) & (frequencies <= high_hz)
    spectrum = rng.standard_normal(len(frequencies)) + 1j * rng.standard_normal(len(frequencies))
    line = np.fft.irfft(spectrum * inside, frames)
    return line / line.std()
