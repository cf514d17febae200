"""The OCT phantom: simulated retinal scans whose every fault is known. Never for clinical use.

Read it in this order, it is a small course on what a B-scan is and where its data come from:

    draws       one seed sequence a patient: why the numbers repeat
    cohort      patients, eyes, visits, slices
    anatomy     the layers of the retina, as geometry
    lesions     what CNV, DME and drusen do to it
    spots       cysts and exudates
    optics      from geometry to a grey picture
    instrument  noise floor, speckle, the device
    scans       all of these in one call
    table       the metadata; referral: the notes
    faults      what is wrong with the data, and the answer key
    dataset     train, validation, test
    stream      production, week by week, with drift
"""

from .anatomy import LAYERS
from .cohort import CLASSES, CLINICS, DEVICES
from .dataset import PhantomSplit, make_dataset
from .faults import MISREADING, OUTLIERS, Rates, paste_marker
from .scans import Scans, generate, unlabelled
from .stream import device_shares, production_stream
from .table import CLINIC_KM

__all__ = [
    "CLASSES",
    "CLINICS",
    "CLINIC_KM",
    "DEVICES",
    "LAYERS",
    "MISREADING",
    "OUTLIERS",
    "PhantomSplit",
    "Rates",
    "Scans",
    "device_shares",
    "generate",
    "make_dataset",
    "paste_marker",
    "production_stream",
    "unlabelled",
]
