"""`read_recording`: what goes in comes out again, and what cannot be used is refused in one sentence."""

import warnings

import numpy as np
import pytest

from course_utils import radar
from course_utils.data import DataError, read_recording
from course_utils.data import recordings as module

TIME = np.arange(700) / 20


@pytest.fixture(scope="module")
def profile():
    """A clean minute: complex64 (1200, 16)."""
    return radar.stream(3, ("clean",)).profile


def chest(rate: float = 15.0, seconds: float = 60, frame_rate: float = 20) -> np.ndarray:
    """Phase in radians of a chest that moves by 2 mm each way."""
    time = np.arange(round(seconds * frame_rate)) / frame_rate
    return 2 * radar.PHASE_PER_MM * np.sin(2 * np.pi * rate / 60 * time)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def table(path, **columns):
    rows = zip(*columns.values())
    path.write_text(",".join(columns) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


# --- round trips ---
def test_profiles_at_20_hz_come_back_as_they_are(tmp_path, profile):
    found = read_recording(save(tmp_path / "mine.npz", profiles=profile, frame_rate=20.0))
    assert found.z.shape == (2, 3, 600) and found.z.dtype == np.complex64 and len(found) == 2
    assert found.start_s.tolist() == [0, 30] and found.frame_rate == 20
    for number, part in enumerate((profile[:600], profile[600:])):
        assert np.array_equal(found.z[number], part[:, radar.strongest_bins(part)].T)
    assert "1200 frames at 20 frames/s, 16 range bins" in found.source


def test_real_and_imaginary_parts_are_the_same_recording(tmp_path, profile):
    whole = read_recording(save(tmp_path / "a.npz", profiles=profile), frame_rate=20)
    parts = read_recording(save(tmp_path / "b.npz", real=profile.real, imag=profile.imag), frame_rate=20)
    np.testing.assert_allclose(whole.z, parts.z, rtol=1e-6)


@pytest.mark.parametrize("frame_rate", [12.0, 20.0, 33.3, 100.0])
def test_any_frame_rate_is_brought_to_20(tmp_path, frame_rate):
    phase = chest(seconds=61, frame_rate=frame_rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read_recording(table(tmp_path / "mine.csv", phase_rad=phase), frame_rate=frame_rate)
    assert found.z.shape == (2, 3, 600)
    np.testing.assert_allclose(radar.fft_rate(radar.displacement_mm(found.z[:, 0], "raw")), 15, atol=0.3)
    moved = np.ptp(radar.displacement_mm(found.z[:, 0], "raw"), axis=1)
    np.testing.assert_allclose(moved, 4, rtol=0.1)


def test_uneven_times_are_evened_out(tmp_path):
    rng = np.random.default_rng(0)
    time = np.arange(1210) / 20 + rng.uniform(-0.02, 0.02, 1210)
    phase = (2 * radar.PHASE_PER_MM * np.sin(2 * np.pi * 0.25 * time) + np.pi) % (2 * np.pi) - np.pi  # wrapped
    found = read_recording(table(tmp_path / "mine.csv", time_s=time, phase_rad=phase))
    assert found.frame_rate == pytest.approx(20, abs=0.05) and len(found) == 2
    even = radar.displacement_mm(found.z[:1, 0], "raw")[0]
    np.testing.assert_allclose(np.ptp(even), 4, rtol=0.05)
    assert radar.peak_rate(even[None])[0] == pytest.approx(15, abs=0.3)


def test_thirty_seconds_by_the_clock_are_enough(tmp_path):
    time = np.arange(600) * 0.04999  # a clock that is a hair fast
    assert len(read_recording(table(tmp_path / "mine.csv", time_s=time, phase_rad=chest(seconds=30)))) == 1


def test_a_phase_stands_for_all_three_bins(tmp_path):
    found = read_recording(table(tmp_path / "mine.csv", phase_rad=chest()), frame_rate=20)
    assert np.array_equal(found.z[:, 0], found.z[:, 1]) and np.allclose(np.abs(found.z), 1)


def test_two_bins_are_filled_up(tmp_path, profile):
    found = read_recording(save(tmp_path / "mine.npz", profiles=profile[:, 7:9]), frame_rate=20)
    assert found.z.shape == (2, 3, 600) and np.array_equal(found.z[:, 0], found.z[:, 2])


def test_slow_frames_are_taken_with_a_warning(tmp_path):
    path = table(tmp_path / "mine.csv", phase_rad=chest(frame_rate=12))
    with pytest.warns(UserWarning, match="12 frames/s: motion above 15 mm/s is read wrongly"):
        read_recording(path, frame_rate=12)


# --- refusals ---
GOOD = np.exp(1j * chest())[:, None]
NPZ = {
    "no profiles": ({"signal": GOOD}, 20, "no array profiles"),
    "only real": ({"real": GOOD.real}, 20, "no array profiles"),
    "real, other shape": ({"real": GOOD.real, "imag": GOOD.imag[:-1]}, 20, "numbers of one shape"),
    "not complex": ({"profiles": GOOD.real}, 20, "must be complex"),
    "one axis": ({"profiles": GOOD[:, 0]}, 20, "must be complex, .frames"),
    "no bins": ({"profiles": GOOD[:, :0]}, 20, "range bins"),
    "NaN": ({"profiles": np.where(np.arange(1200)[:, None] == 17, np.nan, GOOD)}, 20, "first in frame 17"),
    "too short": ({"profiles": GOOD[:580]}, 20, "lasts 29.0 s; a window needs 30 s"),
    "too slow": ({"profiles": GOOD}, 5, "5 frames/s"),
    "no rate": ({"profiles": GOOD}, None, "does not say how many frames"),
    "rate of nonsense": ({"profiles": GOOD}, float("nan"), "nan frames/s"),
    "two rates": ({"profiles": GOOD, "frame_rate": 25.0}, 20, "has 25 frames/s, and frame_rate=20 was given"),
    "rates": ({"profiles": GOOD, "frame_rate": np.array([20.0, 20.0])}, None, "must be one number"),
    "text as rate": ({"profiles": GOOD, "frame_rate": np.array("20")}, None, "must be one number"),
    "dead": ({"profiles": np.ones_like(GOOD)}, 20, "nothing in it changes"),
    "huge": ({"profiles": 1e300 * GOOD}, 20, "values beyond 1e.12"),
    "object": ({"profiles": np.array([[print]], dtype=object)}, 20, "Python objects"),
}


@pytest.mark.parametrize("case", NPZ)
def test_range_profiles_that_cannot_be_used(tmp_path, case):
    arrays, rate, message = NPZ[case]
    with pytest.raises(DataError, match=message) as caught:
        read_recording(save(tmp_path / "mine.npz", **arrays), frame_rate=rate)
    assert "mine.npz" in str(caught.value) and "\n" not in str(caught.value)


CSV = {
    "no phase": ({"time_s": TIME, "signal": TIME}, None, "no column phase_rad; its columns are time_s, signal"),
    "text": ({"phase_rad": ["far"] * 700}, 20, "phase_rad is no number in row 1 .and 699 others"),
    "hole": ({"phase_rad": [*chest(seconds=30), ""]}, 20, "no number in row 601"),
    "time runs back": ({"time_s": TIME[::-1], "phase_rad": TIME}, None, "time_s does not grow in row 2"),
    "time stands": ({"time_s": TIME // 0.1, "phase_rad": TIME}, None, "does not grow"),
    "a gap": ({"time_s": TIME + 2 * (TIME > 9), "phase_rad": TIME}, None, "2.05 s are missing after 9.00 s"),
    "milliseconds": ({"time_s": 1000 * TIME, "phase_rad": TIME}, None, "are missing|time in seconds"),
    "a row": ({"time_s": [0], "phase_rad": [0]}, None, "does not grow in row 1"),
    "too short": ({"time_s": TIME[:300], "phase_rad": TIME[:300]}, None, "lasts 15.0 s"),
    "no rate": ({"phase_rad": TIME}, None, "does not say"),
}


@pytest.mark.parametrize("case", CSV)
def test_phases_that_cannot_be_used(tmp_path, case):
    columns, rate, message = CSV[case]
    with pytest.raises(DataError, match=message) as caught:
        read_recording(table(tmp_path / "mine.csv", **columns), frame_rate=rate)
    assert "mine.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b'phase_rad\n"1,2', b"\xff\xfe\x00phase_rad", b"PK\x03\x04"])
@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_files_that_are_something_else(tmp_path, content, kind):
    path = tmp_path / f"mine.{kind}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="mine"):
        read_recording(path, frame_rate=20)


def test_other_kinds_missing_files_and_sizes(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no .npz and no .csv"):
        read_recording(tmp_path / "mine.mat")
    with pytest.raises(DataError, match="no file at"):
        read_recording(tmp_path / "mine.npz")
    monkeypatch.setattr(module, "MAX_BYTES", 8 * 1000)
    with pytest.raises(DataError, match="the most that is loaded"):
        read_recording(save(tmp_path / "mine.npz", profiles=GOOD), frame_rate=20)
    with pytest.raises(DataError, match="the most is"):
        read_recording(table(tmp_path / "mine.csv", phase_rad=chest()), frame_rate=20)
