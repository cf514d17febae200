"""The radar simulator piece by piece: physics against a hand-made Fourier transform, breathing, people, windows."""

import dataclasses

import numpy as np
import pytest

from course_utils import radar
from course_utils.radar import breathing, noise, physics, scene

STILL = radar.Subject(
    rate=15.0,
    rate_variation=0.0,
    depth_mm=4.0,
    inhale=0.4,
    exhale=0.45,
    exhale_power=1.5,
    heart_rate=72.0,
    heart_mm=0.3,
    abdomen_ratio=0.8,
    abdomen_echo=0.3,
    range_bins=7.5,
    snr_offset_db=0.0,
    clutter_db=-6.0,
    fidget=1.0,
)


@pytest.fixture(scope="module")
def people():
    return radar.draw_subjects(40, np.random.default_rng(0))


@pytest.fixture(scope="module")
def many(people):
    """400 windows of forty people."""
    return radar.simulate(people, np.tile(np.arange(40), 10), np.random.default_rng(1))


# --- physics ---------------------------------------------------------------------------------------------------------
def test_the_derived_numbers_are_those_of_the_data_sheet():
    assert physics.BANDWIDTH_HZ == pytest.approx(3.25e9)
    assert radar.RANGE_STEP_MM == pytest.approx(46.12, abs=0.01)
    assert radar.WAVELENGTH_MM == pytest.approx(4.845, abs=0.001)
    assert radar.PHASE_PER_MM == pytest.approx(2.594, abs=0.001)
    assert radar.FRAMES == radar.FRAME_RATE * radar.SECONDS


def test_the_range_kernel_is_the_fourier_transform_of_a_hann_window():
    n = 200
    sample = np.arange(n)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * sample / n)
    place = np.random.default_rng(0).uniform(20, 24, 7)
    beats = hann * np.exp(2j * np.pi * place[:, None] * (sample - n / 2) / n)  # phase referred to the centre
    bins = np.arange(16, 32)
    transform = np.exp(-2j * np.pi * bins[:, None] * (sample - n / 2) / n)
    np.testing.assert_allclose(beats @ transform.T / hann.sum(), radar.range_kernel(place[:, None] - bins), atol=2e-4)


def test_the_range_kernel_is_whole_where_its_formula_divides_by_nothing():
    np.testing.assert_allclose(radar.range_kernel(np.array([0.0, 1, -1, 2, 3])), [1, 0.5, 0.5, 0, 0], atol=1e-6)
    near = radar.range_kernel(np.array([0.9990, 0.9996, 1.0, 1.0004, 1.0010]))
    assert np.abs(np.diff(near)).max() < 1e-3


def test_a_millimetre_turns_the_phase_by_so_much_and_nearer_turns_it_back():
    chest = physics.echo(1.0, 7.0, np.array([0.0, 0.5, 1.0]), phase=0.3)[:, 7]
    turned = np.angle(chest * chest[0].conj())
    np.testing.assert_allclose(turned, [0, -radar.PHASE_PER_MM / 2, -radar.PHASE_PER_MM], atol=1e-4)
    assert np.abs(chest[0]) == pytest.approx(1)


@pytest.mark.parametrize(("share", "right"), [(0.95, True), (1.05, False)])
def test_motion_is_unwrapped_rightly_up_to_a_quarter_wavelength_a_frame(share, right):
    step = share * radar.speed_limit() / radar.FRAME_RATE
    path = step * np.arange(60)
    found = radar.displacement_mm(np.exp(-1j * radar.PHASE_PER_MM * path)[None], "raw")[0]
    assert np.allclose(found - found[0], path) == right
    assert radar.speed_limit() == pytest.approx(24.2, abs=0.1) and radar.speed_limit(10) == radar.speed_limit() / 2


def test_no_frame_rate_no_limit():
    with pytest.raises(ValueError, match="frame rate is 0"):
        radar.speed_limit(0)


# --- noise -----------------------------------------------------------------------------------------------------------
def test_a_wandering_line_has_unit_variance_and_its_own_memory():
    line = np.concatenate([noise.wandering(2000, 2.0, np.random.default_rng(i)) for i in range(60)]).reshape(60, -1)
    assert line.var() == pytest.approx(1, abs=0.1) and line[:, 0].var() == pytest.approx(1, abs=0.5)
    lag = 40  # two seconds
    assert (line[:, lag:] * line[:, :-lag]).mean() == pytest.approx(np.exp(-1), abs=0.08)


def test_band_noise_stays_in_its_band():
    line = noise.band_noise(600, 0.15, 1.5, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(line)) ** 2
    frequencies = np.fft.rfftfreq(600, 0.05)
    assert line.std() == pytest.approx(1)
    assert power[(frequencies < 0.14) | (frequencies > 1.51)].max() < 1e-9 * power.max()


# --- people and breathing --------------------------------------------------------------------------------------------
def test_subjects_rates_are_stratified_and_within_limits(people):
    rates = np.array([person.rate for person in people])
    assert np.median(rates) == pytest.approx(17, abs=1) and rates.min() >= 7 and rates.max() <= 36
    other = np.array([person.rate for person in radar.draw_subjects(40, np.random.default_rng(9))])
    np.testing.assert_allclose(np.sort(other)[4:-4], np.sort(rates)[4:-4], rtol=0.1)  # other people, same rates
    assert all(1 <= person.depth_mm <= 12 and person.inhale + person.exhale < 1.06 for person in people)


def test_a_breath_rises_falls_and_rests():
    phase = np.linspace(0, 3, 3001)[:-1]
    shape = breathing.breath_shape(phase, STILL)
    assert shape.min() == 0 and shape.max() == pytest.approx(1, abs=1e-3)
    assert phase[shape[:1000].argmax()] == pytest.approx(STILL.inhale, abs=2e-3)
    assert (shape[860:1000] == 0).all() and np.allclose(shape[:1000], shape[1000:2000])
    assert np.abs(np.diff(shape)).max() < 0.01


def test_the_target_is_the_mean_rate_while_breathing():
    course = np.linspace(0.8, 1.2, 600)
    breath = breathing.breathe(STILL, course, np.random.default_rng(0), holds=[(5.0, 10.0)])
    assert not breath.moving.all()
    assert breath.mean_rate == pytest.approx(15 * course[breath.moving].mean())
    assert breath.longest_hold == pytest.approx(10)
    held = ~breath.moving
    assert breath.volume[held].max() < 0.01 and np.ptp(breath.chest_mm[held]) < 0.1  # at the end of an exhale
    assert np.flatnonzero(held)[0] >= 100


def test_phase_stands_still_in_a_hold_and_counts_breaths_elsewhere():
    phase, moving = breathing.phase_with_holds(np.full(600, 30.0), 0.25, [(10.0, 5.0)])
    assert np.ptp(phase[~moving]) == 0 and (~moving).sum() == 100
    assert phase[-1] - 0.25 == pytest.approx(0.5 * 25)  # half a breath a second, for 25 s
    whole, _ = breathing.phase_with_holds(np.full(600, 30.0), 0.25)
    assert whole[-1] == pytest.approx(15.25)


def test_a_hold_that_would_begin_after_the_end_does_not():
    phase, moving = breathing.phase_with_holds(np.full(600, 3.0), 0.0, [(28.0, 10.0)])
    assert moving.all() and phase[-1] == pytest.approx(1.5)


def test_two_holds_of_which_the_longer_counts():
    breath = breathing.breathe(STILL, np.ones(1200), np.random.default_rng(0), holds=[(5, 6), (30, 9)])
    assert breath.longest_hold == 9 and (~breath.moving).sum() == 15 * 20


def test_out_of_step_the_chest_shows_two_humps_a_breath():
    def second_to_first(out_of_step):
        rng = np.random.default_rng(4)
        chest = breathing.breathe(STILL, np.ones(600), rng, out_of_step=out_of_step).chest_mm
        spectrum = np.abs(np.fft.rfft(chest * np.hanning(600), 6000))  # 1/300 Hz a step
        return spectrum[140:161].max() / spectrum[65:86].max()  # 0.5 Hz over 0.25 Hz

    assert second_to_first(True) > 3 * second_to_first(False)


# --- scene -----------------------------------------------------------------------------------------------------------
def test_no_burst_no_unrest():
    motion = scene.body_motion(STILL, 600, [], np.random.default_rng(0))
    assert motion.unrest.max() == 0 and np.ptp(motion.nearer_mm) < 4
    burst = scene.body_motion(STILL, 600, [(15.0, 3.0)], np.random.default_rng(0))
    assert np.flatnonzero(burst.unrest).min() > 13 * 20 and np.flatnonzero(burst.unrest).max() < 17 * 20


def test_noise_has_the_asked_for_power_and_jitter_no_more():
    profile = np.ones((6000, radar.BINS), np.complex64)
    received = scene.receive(profile, 10.0, np.random.default_rng(0))
    error = received / received.mean() - 1  # the gain taken out
    assert np.square(np.abs(error)).mean() == pytest.approx(0.1 + 0.02**2 + 0.05**2, rel=0.05)
    assert received.dtype == np.complex64


def test_the_strongest_bins_are_those_that_move_most():
    profile = np.zeros((100, 5), np.complex64)
    for bin_, size in ((3, 3), (0, 2), (4, 1)):
        profile[:, bin_] = size * np.exp(1j * np.arange(100))
    profile[:, 1] = 100  # large and still
    assert radar.strongest_bins(profile).tolist() == [3, 0, 4]


# --- windows ---------------------------------------------------------------------------------------------------------
def test_windows_have_the_promised_shapes_and_kinds(many):
    n = len(many)
    shapes = {name: (part.shape, part.dtype.name) for name, part in many.parts().items()}
    assert shapes == {
        "z": ((n, 3, 600), "complex64"),
        "rate": ((n,), "float32"),
        "true_rate": ((n,), "float32"),
        "waveform": ((n, 150), "float32"),
        "condition": ((n,), "int8"),
        "apnea": ((n,), "bool"),
        "hold_s": ((n,), "float32"),
        "subject": ((n,), "int32"),
        "snr_db": ((n,), "float32"),
        "depth_mm": ((n,), "float32"),
        "wave_mm": ((n, 600), "float32"),
        "bins": ((n, 3), "int8"),
    }
    assert all(np.isfinite(part).all() for part in many.parts().values())


def test_conditions_come_by_their_shares(many):
    shares = np.bincount(many.condition, minlength=5) / len(many)
    assert sum(radar.SHARES) == pytest.approx(1) and np.abs(shares - radar.SHARES).max() < 0.08


def test_an_apnea_is_a_hold_of_eight_seconds(many):
    assert (many.apnea == (many.hold_s >= 8)).all() and 0.07 < many.apnea.mean() < 0.2
    pause = many.condition == radar.CONDITIONS.index("pause")
    assert (many.hold_s[pause] > 0).mean() > 0.9
    assert many.hold_s[many.condition == 0].max() == 0 and many.hold_s.max() <= 15


def test_the_waveform_is_standardised_lung_volume_one_hump_a_breath(many):
    assert np.abs(many.waveform.mean(axis=1)).max() < 1e-4 and np.abs(many.waveform.std(axis=1) - 1).max() < 0.1
    clean = many[many.condition == 0]
    rates = radar.peak_rate(clean.waveform.astype(float), frame_rate=radar.WAVEFORM_RATE)
    assert np.median(np.abs(rates - clean.true_rate)) < 0.3
    harmonic = many[many.condition == 3]
    rates = radar.peak_rate(harmonic.waveform.astype(float), frame_rate=radar.WAVEFORM_RATE)
    assert np.median(np.abs(rates - harmonic.true_rate)) < 0.3


def test_signal_noise_follows_the_condition(many):
    low = many.condition == radar.CONDITIONS.index("low SNR")
    assert many.snr_db[low].max() < 12 < many.snr_db[~low].min()


def test_a_window_does_not_depend_on_how_many_follow(people, many):
    few = radar.simulate(people, np.arange(8), np.random.default_rng(1))
    for name, part in few.parts().items():
        assert np.array_equal(part, getattr(many, name)[:8]), name
    other = radar.simulate(people, np.arange(8), np.random.default_rng(2))
    assert not np.array_equal(other.z, few.z)


def test_one_condition_and_one_snr_for_all(people):
    made = radar.simulate(people, [0, 1, 2], np.random.default_rng(0), condition="pause", snr_db=12.5)
    assert made.condition.tolist() == [4, 4, 4] and made.snr_db.tolist() == [12.5] * 3
    assert made.profile is None


def test_the_kept_profile_holds_the_three_bins(people):
    made = radar.simulate(people, [3, 1], np.random.default_rng(0), keep_profile=True)
    assert made.profile.shape == (2, 600, 16)
    for row in range(2):
        assert np.array_equal(made.profile[row][:, made.bins[row]].T, made.z[row])
    assert made[1:].profile.shape == (1, 600, 16)


def test_subsets_by_slice_mask_and_rows(many):
    mask = many.condition == 2
    assert len(many[mask]) == mask.sum() and (many[mask].condition == 2).all()
    assert np.array_equal(many[[5, 3]].z, many.z[[5, 3]]) and len(many[10:20]) == 10 and len(many[7]) == 1


def test_parts_of_different_length_are_refused(many):
    with pytest.raises(ValueError, match="differ in length"):
        dataclasses.replace(many, rate=many.rate[:-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"who": [0, 40]}, "row numbers of the 40 subjects"),
        ({"who": [-1]}, "row numbers"),
        ({"who": []}, "at least one"),
        ({"who": [0], "condition": "asleep"}, "no condition 'asleep'"),
    ],
)
def test_misuse_of_simulate_is_one_clear_sentence(people, arguments, message):
    who = arguments.pop("who")
    with pytest.raises(ValueError, match=message):
        radar.simulate(people, who, np.random.default_rng(0), **arguments)


def test_the_data_set_splits_people_and_notes_labels_with_an_error():
    made = radar.make_dataset(3, subjects=(6, 3, 4), windows=(5, 2, 3))
    assert {name: len(part) for name, part in made.items()} == {"train": 30, "val": 6, "test": 12}
    who = [set(part.subject.tolist()) for part in made.values()]
    assert who == [set(range(6)), {6, 7, 8}, {9, 10, 11, 12}]
    error = made["train"].rate - made["train"].true_rate
    assert 0.1 < error.std() < 0.3
    for name in ("val", "test"):
        assert np.array_equal(made[name].rate, made[name].true_rate)


def test_fewer_windows_are_the_first_ones_and_another_seed_is_another_set():
    few, more = (radar.make_dataset(3, (4, 2, 2), (rounds, 1, 1))["train"] for rounds in (1, 3))
    assert all(np.array_equal(part, getattr(more, name)[:4]) for name, part in few.parts().items())
    assert not np.array_equal(radar.make_dataset(4, (4, 2, 2), (1, 1, 1))["train"].z, few.z)


@pytest.mark.parametrize("sizes", [{"subjects": (0, 1, 1)}, {"windows": (1, 1)}])
def test_a_data_set_of_nobody_is_refused(sizes):
    with pytest.raises(ValueError, match="three whole numbers"):
        radar.make_dataset(0, **sizes)
    with pytest.raises(ValueError, match="at least 1"):
        radar.draw_subjects(0, np.random.default_rng(0))


# --- a recording of some minutes -------------------------------------------------------------------------------------
def test_a_stream_goes_through_its_episodes():
    recording = radar.stream(1, ("clean", "pause", "motion"), seconds=40)
    assert len(recording) == 120 and recording.z.shape == (3, 2400) and recording.volume.shape == (600,)
    assert recording.condition.tolist() == [0] * 40 + [4] * 40 + [2] * 40
    held = np.flatnonzero(np.isnan(recording.rate))
    assert 10 <= len(held) <= 13 and 40 + 16 <= held[0] <= 40 + 30 and (np.diff(held) == 1).all()
    window = recording.window(40)
    assert window.shape == (3, 600) and window.dtype == np.complex64
    assert recording.true_rate(40) == pytest.approx(np.nanmean(recording.rate[10:40]))
    again = radar.stream(1, ("clean", "pause", "motion"), seconds=40)
    assert np.array_equal(recording.profile, again.profile)


def test_clean_minutes_of_a_stream_can_be_read_off():
    recording = radar.stream(2, ("clean", "clean"), seconds=60, quickening=0.05)
    z = np.stack([recording.window(second)[0] for second in range(30, 121, 10)])
    rates = radar.peak_rate(radar.displacement_mm(z))
    truth = [recording.true_rate(second) for second in range(30, 121, 10)]
    assert np.abs(rates - truth).mean() < 1


def test_misuse_of_a_stream():
    with pytest.raises(ValueError, match="give at least one of"):
        radar.stream(0, ("asleep",))
    with pytest.raises(ValueError, match="do not fill one window"):
        radar.stream(0, ("clean",), seconds=20)
    with pytest.raises(ValueError, match="ends between 30 and 60"):
        radar.stream(0, ("clean",)).window(29)


def test_all_holds_and_no_breath_have_no_true_rate():
    held = dataclasses.replace(radar.stream(0, ("clean",)), rate=np.full(60, np.nan, np.float32))
    assert np.isnan(held.true_rate(60))
