"""The radar windows are as hard as lesson 21 needs them to be: the cheap rows, on the test subjects of one seed.

`python -m benchmarks.radar_bands` measures all of it.
"""

import numpy as np
import pytest

from benchmarks.radar_bands import BANDS, COMPETITOR, _verdicts, classic, frame_rates, score
from course_utils import radar


@pytest.fixture(scope="module")
def scores():
    """Errors of the methods without learning, as a table; a fifth of the training windows gives the mean."""
    import pandas as pd

    splits = radar.make_dataset(seed=0, windows=(8, 1, 20))
    rows = [*classic(splits, 0), *frame_rates(splits, 0)]
    return pd.DataFrame({name: score(rates, splits["test"]) for name, rates in rows}).T


def test_no_band_that_needs_no_network_is_missed(scores):
    verdicts = [verdict for method in scores.index for verdict in _verdicts(scores, method)]
    assert len(verdicts) == sum(method in scores.index for method, *_ in BANDS) == 3
    assert all(verdict.endswith("ok") for verdict in verdicts), verdicts


def test_each_step_of_signal_processing_helps(scores):
    raw, circle, passed = scores["mae"][["FFT, raw phase", "FFT, circle", "FFT, circle, band-pass"]]
    assert raw > circle > passed > scores["mae"][COMPETITOR]
    assert 1.0 <= scores["mae"][COMPETITOR] <= 1.7


def test_each_condition_has_a_method_it_defeats(scores):
    assert scores.loc["FFT, circle", "low SNR"] > 3 and scores.loc["autocorrelation, circle", "motion"] > 4
    assert scores.loc[COMPETITOR, "harmonic"] > 1.3 * scores.loc["autocorrelation, circle", "harmonic"] > 0.5


def test_fewer_frames_lose_the_phase(scores):
    at_20, at_10, at_5 = scores["clean"][["FFT, circle", "FFT, circle, 10 Hz", "FFT, circle, 5 Hz"]]
    assert at_20 < 0.5 < at_10 < at_5 and at_5 > 3


def test_rates_are_equally_spread_in_every_split():
    splits = radar.make_dataset(seed=5, windows=(4, 4, 4))
    medians = [np.median(part.true_rate) for part in splits.values()]
    assert max(medians) - min(medians) < 2.5 and all(15 < median < 20 for median in medians)
