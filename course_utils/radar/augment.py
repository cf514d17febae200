"""Variations that another person or another day could have made of a radar recording, and what they do to its label.

Each works on a batch: `z` complex (B, 3, T) of FRAME_RATE frames a second, `rate` (B,) in breaths a minute, `waveform`
(B, T / 4). Random numbers come from the `generator` given. After Zheng et al., "MoRe-Fi" (2021, arXiv 2111.08195):
vary the complex signal, where the physics is simple, and not what was computed from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

SLOWEST, FASTEST = 6.0, 42.0  # breaths a minute that a stretched window may have
STEP = 4  # frames to one sample of the waveform


def uniform(z: Tensor, low: float, high: float, generator: Generator, *shape: int) -> Tensor:
    """Uniform numbers (B, …shape) on the device of `z`."""
    return (low + (high - low) * torch.rand(len(z), *shape, generator=generator)).to(z.device)


def rotate(z: Tensor, generator: Generator) -> Tensor:
    """Turn each bin's I/Q plane by a random angle: the chest stands a fraction of a wavelength elsewhere."""
    angle = uniform(z, 0, 2 * math.pi, generator, z.shape[1], 1)
    return z * torch.polar(torch.ones_like(angle), angle)


def mirrored(place: Tensor, length: int) -> Tensor:
    """Fold places outside 0 … length - 1 back in, as between two mirrors: a piece of time played backwards."""
    place = place.remainder(2 * (length - 1))
    return torch.where(place > length - 1, 2 * (length - 1) - place, place)


def shift(z: Tensor, waveform: Tensor, generator: Generator, seconds: float = 5.0) -> tuple[Tensor, Tensor]:
    """Start the window up to `seconds` earlier or later, whole waveform samples; what is missing is mirrored."""
    most = round(seconds * 5)
    by = torch.randint(-most, most + 1, (len(z), 1), generator=generator).to(z.device)
    frames = mirrored(torch.arange(z.shape[2], device=z.device) + STEP * by, z.shape[2])  # (B, T)
    samples = mirrored(torch.arange(waveform.shape[1], device=z.device) + by, waveform.shape[1])
    return z.gather(2, frames[:, None].expand_as(z)), waveform.gather(1, samples)


def stretched(length: int, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Where to read a signal played `factor` (B,) times as fast about its middle: index before (B, T), and fraction."""
    middle = (length - 1) / 2
    place = mirrored((torch.arange(length, device=factor.device) - middle) * factor[:, None] + middle, length)
    before = place.floor().long().clamp(max=length - 2)
    return before, place - before


def between(z: Tensor, before: Tensor, fraction: Tensor) -> Tensor:
    """Samples between frames in polar form: the phase moves on evenly, the size by a constant factor.

    A straight line between two points of a circle cuts through it: the echo would fade wherever the chest moves fast.
    """
    left, right = (z.gather(2, index[:, None].expand_as(z)) for index in (before, before + 1))
    angle = (right * left.conj()).angle()
    growth = (right.abs() / left.abs().clamp_min(1e-6)).clamp(0.2, 5)
    return left * torch.polar(growth ** fraction[:, None], angle * fraction[:, None])


def stretch(
    z: Tensor, rate: Tensor, waveform: Tensor, generator: Generator, strength: float = 0.22, share: float = 0.7
) -> tuple[Tensor, Tensor, Tensor]:
    """Play a `share` of the windows exp(U(-strength, strength)) times as fast, and give them the rate that makes.

    The factor is held where the new rate stays between 6 and 42 a minute.
    """
    factor = uniform(z, -strength, strength, generator).exp()
    factor = torch.where(uniform(z, 0, 1, generator) < share, factor, 1.0)
    factor = torch.minimum(torch.maximum(factor, SLOWEST / rate), FASTEST / rate)
    before, fraction = stretched(waveform.shape[1], factor)
    left, right = waveform.gather(1, before), waveform.gather(1, before + 1)
    return between(z, *stretched(z.shape[2], factor)), rate * factor, left + (right - left) * fraction


def add_noise(z: Tensor, generator: Generator, share: float = 0.5) -> Tensor:
    """Add white noise to a `share` of the windows, 2 to 25 dB below the power of the first bin."""
    level = 10 ** (-uniform(z, 2, 25, generator, 1, 1) / 20) * (uniform(z, 0, 1, generator, 1, 1) < share)
    power = z[:, :1].abs().square().mean((1, 2), keepdim=True).sqrt()
    noise = torch.randn(*z.shape, 2, generator=generator).to(z.device)
    return z + level * power * torch.view_as_complex(noise) / math.sqrt(2)


@dataclass(frozen=True)
class Vary:
    """Which variations are made, in this order: ``z, rate, waveform = Vary()(z, rate, waveform, generator)``."""

    stretch: bool = True
    shift: bool = True
    rotate: bool = True
    noise: bool = True

    def __call__(self, z: Tensor, rate: Tensor, waveform: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        if self.stretch:
            z, rate, waveform = stretch(z, rate, waveform, generator)
        if self.shift:
            z, waveform = shift(z, waveform, generator)
        if self.rotate:
            z = rotate(z, generator)
        if self.noise:
            z = add_noise(z, generator)
        return z, rate, waveform
