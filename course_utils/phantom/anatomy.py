"""The retina as a stack of layers: where each begins, in micrometres of depth, at every column of the scan.

A B-scan is a vertical cut through the back of the eye, here 4 mm wide and 1 mm deep. Light enters from above: first
the vitreous (clear gel), then nine layers of retina, the pigment epithelium (RPE), Bruch's membrane, and the choroid
with its vessels. At the fovea, where we see best, the inner layers are pushed aside: a pit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cohort import CNV, DME, Cohort
from .draws import Columns
from .lesions import Lesions, is_class, lesions
from .shapes import Array, column, lerp, smoothstep, spline

DEPTH_UM = 1000.0
WIDTH_MM = 4.0


@dataclass(frozen=True)
class Layer:
    """A layer: thickness (µm) far from the fovea, 1 mm from it and in its centre; grey on the display (0..1)."""

    name: str
    meaning: str
    far_um: float
    near_um: float
    fovea_um: float
    grey: float


LAYERS = (  # from the vitreous down
    Layer("NFL", "nerve fibre layer", 32, 21, 5, 0.74),
    Layer("GCL", "ganglion cell layer", 38, 50, 3, 0.52),
    Layer("IPL", "inner plexiform layer", 31, 41, 5, 0.57),
    Layer("INL", "inner nuclear layer", 33, 39, 6, 0.40),
    Layer("OPL", "outer plexiform layer", 27, 33, 14, 0.55),
    Layer("ONL", "outer nuclear layer: the bodies of the light cells", 56, 68, 100, 0.33),
    Layer("MYOID", "myoid zone", 24, 24, 26, 0.42),
    Layer("EZ", "ellipsoid zone: a bright line, broken in disease", 18, 18, 18, 0.90),
    Layer("OS", "outer segments", 19, 20, 27, 0.66),
    Layer("RPE", "retinal pigment epithelium: the brightest line", 24, 24, 25, 0.98),
)
RETINA, RPE = LAYERS[:-1], LAYERS[-1]
SWELLING_SHARES = {"INL": 0.30, "OPL": 0.15, "ONL": 0.55}  # where a swollen retina keeps its water

PIT_HALF_WIDTH_MM = 0.55
TILT_UM, CURVATURE_UM, UNDULATION_UM = 58.0, 50.0, 7.0
DEPTH_POSITION_UM = (420, 630)


@dataclass(frozen=True)
class Anatomy:
    """`tops[name]`: depth (µm, float32 (n, size)) where a tissue begins, in order from the vitreous down.

    After the nine retinal layers come FLUID, MATERIAL, RPE, SUB_RPE (what lies under a raised epithelium) and
    CHOROID (whose top is Bruch's membrane); a tissue without thickness begins where the next one does.
    """

    x_mm: Array
    fovea_mm: Array
    tops: dict[str, Array]
    lesions: Lesions
    choroid_um: Array

    def at(self, name: str, rows: Array, x_mm: Array) -> Array:
        """Depth (µm) of a tissue's top for some scans, each at its own place."""
        size = len(self.x_mm)
        columns = np.clip(((x_mm / WIDTH_MM + 0.5) * size).astype(int), 0, size - 1)
        return self.tops[name][rows, columns]

    def central_thickness(self) -> Array:
        """Mean distance (µm) from the surface to Bruch's membrane within 0.5 mm of the fovea, (n,)."""
        central = np.abs(self.x_mm - column(self.fovea_mm)) < 0.5
        thickness = (self.tops["CHOROID"] - self.tops["NFL"]) * central
        return thickness.sum(1, dtype=np.float64) / np.maximum(central.sum(1), 1)


def anatomy(cohort: Cohort, traits: Columns, size: int) -> Anatomy:
    """The geometry of every scan of a cohort at `size` columns."""
    x_mm = (((np.arange(size) + 0.5) / size - 0.5) * WIDTH_MM).astype(np.float32)
    fovea = 0.25 * cohort.eye.fovea_x + 0.06 * cohort.scan.fovea_x
    disease = lesions(cohort, traits, fovea, x_mm)
    choroid = np.clip(240 + 60 * cohort.patient.choroid - 1.2 * (traits.age - 60), 90, 420)  # thinner with age
    tops = _stack(cohort, _bruch(cohort, disease, x_mm), _layer_thickness(cohort, traits, fovea, x_mm), disease)
    return Anatomy(x_mm, fovea, tops, disease, choroid)


def _bruch(cohort: Cohort, disease: Lesions, x_mm: Array) -> Array:
    """Bruch's membrane, the ground everything stands on: position, tilt, bow and a slight wave."""
    eye, scan = cohort.eye, cohort.scan
    x = x_mm / (WIDTH_MM / 2)
    depth = lerp(*DEPTH_POSITION_UM, np.clip(0.5 + 0.28 * eye.depth + 0.07 * scan.depth, 0, 1))
    tilt = TILT_UM * (0.85 * np.clip(eye.tilt, -2, 2) + 0.18 * scan.tilt)
    bow = CURVATURE_UM * (0.5 + 0.8 * cohort.patient.curvature + 0.12 * scan.curvature)
    wave = UNDULATION_UM * spline(eye.undulation + 0.25 * scan.undulation, len(x_mm))
    return column(depth) + column(tilt) * x + column(bow) * (x * x - 1 / 3) + wave + disease.dip


def _layer_thickness(cohort: Cohort, traits: Columns, fovea: Array, x_mm: Array) -> dict[str, Array]:
    """Thickness (µm) of each healthy layer at each column: its profile around the fovea times the patient's scale."""
    off_centre = np.abs(0.15 * cohort.eye.fovea_y + 0.81 * traits.slice_position)  # mm between slice and fovea
    distance = x_mm - column(fovea)
    distance2 = distance * distance + column(off_centre * off_centre)
    pit_mm = PIT_HALF_WIDTH_MM * (1 + 0.22 * np.clip(cohort.patient.pit_width, -2, 2))
    pit = smoothstep(1 / (1 + distance2 / column(pit_mm * pit_mm)))
    near = 1 / (1 + distance2 / 3.2)
    thickness = {}
    for k, layer in enumerate(LAYERS):
        own = np.clip(1 + 0.10 * cohort.patient.layer_thickness[:, k], 0.6, 1.5)
        profile = lerp(lerp(layer.far_um, layer.near_um, near), layer.fovea_um, pit)
        thickness[layer.name] = profile * column((1 + 0.06 * cohort.patient.thickness) * own)
    return thickness


def _stack(cohort: Cohort, bruch: Array, thickness: dict[str, Array], disease: Lesions) -> dict[str, Array]:
    """Build from Bruch's membrane upwards; disease lifts, swells and thins on the way."""
    rpe_um = RPE.far_um * (1 + 0.9 * disease.membrane * np.clip(0.7 + disease.rough, 0, 2))
    sub_rpe = bruch - disease.below_rpe
    rpe = sub_rpe - rpe_um
    material = rpe - disease.material
    fluid = material - disease.fluid
    upwards = {"CHOROID": bruch, "SUB_RPE": sub_rpe, "RPE": rpe, "MATERIAL": material, "FLUID": fluid}
    top = fluid
    for layer in reversed(RETINA):
        top = top - _diseased(layer.name, thickness[layer.name], cohort, disease)
        upwards[layer.name] = top
    return dict(reversed(upwards.items()))


def _diseased(name: str, thickness: Array, cohort: Cohort, disease: Lesions) -> Array:
    """A layer's thickness once disease has had its way."""
    if name in SWELLING_SHARES:
        thickness = thickness + SWELLING_SHARES[name] * disease.swelling
    if name == "ONL":  # the soft layer evens out what happens below, so that the surface shows less of it
        acute = is_class(cohort, CNV) | is_class(cohort, DME)
        give = np.where(acute, 0.25, 0.80) * (0.8 + 0.4 * cohort.eye.absorption)
        thickness = np.maximum(thickness - column(give) * disease.lift, 22) + 0.7 * disease.dip
    if name in ("EZ", "OS"):
        thickness = thickness * (1 - 0.55 * disease.membrane)
    return thickness
