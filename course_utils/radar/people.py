"""The people in front of the radar: what stays the same about somebody from one recording to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True)
class Subject:
    """One person and the room they were recorded in; every window of theirs varies around these numbers."""

    rate: float  # breaths/min, usual
    rate_variation: float  # share by which the rate wanders within half a minute
    depth_mm: float  # how far the chest moves in a breath, peak to peak
    inhale: float  # share of a breath
    exhale: float  # share of a breath; what is left is a rest before the next one
    exhale_power: float  # 1: as round as the inhale; 2: a quick start, a slow end
    heart_rate: float  # beats/min
    heart_mm: float
    abdomen_ratio: float  # the abdomen's motion, as a multiple of the chest's
    abdomen_echo: float  # amplitude of its echo; the chest's is 1
    range_bins: float  # where the chest is among the kept range bins
    snr_offset_db: float  # some people reflect better
    clutter_db: float  # echoes of the room
    fidget: float  # how large this person's motions are


def draw_subjects(n: int, rng: np.random.Generator) -> list[Subject]:
    """`n` people. Their usual rates are stratified: one from each n-th part of the population, in random order.

    Without that a group of 25 people is fast or slow by luck, and with it the score of "always say the mean".
    """
    if n < 1:
        raise ValueError(f"{n} subjects were asked for; at least 1 is needed")
    share = (rng.permutation(n) + rng.random(n)) / n  # each person's place in the population, from 0 to 1
    return [_subject(rate, rng) for rate in np.clip(17 * np.exp(0.34 * norm.ppf(share)), 7, 36)]


def _subject(rate: float, rng: np.random.Generator) -> Subject:
    return Subject(
        rate=float(rate),
        rate_variation=rng.uniform(0.02, 0.08),
        depth_mm=float(np.clip(rng.lognormal(np.log(4.0), 0.45), 1, 12)),
        inhale=rng.uniform(0.32, 0.50),
        exhale=rng.uniform(0.40, 0.55),
        exhale_power=rng.uniform(1, 2),
        heart_rate=float(np.clip(rng.normal(72, 11), 50, 115)),
        heart_mm=rng.uniform(0.1, 0.5),
        abdomen_ratio=rng.uniform(0.4, 1.4),
        abdomen_echo=rng.uniform(0.1, 0.5),
        range_bins=rng.uniform(6.5, 8.5),
        snr_offset_db=rng.normal(0, 1.5),
        clutter_db=rng.uniform(-12, 3),
        fidget=rng.uniform(0.5, 1.5),
    )
