"""Views, variations and batches of radar windows: what they keep, what they change, and that a seed repeats them."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_utils.radar import augment, views
from course_utils.radar.batches import RATE_MEAN, RATE_STD, WindowBatches, breaths, standardized

T, PHASE_PER_MM = 600, 2.594


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def breathing(rates, static=0.0):
    """Windows (B, 3, 600) of a chest that moves 4 mm at `rates` a minute, seen by three bins, and its waveform."""
    rates = torch.as_tensor(rates, dtype=torch.float32)
    turns = rates[:, None] / 60 * torch.arange(T) / 20
    angle = PHASE_PER_MM * 2 * torch.sin(2 * math.pi * turns)
    strengths = torch.tensor([1.0, 0.5, 0.2])[None, :, None]
    z = torch.polar(torch.ones_like(angle), angle)[:, None] * strengths + static
    waveform = math.sqrt(2) * torch.sin(2 * math.pi * turns).reshape(len(rates), -1, 4).mean(2)
    return z.to(torch.complex64), rates, waveform


def strongest_line(signal, rate):
    """Breaths a minute of the strongest line of a real signal sampled at `rate`."""
    spectrum = np.abs(np.fft.rfft(signal - signal.mean(), 1 << 15))
    return 60 * rate * spectrum.argmax() / (1 << 15)


def unwrapped(z):
    return np.unwrap(np.angle(z.numpy()))


# --- views ------------------------------------------------------------------------------------------------------------
def test_views_have_their_shape_and_ignore_standing_echoes_and_gain():
    z, _, _ = breathing([15, 20])
    for view in (views.as_iq, views.as_dphi):
        x = view(z)
        assert x.shape == (2, 6, T) and x.dtype == torch.float32
        assert torch.allclose(view(7 * z + (3 - 2j)), x, atol=2e-3)


def test_dphi_does_not_see_a_rotation_and_iq_does():
    z, _, _ = breathing([15])
    turned = z * torch.polar(torch.ones(1, 3, 1), torch.tensor([0.3, 1.0, -2.0]).reshape(1, 3, 1))
    assert torch.allclose(views.as_dphi(turned), views.as_dphi(z), atol=1e-4)
    assert (views.as_iq(turned) - views.as_iq(z)).abs().max() > 0.3


def test_the_phase_increment_is_that_of_numpy():
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 50, 2)).astype(np.float32)).view(2, 3, 50, 2)
    z = torch.view_as_complex(z.contiguous())
    centred = z.numpy() - z.numpy().mean(2, keepdims=True)
    centred /= np.sqrt((np.abs(centred[:, :1]) ** 2).mean((1, 2), keepdims=True))
    product = centred[:, :, 1:] * centred[:, :, :-1].conj()
    size = np.abs(product).clip(views.FLOOR)
    x = views.as_dphi(z).numpy()
    assert np.allclose(x[:, :3, 1:], np.angle(product) * size / (size + views.FAINT), atol=1e-4)
    assert np.allclose(x[:, 3:, 1:], 0.3 * np.log(size), atol=1e-4)


def test_a_silent_window_stays_finite():
    assert torch.isfinite(views.as_dphi(torch.zeros(1, 3, T, dtype=torch.complex64))).all()


# --- variations -------------------------------------------------------------------------------------------------------
def test_rotation_keeps_amplitudes_and_motion():
    z, _, _ = breathing([12, 24])
    turned = augment.rotate(z, seeded())
    assert torch.allclose(turned.abs(), z.abs(), atol=1e-5)
    angles = (turned * z.conj()).angle()
    assert torch.allclose(angles, angles[:, :, :1], atol=1e-3)  # one angle a bin, the same at every frame
    assert angles[:, :, 0].unique().numel() == 6


def test_stretching_changes_the_rate_as_its_label_says():
    z, rate, waveform = breathing(torch.linspace(10, 30, 12))
    new_z, new_rate, new_waveform = augment.stretch(z, rate, waveform, seeded(), share=1.0)
    assert (new_rate - rate).abs().min() > 0.01 and (new_rate / rate).log().abs().max() <= 0.2201
    for row in range(12):
        inner = slice(120, 480)  # away from the mirrored ends
        assert strongest_line(unwrapped(new_z[row, 0])[inner], 20) == pytest.approx(new_rate[row].item(), abs=0.7)
        assert strongest_line(new_waveform[row].numpy()[30:120], 5) == pytest.approx(new_rate[row].item(), abs=0.7)


def test_polar_interpolation_stays_on_the_circle_and_a_straight_line_does_not():
    z, rate, _ = breathing([40])
    before, fraction = augment.stretched(T, torch.tensor([0.83]))
    polar = augment.between(z, before, fraction)
    left, right = (z[0, 0, index[0]] for index in (before, before + 1))
    assert torch.allclose(polar[0, 0].abs(), torch.ones(T), atol=1e-4)
    assert (left + fraction[0] * (right - left)).abs().min() < 0.98


def test_stretched_windows_stay_within_the_rates_that_exist():
    z, rate, waveform = breathing([6.5, 41.0] * 20)
    _, new_rate, _ = augment.stretch(z, rate, waveform, seeded(), share=1.0)
    assert new_rate.min() >= augment.SLOWEST - 1e-4 and new_rate.max() <= augment.FASTEST + 1e-4


def test_a_share_of_zero_and_a_factor_of_one_change_nothing():
    z, rate, waveform = breathing([12, 24])
    for got, given in zip(augment.stretch(z, rate, waveform, seeded(), share=0.0), (z, rate, waveform)):
        assert torch.allclose(got, given, atol=1e-5)


def test_a_shift_moves_signal_and_waveform_together():
    z, _, waveform = breathing([15] * 30)
    shifted, moved = augment.shift(z, waveform, seeded())
    angle = torch.from_numpy(unwrapped(shifted[:, 0])).reshape(30, 150, 4).mean(2)
    for row in range(30):
        assert np.corrcoef(angle[row], moved[row])[0, 1] > 0.99  # the mirror stands a frame and a half off
    assert (moved - waveform).abs().amax(1).gt(0.1).sum() > 20


def test_mirrors_fold_every_place_back_in():
    assert augment.mirrored(torch.tensor([-2, -1, 0, 4, 5, 6]), 5).tolist() == [2, 1, 0, 4, 3, 2]


def test_noise_is_as_strong_as_it_says():
    z, _, _ = breathing([15] * 400)
    added = (augment.add_noise(z, seeded(), share=1.0) - z)[:, 0].abs().square().mean(1)
    decibels = -10 * torch.log10(added)  # the first bin has a power of one
    assert 2 - 0.7 < decibels.min() < 4 and 23 < decibels.max() < 25 + 0.7
    untouched = (augment.add_noise(z, seeded(), share=0.5) == z).all(2).all(1)
    assert 140 < untouched.sum() < 260


def test_variations_repeat_with_their_generator_and_can_be_switched_off():
    given = breathing([12, 24])
    first, again, other = (augment.Vary()(*given, seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.equal(first[0], other[0])
    for got, was in zip(augment.Vary(False, False, False, False)(*given, seeded()), given):
        assert torch.equal(got, was)


# --- batches ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def windows():
    class Some(SimpleNamespace):
        def __len__(self):
            return len(self.rate)

    z, rate, waveform = breathing(np.linspace(8, 35, 11))
    return Some(z=z.numpy(), rate=rate.numpy(), waveform=waveform.numpy())


def test_batches_give_every_window_once_standardised(windows):
    batches = list(WindowBatches(windows, 4))
    assert [len(y) for _, y in batches] == [4, 4, 3]
    y = torch.cat([y for _, y in batches])
    assert np.allclose(breaths(y.numpy()), windows.rate, atol=1e-4)
    assert np.allclose(standardized(windows.rate), (windows.rate - RATE_MEAN) / RATE_STD)
    x = torch.cat([x for x, _ in batches])
    assert torch.equal(x, views.as_dphi(torch.from_numpy(windows.z)))


def test_an_epoch_repeats_with_its_number(windows):
    batches = WindowBatches(windows, 4, shuffle=True, vary=augment.Vary(), waveforms=True, seed=3)
    first = list(batches)
    second = list(batches)
    batches.set_epoch(0)
    again = list(batches)
    assert first[0][1].shape == (4, 151)
    assert all(torch.equal(a, b) for one, two in zip(first, again) for a, b in zip(one, two))
    assert not torch.equal(first[0][1], second[0][1])


def test_a_short_last_batch_can_be_dropped(windows):
    batches = WindowBatches(windows, 4, drop_last=True)
    assert len(batches) == len(list(batches)) == 2


def test_empty_windows_and_batches_are_refused(windows):
    windows.rate = windows.rate[:0]
    with pytest.raises(ValueError, match="0 windows in batches of 64"):
        WindowBatches(windows)
