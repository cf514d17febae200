"""From geometry to a picture: paint the tissues and the spots in them, cast the shadows, hand over to the instrument.

Greys are those of the display, 0 to 1. A surface does not end at a pixel's edge: each pixel takes the share of it
that lies below the surface, so that edges are soft.
"""

from __future__ import annotations

import numpy as np

from .anatomy import DEPTH_UM, RETINA, RPE, WIDTH_MM, Anatomy
from .cohort import Cohort
from .draws import Columns, stream
from .instrument import detect, expose
from .shapes import Array, bump, column, lerp, plane, texture
from .spots import cysts, exudates

# greys on the display, 0..1; those of the layers stand with their thickness in `anatomy.LAYERS`
VITREOUS, FLUID, MATERIAL, SUB_RPE, CHOROID, SCLERA = 0.06, 0.10, 0.66, 0.50, 0.52, 0.40
CHOROID_GRID = (7, 9)  # rows, columns of its slow texture
VESSELS = 4
LUMEN_CHANCE, DOT_CHANCE, HYALOID_CHANCE = 0.60, 0.20, 0.22


def render(cohort: Cohort, traits: Columns, eye: Anatomy) -> Array:
    """uint8 (n, size, size): the scans of a cohort. Left eyes are mirrored."""
    picture = paint_tissues(cohort, eye)
    paint_lesion_spots(picture, cohort, traits, eye)
    cast_vessel_shadows(picture, cohort, eye)
    paint_lumens_and_dots(picture, cohort, eye)
    picture = paint_hyaloid(picture, cohort, eye)
    picture = expose(detect(picture, cohort, traits, eye), traits)
    scans = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return mirror_left(scans, cohort)


def mirror_left(values: Array, cohort: Cohort) -> Array:
    """Flip the last axis for left eyes: the nose lies on the other side."""
    left = cohort.who.left == 1
    values[left] = values[left][..., ::-1]
    return values


# ------------------------------------------------------------------ tissue


def rows_um(size: int) -> float:
    """Pixels per µm of depth."""
    return size / DEPTH_UM


def coverage(top_um: Array) -> Array:
    """How much of each pixel lies below a surface, 0..1, (n, size, size): soft edges instead of stairs."""
    size = top_um.shape[1]
    lower_edge = np.arange(1, size + 1, dtype=np.float32)[:, None]
    return np.clip(lower_edge - (top_um * np.float32(rows_um(size)))[:, None, :], 0, 1)


def tissue_greys(cohort: Cohort, eye: Anatomy) -> dict[str, Array]:
    """Grey of each tissue, (n, 1) or (n, size). Layers vary a little by patient; disease dims and roughens."""
    disease, own = eye.lesions, 1 + 0.045 * cohort.patient.layer_grey
    greys = {layer.name: layer.grey * column(own[:, k % 8]) for k, layer in enumerate(RETINA)}
    broken = 1 - 0.55 * disease.membrane * column(0.5 + 0.5 * cohort.eye.ellipsoid_loss)
    greys["EZ"], greys["OS"] = greys["EZ"] * broken, greys["OS"] * broken
    greys["FLUID"] = np.full((len(cohort), 1), FLUID, np.float32)
    greys["MATERIAL"] = MATERIAL * np.clip(1 + 0.25 * disease.rough_grey, 0.6, 1.3)
    greys["RPE"] = RPE.grey * column(own[:, 3]) * (1 - 0.30 * disease.membrane * np.clip(disease.rough, 0, 1.5))
    greys["SUB_RPE"] = SUB_RPE * (1 + 0.2 * disease.membrane * disease.rough)
    return greys


def paint_tissues(cohort: Cohort, eye: Anatomy) -> Array:
    """Greys of all tissues, float32 (n, size, size): each surface adds the step from the grey above it."""
    size = len(eye.x_mm)
    picture = np.full((len(cohort), size, size), VITREOUS, np.float32)
    above = np.float32(VITREOUS)
    for name, grey in tissue_greys(cohort, eye).items():
        picture += (grey - above)[:, None, :] * coverage(eye.tops[name])
        above = grey
    below_bruch = coverage(eye.tops["CHOROID"])
    return picture + (paint_choroid(cohort, eye) - picture) * below_bruch


def paint_choroid(cohort: Cohort, eye: Anatomy) -> Array:
    """Everything under Bruch's membrane: mottled, fading with depth into the sclera, dimmer under a raised RPE."""
    size = len(eye.x_mm)
    rows = np.arange(size, dtype=np.float32)[:, None]
    depth = np.maximum(rows - (eye.tops["CHOROID"] * np.float32(rows_um(size)))[:, None, :], 0)
    thickness = plane(eye.choroid_um * rows_um(size))
    fade = np.clip(1 - depth / (1.15 * thickness + 6 * size / 64), 0, 1)
    mottling = 1 + 0.32 * texture(choroid_grid(cohort), size)
    shadow = 1 - 0.35 * np.minimum(eye.lesions.below_rpe / 120, 1)
    return (0.35 * SCLERA + CHOROID * fade * mottling) * shadow[:, None, :]


def choroid_grid(cohort: Cohort) -> Array:
    """Coarse random grid of the choroid, one an eye, float32 (n, rows, columns)."""
    grids, known = [], {}
    for patient, eye in zip(cohort.who.patient, cohort.who.eye, strict=True):
        if (patient, eye) not in known:
            rng = stream(cohort.seed, "choroid", cohort.split, patient, eye)
            known[patient, eye] = rng.standard_normal(CHOROID_GRID, dtype=np.float32)
        grids.append(known[patient, eye])
    return np.array(grids)


# ------------------------------------------------------------------ spots


def offsets(x_mm: Array, depth_um: Array, size: int) -> tuple[Array, Array]:
    """Distance of every pixel centre from one point a scan, in pixels: across (n, 1, size) and down (n, size, 1)."""
    centres = np.arange(size, dtype=np.float32) + 0.5
    across = centres - column((x_mm / WIDTH_MM + 0.5) * size)
    down = centres - column(depth_um * rows_um(size))
    return across[:, None, :], down[:, :, None]


def blend(picture: Array, rows: Array, mask: Array, grey: Array | float, opacity: float = 1.0) -> None:
    """Mix `grey` into some scans where `mask` (0..1) says so, in place."""
    part = picture[rows]
    picture[rows] = part + (grey - part) * (mask * np.float32(opacity))


def paint_lesion_spots(picture: Array, cohort: Cohort, traits: Columns, eye: Anatomy) -> None:
    """Dark cysts, and bright exudates that cast a thin shadow."""
    size, centre = picture.shape[1], eye.lesions.centre_mm
    grain = size / 64  # spots are as large as two pixels of the 64-pixel scan, at any size
    for rows, cyst in cysts(cohort, traits, centre, eye.fovea_mm, eye.at):
        half_width = plane(cyst.half_width_mm / WIDTH_MM * size)
        half_height = plane(cyst.half_height_um * rows_um(size))
        across, down = offsets(cyst.x_mm, cyst.depth_um, size)
        across, down = across / half_width, down / half_height
        edge = np.minimum(np.minimum(half_width, half_height), 2)
        mask = np.clip((1.15 - (across * across + down * down)) * edge, 0, 1)
        blend(picture, rows, mask, plane(cyst.grey), 0.92)
    for rows, spot in exudates(cohort, traits, centre, eye.at):
        across, down = offsets(spot.x_mm, spot.depth_um, size)
        blend(picture, rows, _spot(across / grain, down / grain), 0.95, 0.75)
        shadow = np.clip(1.3 - np.abs(across / grain), 0, 1) * (down > grain)
        picture[rows] *= 1 - 0.22 * shadow


def _spot(across: Array, down: Array) -> Array:
    return np.clip(1.35 - (across * across / 0.9 + down * down / 0.7), 0, 1).astype(np.float32)


def cast_vessel_shadows(picture: Array, cohort: Cohort, eye: Anatomy) -> None:
    """Blood absorbs light: below a vessel of the inner retina the columns darken, by 10 to 48 %."""
    size = picture.shape[1]
    columns = np.arange(size, dtype=np.float32)
    light = np.ones((len(cohort), size), np.float32)
    for k in range(VESSELS):
        u = cohort.eye.vessel_shadow[:, k]
        x = 2 * cohort.eye.vessel_x[:, k] - 1 + 0.45 * cohort.patient.vessel_x[:, k] + 0.1 * cohort.scan.vessel_x
        middle = (np.clip(x, -1, 1) + 1) / 2 * size
        half_width = (0.6 + 1.5 * cohort.eye.vessel_width[:, k]) * 1.6 * size / 64
        strength = np.where(cohort.patient.vessel_present[:, k] < 0.62, 0.10 + 0.38 * u, 0)
        light *= 1 - bump((columns - column(middle)) / column(half_width)) * column(strength)
    begin = (eye.tops["GCL"] + eye.tops["IPL"]) * np.float32(0.5 * rows_um(size))
    below = np.clip((columns[:, None] - begin[:, None, :]) / np.float32(3 * size / 64), 0, 1)
    picture *= 1 - below * (1 - light[:, None, :])


def paint_lumens_and_dots(picture: Array, cohort: Cohort, eye: Anatomy) -> None:
    """Harmless look-alikes: vessels cut across (a dark disc like a cyst, but higher up), single bright dots."""
    scan = cohort.scan
    first = scan.lumen < LUMEN_CHANCE
    for k, present in enumerate((first, first & (scan.lumen_second < 0.4))):
        rows = np.flatnonzero(present)
        x = (0.04 + 0.92 * cohort.eye.lumen_x[rows, k] - 0.5) * WIDTH_MM
        share = 0.25 + 0.5 * scan.lumen_depth[rows, k]
        depth = lerp(eye.at("GCL", rows, x), eye.at("IPL", rows, x), share)
        _paint_lumen(picture, rows, x, depth, lerp(0.9, 1.9, scan.lumen_radius[rows, k]))
    rows = np.flatnonzero(scan.dot < DOT_CHANCE)
    x = (0.05 + 0.9 * scan.dot_x[rows] - 0.5) * WIDTH_MM
    depth = lerp(eye.at("IPL", rows, x), eye.at("MYOID", rows, x), scan.dot_depth[rows])
    across, down = offsets(x, depth, picture.shape[1])
    grain = picture.shape[1] / 64
    blend(picture, rows, _spot(across / grain, down / grain), 0.90, 0.70)


def _paint_lumen(picture: Array, rows: Array, x_mm: Array, depth_um: Array, radius: Array) -> None:
    across, down = offsets(x_mm, depth_um, picture.shape[1])
    reach = plane(radius * picture.shape[1] / 64)
    distance2 = (across * across / 2 + down * down) / (reach * reach)
    core = np.clip(1.2 - distance2, 0, 1)
    walls = np.clip(2.6 - distance2, 0, 1) * (np.abs(down) > 0.4 * np.abs(across)) - core
    blend(picture, rows, core, 0.20, 0.80)
    blend(picture, rows, np.clip(walls, 0, 1), 0.85, 0.45)


def paint_hyaloid(picture: Array, cohort: Cohort, eye: Anatomy) -> Array:
    """The skin of the vitreous, in some eyes: a faint line above the retina."""
    size, person = picture.shape[1], cohort.patient
    slope = 1 + 0.25 * eye.x_mm / (WIDTH_MM / 2) * column(2 * person.hyaloid_slope - 1)
    line_um = eye.tops["NFL"] - column(18 + 110 * person.hyaloid_gap) * slope
    centres = (np.arange(size, dtype=np.float32) + 0.5)[:, None]
    line = np.clip(1.1 - np.abs(centres - (line_um * np.float32(rows_um(size)))[:, None, :]), 0, 1)
    return np.maximum(picture, line * plane(np.where(person.hyaloid < HYALOID_CHANCE, 0.22, 0)))
