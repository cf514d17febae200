"""The breathing rate by signal processing: from I/Q to millimetres, and from millimetres to breaths a minute.

Every function takes all windows at once: z complex (N, F), x float (N, F) in mm, and answers (N,) in breaths/min.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, detrend, find_peaks, sosfiltfilt

from .physics import FRAME_RATE, PHASE_PER_MM

SLOWEST, FASTEST = 5.0, 45.0  # breaths/min that are looked for
BAND_HZ = (0.08, 0.75)
FFT_LENGTH = 8192  # zero-padded: steps of 0.15 breaths/min


def circle_centre(z: np.ndarray) -> np.ndarray:
    """The centre (N,) of the circle through each row of z (N, F), by least squares (Kåsa, 1976).

    A circle is x² + y² = 2ax + 2by + c: linear in a, b, c. Static echoes move the centre away from the origin.
    """
    x, y = z.real.astype(float), z.imag.astype(float)
    terms = np.stack([x, y, np.ones_like(x)], axis=2)  # (N, F, 3)
    normal = terms.transpose(0, 2, 1) @ terms + 1e-6 * np.eye(3)  # the last part: a row that stands still has no circle
    a, b, _ = np.linalg.solve(normal, terms.transpose(0, 2, 1) @ (x * x + y * y)[..., None])[..., 0].T / 2
    return a + 1j * b


CENTRES = {
    "raw": lambda z: np.zeros(len(z)),
    "mean": lambda z: z.mean(axis=1),
    "circle": circle_centre,
}


def displacement_mm(z: np.ndarray, centre: str = "circle") -> np.ndarray:
    """How far the chest has come nearer, in mm, (N, F): the unwrapped phase of z (N, F) around a centre.

    centre: "raw" (the origin), "mean" (of the row), "circle" (fitted). The static echoes must go before the angle is
    taken, or it is not the chest's. A motion beyond `physics.speed_limit` is unwrapped wrongly.
    """
    if centre not in CENTRES:
        raise ValueError(f"there is no centre {centre!r}; choose one of {', '.join(CENTRES)}")
    _check(z, "z")
    return -np.unwrap(np.angle(z - CENTRES[centre](z)[:, None]), axis=1) / PHASE_PER_MM


def band_pass(x: np.ndarray, frame_rate: float = FRAME_RATE) -> np.ndarray:
    """Only what may be breathing, 0.08 to 0.75 Hz: third-order Butterworth, forwards and backwards, without delay."""
    _check(x, "x")
    return sosfiltfilt(butter(3, BAND_HZ, "bandpass", fs=frame_rate, output="sos"), detrend(x, axis=1), axis=1)


def fft_rate(x: np.ndarray, frame_rate: float = FRAME_RATE) -> np.ndarray:
    """The strongest line between 5 and 45 breaths/min in the spectrum of the detrended, Hann-weighted rows."""
    rates, spectrum = breathing_spectrum(x, frame_rate)
    return rates[spectrum.argmax(axis=1)]


def breathing_spectrum(x: np.ndarray, frame_rate: float = FRAME_RATE) -> tuple[np.ndarray, np.ndarray]:
    """(rates (R,) in breaths/min from 5 to 45, magnitudes (N, R)): what `fft_rate` looks at."""
    _check(x, "x")
    rates = 60 * np.fft.rfftfreq(FFT_LENGTH, 1 / frame_rate)
    looked_at = (rates >= SLOWEST) & (rates <= FASTEST)
    weighted = detrend(x, axis=1) * np.hanning(x.shape[1])
    return rates[looked_at], np.abs(np.fft.rfft(weighted, FFT_LENGTH, axis=1))[:, looked_at]


def autocorrelation_rate(x: np.ndarray, frame_rate: float = FRAME_RATE) -> np.ndarray:
    """From the first lag in 1.4 to 11 s at which a band-passed row resembles itself almost (85 %) at its best."""
    rows = _autocorrelation(band_pass(x, frame_rate))
    first, last = int(1.4 * frame_rate), int(11 * frame_rate)
    return np.array([60 * frame_rate / _first_high_peak(row[: last + 1], first) for row in rows])


def _autocorrelation(x: np.ndarray) -> np.ndarray:
    """Unbiased, 1 at lag 0: by the power spectrum (Wiener and Khinchin), padded so that the ends do not meet."""
    n = x.shape[1]
    power = np.abs(np.fft.rfft(x, 2 * n, axis=1)) ** 2
    sums = np.fft.irfft(power, axis=1)[:, :n]
    return sums / np.maximum(sums[:, :1], 1e-12) / (1 - np.arange(n) / n)


def _first_high_peak(row: np.ndarray, first: int) -> float:
    peaks, _ = find_peaks(row)
    peaks = peaks[peaks >= first]
    if len(peaks) == 0:
        return first + int(row[first:].argmax())
    best = row[peaks].max()
    lag = peaks[row[peaks] >= 0.85 * best][0] if best > 0 else peaks[row[peaks].argmax()]
    before, here, after = row[lag - 1 : lag + 2]
    return lag + 0.5 * (before - after) / min(before - 2 * here + after, -1e-12)  # a parabola between the frames


def peak_rate(x: np.ndarray, frame_rate: float = FRAME_RATE) -> np.ndarray:
    """From the median gap between the breaths' peaks: half a standard deviation high, 1.2 s apart, band-passed rows.

    The median forgives a peak too many or too few, and a long hold. With fewer than two peaks: `fft_rate`.
    """
    smooth = band_pass(x, frame_rate)
    rates = np.array([_rate_of_peaks(row, frame_rate) for row in smooth])
    lost = np.isnan(rates)
    if lost.any():
        rates[lost] = fft_rate(smooth[lost], frame_rate)
    return np.clip(rates, SLOWEST, FASTEST)


def _rate_of_peaks(row: np.ndarray, frame_rate: float) -> float:
    peaks, _ = find_peaks(row, prominence=0.5 * row.std(), distance=int(1.2 * frame_rate))
    return 60 * frame_rate / float(np.median(np.diff(peaks))) if len(peaks) > 1 else np.nan


def _check(rows: np.ndarray, name: str) -> None:
    if rows.ndim != 2 or rows.shape[1] < 30:
        raise ValueError(f"{name} has shape {rows.shape}; it must be (windows, frames) with at least 30 frames")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinity; repair or leave out those windows first")
