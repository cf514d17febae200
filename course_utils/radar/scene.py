"""What is in front of the radar besides the breath: heart, fidgeting, other parts of the body, the room, and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .breathing import Breathing, centred
from .noise import band_noise, wandering
from .people import Subject
from .physics import BINS, FRAME_RATE, FRAMES, echo, range_kernel


@dataclass(frozen=True)
class Motion:
    """The body as a whole: how far it has come nearer, in mm, and how violently it moves, 0 to 1; both (F,)."""

    nearer_mm: np.ndarray
    unrest: np.ndarray


@dataclass(frozen=True)
class Scatterer:
    """Something that reflects: amplitude (the chest's is 1; a number or (F,)), place in bins, motion (F,) in mm."""

    amplitude: np.ndarray | float
    range_bins: float
    nearer_mm: np.ndarray


def heartbeat(subject: Subject, frames: int, rng: np.random.Generator) -> np.ndarray:
    """What the heart adds to the chest, in mm, (frames,): a wandering rate with two harmonics."""
    rate = subject.heart_rate / 60 * (1 + 0.04 * wandering(frames, 5, rng) + rng.normal(0, 0.05))
    turn = 2 * np.pi * (np.cumsum(rate) / FRAME_RATE + rng.random())
    return subject.heart_mm * (0.5 * np.cos(turn) + 0.2 * np.cos(2 * turn + 1) + 0.1 * np.cos(3 * turn + 2))


def body_motion(
    subject: Subject, frames: int, bursts: Sequence[tuple[float, float]], rng: np.random.Generator
) -> Motion:
    """Sway, which is always there, and bursts of (centre, length) in seconds: the body shifts and fidgets."""
    time = np.arange(frames) / FRAME_RATE
    sway = rng.uniform(-1, 1) * (np.arange(frames) / FRAMES - frames / FRAMES / 2)  # half a millimetre each way
    nearer = 0.35 * wandering(frames, 6, rng) + sway
    fidget = band_noise(frames, 0.15, 1.5, rng) if bursts else None
    unrest = np.zeros(frames)
    for centre, length in bursts:
        distance = (time - centre) / length
        hump = np.where(np.abs(distance) < 0.5, 0.5 + 0.5 * np.cos(2 * np.pi * distance), 0)
        shift = rng.normal(0, 10) * subject.fidget / (1 + np.exp(np.clip(-6 * distance, -50, 50)))
        nearer += shift + hump * fidget * rng.uniform(2, 10) * subject.fidget
        unrest = np.maximum(unrest, hump)
    return Motion(nearer, unrest)


def scatterers(subject: Subject, breath: Breathing, motion: Motion, rng: np.random.Generator) -> list[Scatterer]:
    """Chest, abdomen, shoulder, the chest again by way of a wall, and sometimes a fan."""
    frames = len(breath.chest_mm)
    heart = heartbeat(subject, frames, rng)
    body = motion.nearer_mm
    seen = 1 - motion.unrest * rng.uniform(0.2, 0.8)  # somebody who turns reflects less for a while
    place = subject.range_bins + rng.normal(0, 0.25)
    chest = breath.chest_mm + heart + body
    abdomen = breath.abdomen_mm + 0.3 * heart + rng.uniform(0.6, 1) * body
    shoulder = 0.12 * breath.chest_mm + 0.2 * heart + rng.uniform(0.8, 1.2) * body
    found = [
        Scatterer(seen, place, chest),
        Scatterer(seen * subject.abdomen_echo * rng.lognormal(0, 0.2), place + rng.uniform(0.6, 2.5), abdomen),
        Scatterer(seen * rng.uniform(0.05, 0.25), place + rng.uniform(0.5, 2), shoulder),
        Scatterer(seen * rng.uniform(0.03, 0.2), place + rng.uniform(2.5, 6), rng.uniform(0.7, 1) * chest),
    ]
    return [*found, _fan(place, frames, rng)] if rng.random() < 0.15 else found


def _fan(place: float, frames: int, rng: np.random.Generator) -> Scatterer:
    turns = rng.uniform(1.2, 4) * np.arange(frames) / FRAME_RATE + rng.random()
    swing = rng.uniform(0.5, 2.5) * np.sin(2 * np.pi * turns)
    return Scatterer(rng.uniform(0.1, 0.5), place + rng.choice([-1, 1]) * rng.uniform(3, 6), swing)


def echoes(targets: Sequence[Scatterer], rng: np.random.Generator) -> np.ndarray:
    """The sum of all echoes, complex64 (F, BINS); nobody knows a scatterer's distance to a fraction of a wavelength."""
    profile = np.zeros((len(targets[0].nearer_mm), BINS), np.complex64)
    for target in targets:
        profile += echo(target.amplitude, target.range_bins, target.nearer_mm, rng.uniform(0, 2 * np.pi))
    return profile


def clutter(subject: Subject, rng: np.random.Generator) -> np.ndarray:
    """Three things in the room that do not move: complex64 (BINS,). Their sum shifts the circle the chest draws."""
    room = np.zeros(BINS, np.complex64)
    for _ in range(3):
        amplitude = 10 ** (rng.normal(subject.clutter_db, 3) / 20) * np.exp(2j * np.pi * rng.random())
        room += np.complex64(amplitude) * range_kernel(rng.uniform(-1, BINS) - np.arange(BINS))
    return room


def receive(profile: np.ndarray, snr_db: np.ndarray | float, rng: np.random.Generator) -> np.ndarray:
    """What the receiver makes of an ideal profile (F, BINS): phase noise of the oscillator, white noise, a random gain.

    snr_db: power of the chest's echo over that of the noise in one frame and bin; one number or (F,).
    """
    frames = len(profile)
    jitter = 0.02 * rng.standard_normal(frames) + 0.05 * wandering(frames, 1, rng)  # rad, common to all bins
    noise = rng.standard_normal((frames, BINS, 2), np.float32).view(np.complex64)[..., 0]
    level = np.broadcast_to(10 ** (-np.asarray(snr_db, np.float32) / 20) / np.sqrt(2), frames).astype(np.float32)
    gain = np.float32(rng.lognormal(0, 0.5))
    return gain * (profile * np.exp(1j * jitter).astype(np.complex64)[:, None] + level[:, None] * noise)


def strongest_bins(profile: np.ndarray, count: int = 3) -> np.ndarray:
    """The indices of the bins that move most, the most first: by the variance over time of a profile (F, bins)."""
    return np.argsort(-profile.var(axis=0), kind="stable")[:count]


def centred_volume(breath: Breathing) -> np.ndarray:
    """Lung volume (F,) with mean 0 and variance 1."""
    volume = centred(breath.volume)
    return volume / max(float(volume.std()), 1e-6)
