"""Disease in spots: dark cysts of fluid and bright exudates of lipid, one by one.

The geometry only; `optics` paints them. A spot stays with its eye: every slice of every visit sees the same ones,
larger or smaller with the severity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .cohort import CNV, DME, NORMAL, Cohort
from .draws import Columns, stream
from .lesions import is_class
from .shapes import Array, lerp

CYSTS_MAX = 12
EXUDATES_MAX = 3
CYST_COUNT = (2, CYSTS_MAX)
CYST_GREY = (0.11, 0.22)

DepthOf = Callable[[str, Array, Array], Array]  # (tissue, rows of the scans, x in mm) -> depth of its top in µm


def spot_numbers(cohort: Cohort) -> Array:
    """Random numbers for the spots of each scan's eye, float64 (n, 15, 6): the same in every slice of that eye."""
    blocks, known = [], {}
    for patient, eye in zip(cohort.who.patient, cohort.who.eye, strict=True):
        if (patient, eye) not in known:
            rng = stream(cohort.seed, "spots", cohort.split, patient, eye)
            known[patient, eye] = rng.random((CYSTS_MAX + EXUDATES_MAX, 6))
        blocks.append(known[patient, eye])
    return np.array(blocks).reshape(-1, CYSTS_MAX + EXUDATES_MAX, 6)


def cysts(
    cohort: Cohort, traits: Columns, centre: Array, fovea: Array, layer_at: DepthOf
) -> Iterator[tuple[Array, Columns]]:
    """Cysts in turn, as (rows of the scans that have one, its shape there).

    `layer_at(name, rows, x_mm)` gives the depth (µm) of a layer's top. Shapes: x_mm, depth_um, half_width_mm,
    half_height_um, grey.
    """
    count = _cyst_count(cohort, traits.severity)
    numbers = spot_numbers(cohort.take(np.flatnonzero(count)))
    for k in range(int(count.max(initial=0))):
        rows = np.flatnonzero(count > k)
        u = numbers[count[count > 0] > k, k]
        yield rows, _cyst(cohort.take(rows), traits.severity[rows], centre[rows], fovea[rows], layer_at, rows, u)


def _cyst_count(cohort: Cohort, severity: Array) -> Array:
    eye = cohort.eye
    of_dme = np.round(lerp(*CYST_COUNT, np.clip(severity * (0.3 + eye.cyst_count), 0, 1)))
    of_cnv = np.where(eye.cyst_count < 0.30, 1 + np.round(3 * eye.cyst_count_other), 0)
    stray = eye.cyst_count < 0.04
    conditions = [is_class(cohort, DME), is_class(cohort, CNV), is_class(cohort, NORMAL)]
    return np.select(conditions, [of_dme, of_cnv, stray], 0).astype(int)


def _cyst(
    cohort: Cohort, severity: Array, centre: Array, fovea: Array, layer_at: DepthOf, rows: Array, u: Array
) -> Columns:
    """An ellipse in the inner or outer nuclear layer; the largest ones lie near the fovea."""
    spread = np.where(is_class(cohort, DME), 0.75, 0.45) * 1.3
    x = np.clip(centre + (u[:, 0] + u[:, 1] - 1) * spread + 0.03 * cohort.scan.lesion_x, -1.9, 1.9)
    inner = u[:, 2] < 0.42
    top = np.where(inner, layer_at("INL", rows, x), layer_at("ONL", rows, x))
    bottom = np.where(inner, layer_at("OPL", rows, x), layer_at("MYOID", rows, x))
    off_fovea = (x - fovea) / 0.6
    outer_height = lerp(22, 85, u[:, 4]) * (0.8 + 0.5 / (1 + off_fovea * off_fovea))
    height = np.where(inner, lerp(16, 48, u[:, 4]), outer_height) * (0.60 + 0.75 * severity)
    height = np.minimum(height, 0.70 * (bottom - top))
    return Columns(
        x_mm=x,
        depth_um=lerp(top, bottom, 0.35 + 0.3 * u[:, 3]),
        half_height_um=height,
        half_width_mm=np.clip(height / 1000 * lerp(1.6, 4.2, u[:, 5]), 0.05, 0.36),
        grey=lerp(*CYST_GREY, cohort.eye.cyst_grey),
    )


def exudates(cohort: Cohort, traits: Columns, centre: Array, layer_at: DepthOf) -> Iterator[tuple[Array, Columns]]:
    """Hard exudates in turn, as (rows, where): x_mm, depth_um. DME only."""
    count = np.round(4.8 * cohort.eye.exudate_count * traits.severity * is_class(cohort, DME)).astype(int)
    numbers = spot_numbers(cohort.take(np.flatnonzero(count)))
    for k in range(EXUDATES_MAX):
        rows = np.flatnonzero(count > k)
        u = numbers[count[count > 0] > k, CYSTS_MAX + k]
        x = np.clip(centre[rows] + (u[:, 0] - 0.5) * 2.2, -1.9, 1.9)
        depth = lerp(layer_at("OPL", rows, x), layer_at("MYOID", rows, x), u[:, 2])
        yield rows, Columns(x_mm=x, depth_um=depth)
