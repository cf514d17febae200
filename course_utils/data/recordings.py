"""A radar recording of one's own: range profiles (`.npz`) or a phase (`.csv`), made into windows like the course's.

`.npz`: `profiles` complex (F, bins), or `real` and `imag` (F, bins); optionally `frame_rate`. `.csv`: a column
`phase_rad`, and `time_s` or the frame rate as an argument. Nothing is unpickled.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import resample_poly

from course_utils.data.core import DataError
from course_utils.data.npz import read_arrays
from course_utils.radar.physics import FRAME_RATE, FRAMES, SECONDS, speed_limit
from course_utils.radar.scene import strongest_bins

MAX_BYTES = 512 * 2**20
MAX_BINS = 1024
LOWEST_RATE, HIGHEST_RATE = 10.0, 10_000.0  # frames/s
LARGEST = 1e12  # any unit: squares must fit into float32


@dataclass(frozen=True)
class OwnRecording:
    """z complex64 (W, 3, 600): windows of 30 s at 20 frames/s, one after another, each with its three strongest bins.

    start_s (W,): where each begins. frame_rate: of the file, before resampling. source: one line on what it is.
    """

    z: np.ndarray
    start_s: np.ndarray
    frame_rate: float
    source: str

    def __len__(self) -> int:
        return len(self.z)


def read_recording(path: str | Path, frame_rate: float | None = None) -> OwnRecording:
    """Read `path` (.npz or .csv), resample it to 20 frames/s and cut it into windows; what is left at the end goes.

    frame_rate: frames/s, where the file does not say. A phase has one range bin, which then stands for all three.
    Warns below 20 frames/s, where quick motion is unwrapped wrongly. Raises DataError with one sentence when the file
    cannot be used: missing parts, NaN, gaps in time, less than 30 s, less than 10 frames/s, too large.
    """
    path = Path(path).expanduser()
    readers = {".npz": _read_profiles, ".csv": _read_phase}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path.name} is no .npz and no .csv; save complex range profiles as .npz or a phase as .csv")
    if not path.is_file():
        raise DataError(f"there is no file at {path}")
    profiles, rate = readers[path.suffix.lower()](path, frame_rate)
    even = resampled(profiles, rate)
    count = len(even) // FRAMES
    if count == 0:
        raise DataError(f"{path.name} lasts {len(even) / FRAME_RATE:.1f} s; a window needs {SECONDS} s")
    windows = [three_bins(part) for part in even[: count * FRAMES].reshape(count, FRAMES, -1)]
    source = f"{path.name}: {len(profiles)} frames at {rate:g} frames/s, {profiles.shape[1]} range bins"
    return OwnRecording(np.stack(windows), SECONDS * np.arange(count, dtype=float), rate, source)


def resampled(profiles: np.ndarray, frame_rate: float) -> np.ndarray:
    """(F, bins) complex at `frame_rate` -> complex64 (F', bins) at 20 frames/s, without what would fold over."""
    ratio = Fraction(FRAME_RATE / frame_rate).limit_denominator(1000)
    if ratio != 1:
        profiles = resample_poly(profiles, ratio.numerator, ratio.denominator, axis=0, padtype="line")
    return profiles.astype(np.complex64)


def three_bins(profile: np.ndarray) -> np.ndarray:
    """A profile (600, bins) -> (3, 600): the bins that move most; where there are fewer than three, they come again."""
    return profile[:, np.resize(strongest_bins(profile), 3)].T


def _read_profiles(path: Path, given_rate: float | None) -> tuple[np.ndarray, float]:
    arrays = read_arrays(path, ["profiles", "real", "imag", "frame_rate"], MAX_BYTES)
    if "profiles" in arrays:
        profiles = arrays["profiles"]
    elif "real" in arrays and "imag" in arrays:
        real, imag = arrays["real"], arrays["imag"]
        if real.shape != imag.shape or real.dtype.kind not in "iuf" or imag.dtype.kind not in "iuf":
            raise DataError(f"{path.name}: real {real.shape} and imag {imag.shape} must be numbers of one shape")
        profiles = real + 1j * imag
    else:
        raise DataError(f"{path.name} has no array profiles, nor real and imag; save complex range profiles (F, bins)")
    if profiles.ndim != 2 or profiles.dtype.kind != "c" or not 1 <= profiles.shape[1] <= MAX_BINS:
        raise DataError(
            f"{path.name}: profiles are {profiles.dtype} {profiles.shape}; they must be complex, (frames, 1 to "
            f"{MAX_BINS} range bins)"
        )
    rate = _the_rate(path, arrays.get("frame_rate"), given_rate)
    _check(path, profiles, rate)
    return profiles, rate


def _read_phase(path: Path, given_rate: float | None) -> tuple[np.ndarray, float]:
    if path.stat().st_size > MAX_BYTES // 8:
        raise DataError(f"{path.name} has {path.stat().st_size / 2**20:.0f} MB; the most is {MAX_BYTES // 2**23} MB")
    try:
        table = pd.read_csv(path, skipinitialspace=True, skip_blank_lines=False, index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a readable .csv ({str(error).strip()[:80]})") from None
    if "phase_rad" not in table:
        raise DataError(f"{path.name} has no column phase_rad; its columns are {', '.join(map(str, table))[:120]}")
    phase = _numbers(path, table["phase_rad"])
    times = _numbers(path, table["time_s"]) if "time_s" in table else None
    measured = None if times is None else _rate_of(path, times)
    rate = _the_rate(path, measured, given_rate)
    _check(path, phase[:, None], rate)
    if times is not None:  # frames are never quite regular
        even = np.linspace(times[0], times[-1], len(times))
        phase = np.interp(even, times, np.unwrap(phase))
    return np.exp(1j * phase)[:, None], rate


def _numbers(path: Path, column: pd.Series) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(float)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DataError(f"{path.name}: {column.name} is no number in row {bad[0] + 1} (and {len(bad) - 1} others)")
    return values


def _rate_of(path: Path, times: np.ndarray) -> float:
    """Frames/s of times in seconds, which must grow and have no gap."""
    steps = np.diff(times)
    if len(steps) == 0 or steps.min() <= 0:
        row = int(steps.argmin()) + 2 if len(steps) else 1
        raise DataError(f"{path.name}: time_s does not grow in row {row}; sort the rows and remove doubled ones")
    usual = float(np.median(steps))
    if steps.max() > max(5 * usual, 0.25):
        at = int(steps.argmax())
        raise DataError(
            f"{path.name}: {steps[at]:.2f} s are missing after {times[at]:.2f} s; cut the recording at the gap"
        )
    return float(len(steps) / (times[-1] - times[0]))


def _the_rate(path: Path, found: np.ndarray | float | None, given: float | None) -> float:
    """The frame rate of the file or of the argument, which must agree within one per cent."""
    if found is not None:
        if np.size(found) != 1 or np.asarray(found).dtype.kind not in "iuf":
            raise DataError(f"{path.name}: frame_rate must be one number")
        found = float(np.reshape(found, ()))
    if found is None and given is None:
        raise DataError(f"{path.name} does not say how many frames a second it has; call with frame_rate=…")
    if found is not None and given is not None and not abs(found - given) <= 0.01 * abs(found):
        raise DataError(f"{path.name} has {found:g} frames/s, and frame_rate={given:g} was given; leave it out")
    return float(given if found is None else found)


def _check(path: Path, profiles: np.ndarray, rate: float) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise DataError(
            f"{path.name} has {rate:g} frames/s (time in seconds?); it must be {LOWEST_RATE:g} to {HIGHEST_RATE:g}: "
            f"with fewer, motion above {speed_limit(LOWEST_RATE):.0f} mm/s is read wrongly"
        )
    if not np.isfinite(profiles).all():
        frame = int(np.flatnonzero(~np.isfinite(profiles).all(axis=1))[0])
        raise DataError(f"{path.name} holds NaN or infinity, first in frame {frame}; cut or repair it there")
    if len(profiles) < SECONDS * rate - 1:  # measured times are out by a hair
        raise DataError(f"{path.name} lasts {len(profiles) / rate:.1f} s; a window needs {SECONDS} s")
    if not np.abs(profiles).max() < LARGEST:
        raise DataError(f"{path.name} holds values beyond {LARGEST:g}; scale them down")
    if np.ptp(profiles.real, axis=0).max() == np.ptp(profiles.imag, axis=0).max() == 0:
        raise DataError(f"{path.name}: nothing in it changes over time; was the sensor running?")
    if rate < 0.99 * FRAME_RATE:
        warnings.warn(
            f"{path.name} has {rate:g} frames/s: motion above {speed_limit(rate):.0f} mm/s is read wrongly "
            f"({FRAME_RATE:g} frames/s allow {speed_limit():.0f})",
            stacklevel=4,
        )
