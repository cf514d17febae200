"""What a network is shown of a complex radar signal: (B, 3, T) complex → (B, 6, T) float32, three range bins."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 1e-4  # of the strongest bin's mean amplitude: below it the logarithm says nothing
FAINT = 0.1  # where an amplitude product this small halves the trust in its phase


def still_and_scaled(z: Tensor) -> Tensor:
    """Take the standing echo out of each bin and give the first bin, the most moving one, a mean power of one."""
    z = z - z.mean(2, keepdim=True)
    return z / z[:, :1].abs().square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-12)


def as_iq(z: Tensor) -> Tensor:
    """The signal as it comes, real parts and then imaginary parts: it turns with the distance to the chest."""
    z = still_and_scaled(z)
    return torch.cat([z.real, z.imag], dim=1).float()


def as_dphi(z: Tensor) -> Tensor:
    """How far the phase moves from frame to frame, and how strong the echo is: both the same at any distance.

    The product of a sample and the one before, conjugated, has the phase increment as its angle (pulse-pair Doppler).
    Faint samples have phases of pure noise; their increments are weighted down by |product| / (|product| + 0.1). The
    other three channels are 0.3 · log |product|. The first frame has no increment: 0, and the floor.
    """
    z = still_and_scaled(z)
    step = F.pad(torch.view_as_real(z[:, :, 1:] * z[:, :, :-1].conj()), (0, 0, 1, 0))  # (B, 3, T, 2)
    size = torch.linalg.vector_norm(step, dim=-1).clamp_min(FLOOR)
    increment = torch.atan2(step[..., 1], step[..., 0]) * (size / (size + FAINT))
    return torch.cat([increment, 0.3 * size.log()], dim=1).float()
