"""What the scanner does to the light: signal strength, noise floor, speckle, response, exposure.

The order is that of the light: strength of the signal (worse at the edges) -> noise floor and speckle, in intensity ->
display (4th root of intensity) -> the device's own response -> this visit's exposure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import WIDTH_MM, Anatomy
from .cohort import Cohort
from .draws import Columns, stream
from .shapes import Array, column, plane

GAIN, OFFSET, TONE = 0.22, 0.05, 0.45  # spread of the exposure


@dataclass(frozen=True)
class Device:
    """A scanner: noise floor (grey), smoothing of speckle (lateral, axial), gain, offset, tone curve."""

    floor: float
    lateral: float
    axial: float
    gain: float
    offset: float
    tone: float


RESPONSE = (
    Device(floor=0.22, lateral=0.16, axial=0.08, gain=1.00, offset=-0.06, tone=0.0),  # A: the usual one
    Device(floor=0.28, lateral=0.088, axial=0.032, gain=0.72, offset=0.09, tone=-0.3),  # B: older, grainy, flat
    Device(floor=0.25, lateral=0.128, axial=0.08, gain=0.62, offset=0.17, tone=0.6),  # C: comes in production
)


def response(name: str, device: Array) -> Array:
    """One property of each scan's device, (n,)."""
    return np.array([getattr(kind, name) for kind in RESPONSE])[device]


def detect(picture: Array, cohort: Cohort, traits: Columns, eye: Anatomy) -> Array:
    """What the detector sees: (signal + noise floor) x speckle, in intensity; returned as its 4th root, for display.

    Speckle: waves scattered by many small things add up at random; intensity then follows an exponential law.
    """
    x = eye.x_mm / (WIDTH_MM / 2)
    toward_side = 0.5 + 0.5 * x * column(traits.vignette_side)
    vignette = 1 - column(0.22 * traits.vignette_slope) * toward_side * toward_side
    vignette -= column(0.10 * traits.vignette_bow) * x * x
    strength = column(0.5 + 0.5 * np.sqrt(traits.quality)) * vignette
    floor = plane(response("floor", traits.device) * (1.15 - 0.30 * traits.quality))
    intensity = _fourth_power(picture * strength[:, None, :]) + _fourth_power(floor)
    return np.sqrt(np.sqrt(intensity * speckle(cohort, traits, picture.shape[1])))


def _fourth_power(values: Array) -> Array:
    squared = values * values
    return squared * squared


def speckle(cohort: Cohort, traits: Columns, size: int) -> Array:
    """Unit exponential noise, float32 (n, size, size), its own for every scan; slightly smoothed by the device."""
    noise = np.empty((len(cohort), size, size), np.float32)
    for field, patient, number in zip(noise, cohort.who.patient, cohort.who.number, strict=True):
        rng = stream(cohort.seed, "speckle", cohort.split, patient, number)
        rng.standard_exponential(out=field.reshape(-1), dtype=np.float32)
    lateral, axial = (plane(response(name, traits.device)) for name in ("lateral", "axial"))
    sides = noise[:, :, :-2] + noise[:, :, 2:]
    noise[:, :, 1:-1] = noise[:, :, 1:-1] * (1 - 2 * lateral) + sides * lateral
    sides = noise[:, :-2] + noise[:, 2:]
    noise[:, 1:-1] = noise[:, 1:-1] * (1 - 2 * axial) + sides * axial
    return noise


def expose(picture: Array, traits: Columns) -> Array:
    """The device's response, then this visit's exposure: gain, offset and a quadratic tone curve."""
    gain, offset = plane(response("gain", traits.device)), plane(response("offset", traits.device))
    shown = np.clip(picture * gain + offset, 0, 1.3)
    tone = plane(response("tone", traits.device) + TONE * traits.tone)
    shown = shown + 0.5 * tone * shown * (1 - shown)
    return shown * plane(1 + GAIN * traits.gain) + plane(OFFSET * traits.offset)
