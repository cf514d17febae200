"""What the radar can see: the chirp's numbers, and what follows from them for range and phase.

The numbers are those of TI's vital-signs profile for the xWR6843, a 60 GHz FMCW radar (toolbox, lab0026). A chirp
sweeps its frequency; the echo of a target comes back late, so mixing it with the chirp that is being sent gives a beat
whose frequency says how far the target is and whose phase says where it is to a hundredth of a millimetre.
"""

from __future__ import annotations

import numpy as np

LIGHT_MM_PER_S = 299_792_458e3
START_HZ = 60.25e9
SLOPE_HZ_PER_S = 65e12
SAMPLES, SAMPLING_HZ = 200, 4e6  # of one chirp

BANDWIDTH_HZ = SLOPE_HZ_PER_S * SAMPLES / SAMPLING_HZ  # 3.25 GHz
CENTRE_HZ = START_HZ + BANDWIDTH_HZ / 2  # the phase of a range bin belongs to the middle of the sweep
WAVELENGTH_MM = LIGHT_MM_PER_S / CENTRE_HZ  # 4.845
RANGE_STEP_MM = LIGHT_MM_PER_S / (2 * BANDWIDTH_HZ)  # 46.1, the width of a range bin
PHASE_PER_MM = 4 * np.pi / WAVELENGTH_MM  # 2.594 rad: the wave goes there and back

FRAME_RATE = 20.0  # frames/s
SECONDS = 30  # of a window
FRAMES = 600  # of a window
BINS = 16  # range bins around the person that are kept
WAVEFORM_RATE = 5.0  # samples/s of the lung volume


def speed_limit(frame_rate: float = FRAME_RATE) -> float:
    """The fastest motion whose phase can be unwrapped: a quarter of a wavelength (half a turn) a frame, in mm/s."""
    if not frame_rate > 0:
        raise ValueError(f"the frame rate is {frame_rate}; it must be above 0 frames/s")
    return frame_rate * WAVELENGTH_MM / 4


def range_kernel(offset: np.ndarray) -> np.ndarray:
    """How much of a target is seen `offset` range bins away from it: sinc(u) / (1 - u²), float32, 1 at 0.

    This is the Fourier transform of the Hann window the chirp's samples are weighted with. It is real because the phase
    is referred to the centre of the sweep; the main lobe reaches two bins to each side.
    """
    offset = np.asarray(offset, np.float32)
    pole = 1 - offset * offset
    near = np.abs(pole) < 1e-3  # one bin away both parts vanish; their ratio is 1/2
    return np.where(near, np.float32(0.5), np.sinc(offset) / np.where(near, np.float32(1), pole)).astype(np.float32)


def echo(amplitude: np.ndarray | float, range_bins: float, nearer_mm: np.ndarray, phase: float) -> np.ndarray:
    """The range profile complex64 (F, BINS) of one target at `range_bins` that has come `nearer_mm` (F,) at each frame.

    X[n, r] = a[n] · exp(j(φ + 4πR[n]/λ)) · W(R[n]/ΔR - r), R = R₀ - nearer: coming nearer turns the phase back.
    """
    nearer = np.asarray(nearer_mm, np.float32)
    turning = (amplitude * np.exp(1j * (phase - np.float32(PHASE_PER_MM) * nearer))).astype(np.complex64)
    position = np.float32(range_bins) - nearer / np.float32(RANGE_STEP_MM)
    return turning[:, None] * range_kernel(position[:, None] - np.arange(BINS, dtype=np.float32))
