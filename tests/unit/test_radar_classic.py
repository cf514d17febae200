"""Signal processing on signals whose answer is known: pure sinusoids, circles, and windows of the simulator."""

import numpy as np
import pytest

from benchmarks import radar_bands
from course_utils import radar

RATES = np.array([7.5, 12.0, 18.3, 26.0, 38.0])
METHODS = {"fft": radar.fft_rate, "autocorrelation": radar.autocorrelation_rate, "peaks": radar.peak_rate}
TOLERANCE = {"fft": 0.4, "autocorrelation": 0.3, "peaks": 0.6}  # breaths/min


def sines(rates: np.ndarray = RATES, frame_rate: float = 20.0, noise: float = 0.05, trend: float = 3.0) -> np.ndarray:
    """One row a rate, 30 s, 2 mm each way, on a slope of `trend` mm."""
    time = np.arange(round(30 * frame_rate)) / frame_rate
    rng = np.random.default_rng(0)
    rows = 2 * np.sin(2 * np.pi * rates[:, None] / 60 * time + rng.uniform(0, 6, (len(rates), 1)))
    return rows + noise * rng.standard_normal(rows.shape) + trend * time / 30


def circles(centre: complex, nearer_mm: np.ndarray, radius: float = 1.0) -> np.ndarray:
    return centre + radius * np.exp(-1j * radar.PHASE_PER_MM * nearer_mm)


@pytest.mark.parametrize("frame_rate", [20.0, 10.0])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_reads_a_sinusoid(name, frame_rate):
    found = METHODS[name](sines(frame_rate=frame_rate), frame_rate)
    np.testing.assert_allclose(found, RATES, atol=TOLERANCE[name])


@pytest.mark.parametrize("name", METHODS)
def test_every_method_survives_a_row_that_stands_still(name):
    found = METHODS[name](np.zeros((2, 600)))
    assert found.shape == (2,) and np.isfinite(found).all()


def test_a_second_harmonic_that_is_larger_misleads_the_fft_only():
    time = np.arange(600) / 20
    rows = np.sin(2 * np.pi * 0.25 * time) + 1.3 * np.sin(2 * np.pi * 0.5 * time + 1)
    assert radar.fft_rate(rows[None])[0] == pytest.approx(30, abs=0.3)  # twice the truth
    assert radar.autocorrelation_rate(rows[None])[0] == pytest.approx(15, abs=0.2)


def test_the_median_gap_forgives_a_long_hold():
    time = np.arange(600) / 20
    breathing = np.where(time < 10, np.cos(2 * np.pi * 0.4 * time), np.cos(2 * np.pi * 0.4 * (time - 22)))
    rows = np.where((time > 10) & (time < 22), breathing[200], breathing)[None]
    assert radar.peak_rate(rows)[0] == pytest.approx(24, abs=1)


def test_the_band_pass_keeps_breathing_and_takes_the_rest():
    time = np.arange(600) / 20
    middle = slice(100, 500)
    kept, heart, slow = (np.sin(2 * np.pi * f * time) for f in (0.3, 1.8, 0.01))
    assert np.abs(radar.band_pass((kept + heart)[None])[0] - kept)[middle].max() < 0.1
    assert np.ptp(radar.band_pass(slow[None])[0][middle]) < 0.2


def test_the_autocorrelation_is_that_of_the_definition():
    from course_utils.radar.classic import _autocorrelation

    row = np.random.default_rng(0).standard_normal(50)
    direct = np.array([np.mean(row[lag:] * row[: 50 - lag]) for lag in range(50)])
    np.testing.assert_allclose(_autocorrelation(row[None])[0], direct / direct[0], atol=1e-10)


def test_the_circle_fit_finds_the_centre_of_an_arc():
    rng = np.random.default_rng(0)
    arc = circles(3 - 2j, np.linspace(0, 0.8, 600), radius=0.7)[None]  # a third of a turn
    noisy = arc + 0.005 * (rng.standard_normal(arc.shape) + 1j * rng.standard_normal(arc.shape))
    np.testing.assert_allclose(radar.circle_centre(noisy), [3 - 2j], atol=0.03)
    assert abs(noisy.mean() - (3 - 2j)) > 0.3  # the mean is somewhere else


@pytest.mark.parametrize("centre", ["raw", "mean", "circle"])
def test_displacement_is_what_the_chest_did_where_nothing_disturbs(centre):
    chest = 3 * np.sin(2 * np.pi * 0.3 * np.arange(600) / 20)[None]
    found = radar.displacement_mm(circles(0, chest), centre)
    np.testing.assert_allclose(found - found.mean(), chest - chest.mean(), atol=0.2 if centre == "mean" else 0.01)


def test_only_the_circle_sees_past_a_strong_static_echo():
    chest = 0.9 * np.sin(2 * np.pi * 0.3 * np.arange(600) / 20)[None]
    z = circles(4 + 1j, chest)

    def error(centre):
        found = radar.displacement_mm(z, centre)
        return np.abs(found - found.mean() - chest + chest.mean()).max()

    assert error("circle") < 0.01 < 0.3 < error("raw")


def test_the_simulated_chest_is_found_again():
    people = radar.draw_subjects(10, np.random.default_rng(0))
    made = radar.simulate(people, np.arange(10), np.random.default_rng(1), condition="clean", snr_db=30)
    found = radar.band_pass(radar.displacement_mm(made.z[:, 0]))
    truth = radar.band_pass(made.wave_mm.astype(float))
    likeness = [np.corrcoef(a, b)[0, 1] for a, b in zip(found, truth)]
    assert np.median(likeness) > 0.95  # and inhaling is positive


@pytest.mark.parametrize("bad", [np.zeros(600), np.zeros((3, 10)), np.full((1, 600), np.nan)])
@pytest.mark.parametrize("function", [radar.displacement_mm, radar.band_pass, *METHODS.values()])
def test_wrong_shapes_and_nan_are_refused(function, bad):
    with pytest.raises(ValueError, match="at least 30 frames|holds NaN"):
        function(bad)


def test_an_unknown_centre_is_refused():
    with pytest.raises(ValueError, match="no centre 'middle'; choose one of raw, mean, circle"):
        radar.displacement_mm(np.ones((1, 600), complex), "middle")


# --- the table of bands ---
def test_a_missed_band_is_said():
    import pandas as pd

    row = {"seed": 0, "clean": 0.3, "motion": 3.0, "rmse": 1.0, "seconds": 0.0}
    rows = [{"method": "FFT, circle", "mae": 3.0, **row}, {"method": radar_bands.COMPETITOR, "mae": 1.5, **row}]
    table = radar_bands.summary(pd.DataFrame(rows))
    assert table.loc["FFT, circle", "bands"] == "clean < 0.4 ok, motion > 4 MISSED"
    assert table.loc["FFT, circle", "times better"] == 0.5


def test_scores_are_by_condition():
    people = radar.draw_subjects(5, np.random.default_rng(0))
    made = radar.simulate(people, np.tile(np.arange(5), 8), np.random.default_rng(1))
    scores = radar_bands.score(made.true_rate + np.where(made.condition == 0, 1.0, 2.0), made)
    assert scores["clean"] == pytest.approx(1, abs=1e-5) and scores["motion"] == pytest.approx(2, abs=1e-5)
