"""Where chance comes from: one seed sequence per patient and purpose, and a name for every random number.

Why not one generator for everything? Because then the hundredth scan would depend on how many numbers the
ninety-nine before it used, on the number of scans asked for, and on which thread came first. Here every patient owns
a stream, so the first 200 scans of 500 are the 200 scans, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

SPLITS = {"train": 0, "val": 1, "test": 2, "production": 3, "unlabelled": 4, "extra": 5}
PURPOSES = {
    "patient": 0,
    "speckle": 1,
    "choroid": 2,
    "spots": 3,
    "note": 4,
    "plan": 5,
    "outlier": 6,
    "copy": 7,
    "marker": 8,
}


def stream(seed: int, purpose: str, split: str, *key: int) -> np.random.Generator:
    """The generator that belongs to (seed, purpose, split, key) and to nothing else."""
    spawn_key = (PURPOSES[purpose], SPLITS[split], *(int(k) for k in key))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=seed, spawn_key=spawn_key)))


class Columns(SimpleNamespace):
    """Named arrays with one row a scan: `columns.age` is (n,), `columns.vessel_x` is (n, 4)."""

    def take(self, rows: slice | np.ndarray) -> Columns:
        """The same columns for some of the scans."""
        return Columns(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Budget:
    """How many uniform and normal numbers one patient, eye or scan may use, each with its name.

    The budget is fixed: nobody's numbers depend on what was done with somebody else's.
    """

    uniform: dict[str, int] = field(default_factory=dict)
    normal: dict[str, int] = field(default_factory=dict)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """All numbers of one row: float64 (budget,)."""
        uniforms = rng.random(sum(self.uniform.values()))
        return np.concatenate([uniforms, rng.standard_normal(sum(self.normal.values()))])

    def name(self, rows: np.ndarray) -> Columns:
        """Rows of raw numbers (..., budget) as named columns: (...,) for single numbers, (..., k) for groups of k."""
        named, start = {}, 0
        for name, width in {**self.uniform, **self.normal}.items():
            named[name] = rows[..., start] if width == 1 else rows[..., start : start + width]
            start += width
        return Columns(**named)


PATIENT = Budget(
    uniform={
        "first_eye_left": 1,
        "sex": 1,
        "vessel_present": 4,
        "hyaloid": 1,
        "hyaloid_gap": 1,
        "hyaloid_slope": 1,
        "first_day": 1,
    },
    normal={
        "age": 1,
        "thickness": 1,
        "layer_thickness": 10,
        "layer_grey": 8,
        "pit_width": 1,
        "curvature": 1,
        "choroid": 1,
        "clear_media": 1,
        "vessel_x": 4,
    },
)

EYE = Budget(
    uniform={
        "more_visits": 2,
        "more_slices": 6,
        "slice_centre": 3,
        "severity": 2,
        "response": 1,
        "visit_gap": 1,
        # age-related disease: elevation, fluid, mounds
        "elevation_width": 1,
        "elevation_height": 1,
        "material_share": 1,
        "ellipsoid_loss": 1,
        "fluid": 1,
        "fluid_height": 1,
        "fluid_offset": 1,
        "fluid_width": 1,
        "mound_count": 1,
        "mound_x": 6,
        "mound_height": 6,
        "mound_width": 6,
        "benign_mounds": 1,
        "benign_second": 1,
        # diabetic disease: swelling, cysts, exudates
        "swelling": 1,
        "swelling_width": 1,
        "cyst_count": 1,
        "cyst_count_other": 1,
        "cyst_grey": 1,
        "exudate_count": 1,
        # everybody
        "absorption": 1,
        "dip": 1,
        "dip_x": 1,
        "dip_width": 1,
        "dip_depth": 1,
        "vessel_x": 4,
        "vessel_width": 4,
        "vessel_shadow": 4,
        "lumen_x": 2,
    },
    normal={
        "fovea_x": 1,
        "fovea_y": 1,
        "depth": 1,
        "tilt": 1,
        "undulation": 8,
        "lesion_x": 1,
        "rough_base": 11,
        "rough_material": 11,
        "rough_grey": 11,
    },
)

SCAN = Budget(
    uniform={
        "slice_position": 1,
        "gain": 1,
        "offset": 1,
        "tone": 1,
        "vignette_side": 1,
        "vignette_slope": 1,
        "vignette_bow": 1,
        "lumen": 1,
        "lumen_second": 1,
        "lumen_depth": 2,
        "lumen_radius": 2,
        "dot": 1,
        "dot_x": 1,
        "dot_depth": 1,
        # what the table and the planted faults need
        "follow_up_random": 1,
        "follow_up_choice": 1,
        "thickness_missing": 1,
        "acuity_missing": 1,
        "age_missing": 1,
        "unit_slip": 1,
        "marker": 1,
        "misreading": 1,
    },
    normal={
        "fovea_x": 1,
        "depth": 1,
        "tilt": 1,
        "curvature": 1,
        "undulation": 8,
        "quality": 1,
        "lesion_x": 1,
        "vessel_x": 1,
        "quality_reading": 1,
        "thickness_reading": 1,
        "acuity_reading": 1,
    },
)
