"""A simulated breathing radar: from the chirp to half-minute windows, and the rate without any learning.

Simulated, never for clinical use. Read it in this order:

    physics    the chirp's numbers; range kernel, phase and its limit
    people     what stays the same about somebody
    breathing  rate, shape, holds, chest and abdomen
    scene      heart, motion, other scatterers, the room, noise
    windows    half-minute windows with answers, and the data set
    stream     a recording of some minutes, for running estimates
    classic    the rate by signal processing
"""

from .classic import (
    autocorrelation_rate,
    band_pass,
    breathing_spectrum,
    circle_centre,
    displacement_mm,
    fft_rate,
    peak_rate,
)
from .people import Subject, draw_subjects
from .physics import (
    BINS,
    FRAME_RATE,
    FRAMES,
    PHASE_PER_MM,
    RANGE_STEP_MM,
    SECONDS,
    WAVEFORM_RATE,
    WAVELENGTH_MM,
    range_kernel,
    speed_limit,
)
from .scene import strongest_bins
from .stream import Recording, stream
from .windows import CONDITIONS, SHARES, Windows, make_dataset, simulate

__all__ = [
    "BINS",
    "CONDITIONS",
    "FRAMES",
    "FRAME_RATE",
    "PHASE_PER_MM",
    "RANGE_STEP_MM",
    "Recording",
    "SECONDS",
    "SHARES",
    "Subject",
    "WAVEFORM_RATE",
    "WAVELENGTH_MM",
    "Windows",
    "autocorrelation_rate",
    "band_pass",
    "breathing_spectrum",
    "circle_centre",
    "displacement_mm",
    "draw_subjects",
    "fft_rate",
    "make_dataset",
    "peak_rate",
    "range_kernel",
    "simulate",
    "speed_limit",
    "stream",
    "strongest_bins",
]
