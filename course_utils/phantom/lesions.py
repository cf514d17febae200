"""Disease as geometry: how high, how wide and where, in micrometres along the scan.

DRUSEN   deposits under the pigment epithelium push it up into small mounds.
CNV      a choroidal neovascular membrane: new leaky vessels under and above the pigment epithelium raise it
         irregularly; the ellipsoid zone above breaks, clear fluid collects.
DME      diabetic macular oedema: the retina itself swells and fills with dark cysts; lipid leaves bright exudates.
Healthy eyes have harmless look-alikes of each: tiny mounds, a dip, now and then one cyst.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cohort import CNV, DME, DRUSEN, NORMAL, Cohort
from .draws import Columns
from .shapes import Array, bump, column, lerp, spline

MOUNDS_MAX = 6
DRUSEN_COUNT = (1, MOUNDS_MAX)
DRUSEN_HEIGHT_UM = (21, 90)
DRUSEN_WIDTH_MM = (0.110, 0.330)
CNV_HEIGHT_UM = (30, 280)
CNV_WIDTH_MM = (0.5, 1.5)
FLUID_HEIGHT_UM = (15, 130)
FLUID_CHANCE = {CNV: 0.62, DME: 0.15}
SWELLING_UM = (10, 260)
SWELLING_WIDTH_MM = (0.8, 2.2)
BENIGN_MOUNDS = 0.50  # share of eyes without drusen that have one or two tiny mounds
BENIGN_DIP = 0.15
LESION_SPREAD_MM = 0.34  # lesions scatter this much around the fovea


@dataclass(frozen=True)
class Lesions:
    """Heights in µm over the pixel columns, (n, size) each, unless said otherwise."""

    centre_mm: Array  # (n,) where the lesion is
    membrane: Array  # 0..1: the reach of a CNV
    detachment: Array  # below the pigment epithelium: CNV
    drusen: Array  # below the pigment epithelium: drusen and harmless mounds
    material: Array  # above the pigment epithelium: bright sub-retinal material of a CNV
    fluid: Array  # above that: clear sub-retinal fluid
    swelling: Array  # within the retina: DME
    dip: Array  # a harmless dent downwards
    rough: Array  # -1..1-ish: unevenness of the membrane
    rough_grey: Array  # ... and of its brightness
    visible: Array  # bool: columns a grader would call diseased

    @property
    def below_rpe(self) -> Array:
        """What lifts the pigment epithelium, µm."""
        return self.detachment + self.drusen

    @property
    def lift(self) -> Array:
        """What lifts the retina as a whole, µm."""
        return self.below_rpe + self.material + self.fluid


def is_class(cohort: Cohort, diagnosis: int) -> Array:
    """bool (n,): scans of that diagnosis."""
    return cohort.who.diagnosis == diagnosis


def lesions(cohort: Cohort, traits: Columns, fovea_mm: Array, x_mm: Array) -> Lesions:
    """All lesions of the scans; `fovea_mm` (n,) and the pixel columns `x_mm` (size,) in mm."""
    centre = np.clip(fovea_mm + LESION_SPREAD_MM * cohort.eye.lesion_x, -1.4, 1.4)
    rough = spline(cohort.eye.rough_base, len(x_mm))
    membrane, detachment, material, width = _membrane(cohort, traits, centre, x_mm, rough)
    fluid = _fluid(cohort, traits, centre, width, x_mm)
    drusen = _mounds(cohort, traits, x_mm)
    swelling = _swelling(cohort, traits, centre, x_mm)
    visible = (detachment + material > 10) | (fluid > 10) | (swelling > 25)
    visible |= (drusen > 15) & column(~is_class(cohort, NORMAL)).astype(bool)
    return Lesions(
        centre,
        membrane,
        detachment,
        drusen,
        material,
        fluid,
        swelling,
        dip=_dip(cohort, x_mm),
        rough=rough,
        rough_grey=spline(cohort.eye.rough_grey, len(x_mm)),
        visible=visible,
    )


def _membrane(cohort: Cohort, traits: Columns, centre: Array, x_mm: Array, rough: Array) -> tuple[Array, ...]:
    """CNV: one elevation, shared out between detachment (below the epithelium) and bright material (above)."""
    eye, severity = cohort.eye, traits.severity
    width = lerp(*CNV_WIDTH_MM, eye.elevation_width) * (0.55 + 0.6 * severity)
    height = lerp(*CNV_HEIGHT_UM, severity * np.clip(0.25 + eye.elevation_height, 0, 1.1))
    reach = bump((x_mm - column(centre)) / column(width)) * column(is_class(cohort, CNV))
    uneven = spline(eye.rough_material, len(x_mm))
    detachment = reach * column(height * (1 - 0.75 * eye.material_share)) * np.clip(1 + 0.55 * rough, 0.15, 2)
    material = reach * column(height * (0.15 + 0.75 * eye.material_share)) * np.clip(1 + 0.6 * uneven, 0, 2)
    return reach, detachment, material, width


def _fluid(cohort: Cohort, traits: Columns, centre: Array, membrane_width: Array, x_mm: Array) -> Array:
    """Clear fluid between retina and pigment epithelium: beside a membrane, or under the fovea in some DME."""
    eye, severity = cohort.eye, traits.severity
    cnv = is_class(cohort, CNV)
    chance = FLUID_CHANCE[CNV] * cnv + FLUID_CHANCE[DME] * is_class(cohort, DME)
    height = np.where(eye.fluid < chance, lerp(*FLUID_HEIGHT_UM, eye.fluid_height * severity), 0)
    where = centre + cnv * (eye.fluid_offset - 0.5) * 1.6 * membrane_width
    width = lerp(0.5, 1.2, eye.fluid_width) * (0.5 + 0.7 * severity)
    return bump((x_mm - column(where)) / column(width)) * column(height)


def _mounds(cohort: Cohort, traits: Columns, x_mm: Array) -> Array:
    """Drusen (1-6 mounds), a few small ones beside a CNV, and tiny harmless ones in healthy eyes."""
    eye, severity = cohort.eye, traits.severity
    drusen, normal = is_class(cohort, DRUSEN), is_class(cohort, NORMAL)
    count = _mound_count(cohort, severity)
    profile = np.zeros((len(cohort), len(x_mm)), np.float32)
    for k in range(MOUNDS_MAX):
        u = eye.mound_height[:, k]
        true_height = lerp(*DRUSEN_HEIGHT_UM, np.clip(u * (0.35 + 0.75 * severity), 0, 1))
        true_height *= 1 - 0.35 * (k % 2) * traits.slice_position * traits.slice_position
        height = np.where(drusen, true_height, np.where(normal, 8 + 20 * u, 15 + 30 * u))
        width = lerp(*DRUSEN_WIDTH_MM, eye.mound_width[:, k]) * np.where(normal, 0.8, 1.0)
        where = (2 * eye.mound_x[:, k] - 1) * 1.75 + 0.02 * cohort.scan.lesion_x
        mound = bump((x_mm - column(where)) / column(width)) * column(np.where(count > k, height, 0))
        profile = np.maximum(profile, mound)
    return profile


def _mound_count(cohort: Cohort, severity: Array) -> Array:
    eye = cohort.eye
    of_drusen = np.round(lerp(*DRUSEN_COUNT, eye.mound_count * (0.4 + 0.6 * severity)))
    benign = np.where(eye.benign_mounds < BENIGN_MOUNDS, 1 + (eye.benign_second < 0.3), 0)
    beside_cnv = np.where(eye.benign_second < 0.45, 2, 0)
    conditions = [is_class(cohort, DRUSEN), is_class(cohort, NORMAL), is_class(cohort, CNV)]
    return np.select(conditions, [of_drusen, benign, beside_cnv], 0)


def _swelling(cohort: Cohort, traits: Columns, centre: Array, x_mm: Array) -> Array:
    """DME: the retina thickens around the lesion."""
    eye = cohort.eye
    height = lerp(*SWELLING_UM, traits.severity * np.clip(0.35 + 0.9 * eye.swelling, 0, 1))
    width = lerp(*SWELLING_WIDTH_MM, eye.swelling_width)
    return bump((x_mm - column(centre)) / column(width)) * column(height * is_class(cohort, DME))


def _dip(cohort: Cohort, x_mm: Array) -> Array:
    eye = cohort.eye
    depth = np.where(eye.dip < BENIGN_DIP, 25 + 45 * eye.dip_depth, 0)
    return bump((x_mm - column(2 * eye.dip_x - 1)) / column(0.25 + 0.35 * eye.dip_width)) * column(depth)
