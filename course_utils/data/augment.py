"""Random variations of a whole batch at once: geometry in one resampling, then light, then noise; and mixing of pairs.

Every random number comes from the `torch.Generator` that is passed in (a CPU one, whatever device holds the images). A
call always draws the same number of them, so that switching one variation off leaves the others as they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

REFERENCE_SIZE = 64  # `shift` counts pixels of a scan this large


@dataclass(frozen=True)
class Augment:
    """Vary images (B, C, H, W) in [0, 1]; each number is the most that can happen, and 0 switches it off.

    flip, vflip: probability of a left-right and of an upside-down mirror; shift: pixels on a 64-pixel scan, and in
    proportion on others; rotate: degrees; scale: relative, height and width on their own; contrast: relative, about the
    scan's mean; brightness: grey level; gamma: the exponent is 1 ± gamma; noise: standard deviation of the grey level.
    What comes in from outside the scan is its reflection, so that no black border gives the variation away.
    Raises ValueError when a number is out of its range.
    """

    flip: float = 0.5
    vflip: float = 0.0
    shift: float = 5
    rotate: float = 8.0
    scale: float = 0.12
    contrast: float = 0.25
    brightness: float = 0.125
    noise: float = 0.06
    gamma: float = 0.3

    def __post_init__(self) -> None:
        most = {"shift": REFERENCE_SIZE, "rotate": 180, "scale": 0.9, "gamma": 0.99}
        for field in fields(self):
            value, top = getattr(self, field.name), most.get(field.name, 1)
            if not 0 <= value <= top:
                raise ValueError(f"Augment({field.name}={value}) is out of range; it must lie between 0 and {top}")

    @classmethod
    def geometric(cls) -> Augment:
        """The default recipe's flips, shifts, rotations and scalings alone."""
        return cls(contrast=0, brightness=0, noise=0, gamma=0)

    @classmethod
    def photometric(cls) -> Augment:
        """The default recipe's contrast, brightness, gamma and noise alone."""
        return cls(flip=0, vflip=0, shift=0, rotate=0, scale=0)

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A new float32 batch (B, C, H, W), about [0, 1] (noise may leave it a little)."""
        draws = torch.rand(11, len(images), generator=generator).to(images.device)  # (11, B): one row a variation
        if self.flip or self.vflip or self.shift or self.rotate or self.scale:
            images = self._move(images, draws[:7])
        return self._relight(images, draws[7:], generator)

    def _move(self, images: Tensor, draws: Tensor) -> Tensor:
        """One affine resampling for flips, shift, rotation and scale: out(x, y) = in(A (x, y) + t)."""
        height, width = images.shape[2:]
        spread = 2 * draws - 1  # (7, B) in [-1, 1]
        sign_x = torch.where(draws[0] < self.flip, -1.0, 1.0)
        sign_y = torch.where(draws[1] < self.vflip, -1.0, 1.0)
        angle = spread[2] * (self.rotate * math.pi / 180)
        zoom_x, zoom_y = 1 + spread[3] * self.scale, 1 + spread[4] * self.scale
        cos, sin = angle.cos(), angle.sin()
        shift_x, shift_y = spread[5:7] * (2 * self.shift / REFERENCE_SIZE)  # coordinates run from -1 to 1
        x, y = _centres(width, images.device), _centres(height, images.device)
        grid = images.new_empty(len(images), height, width, 2)  # written in place: half the time of F.affine_grid
        grid[..., 0] = _outer(sign_x * cos * zoom_x, x, -sign_x * sin * zoom_x * (height / width), y, shift_x)
        grid[..., 1] = _outer(sign_y * sin * zoom_y * (width / height), x, sign_y * cos * zoom_y, y, shift_y)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def _relight(self, images: Tensor, draws: Tensor, generator: torch.Generator | None) -> Tensor:
        contrast, brightness, gamma, noise = draws[:, :, None, None, None].unbind()  # (B, 1, 1, 1) each
        if self.contrast or self.brightness:
            mean = images.mean((1, 2, 3), keepdim=True)
            gain = 1 + (2 * contrast - 1) * self.contrast
            offset = mean * (1 - gain) + (2 * brightness - 1) * self.brightness
            images = torch.addcmul(offset, images, gain)
        if self.gamma:
            images = images.clamp(1e-3, 1).pow_(1 + (2 * gamma - 1) * self.gamma)
        if self.noise:
            images = torch.addcmul(images, _normal_like(images, generator), noise * self.noise)
        return images


@dataclass(frozen=True)
class MixUp:
    """Blend each scan and its label with another's; the share ~ Beta(alpha, alpha) (Zhang et al., ICLR 2018)."""

    alpha: float = 0.2

    def __post_init__(self) -> None:
        _check_alpha(self)

    def __call__(
        self, images: Tensor, targets: Tensor, classes: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mixed images (B, C, H, W) and soft targets (B, classes) from targets int64 (B,)."""
        partner, rng = _partners(images, generator)
        share = torch.from_numpy(rng.beta(self.alpha, self.alpha, len(images)).astype(np.float32)).to(images.device)
        mixed = torch.lerp(images[partner], images, share[:, None, None, None])
        return mixed, _soft(targets, targets[partner], share, classes)


@dataclass(frozen=True)
class CutMix:
    """Paste a rectangle of another scan, share the label by area ~ Beta(alpha, alpha) (Yun et al., ICCV 2019)."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check_alpha(self)

    def __call__(
        self, images: Tensor, targets: Tensor, classes: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mixed images (B, C, H, W) and soft targets (B, classes) from targets int64 (B,)."""
        partner, rng = _partners(images, generator)
        batch, _, height, width = images.shape
        side = np.sqrt(1 - rng.beta(self.alpha, self.alpha, batch))  # of the rectangle, relative
        rows, columns = (_inside(rng, side, length).to(images.device) for length in (height, width))
        pasted = rows[:, :, None] & columns[:, None, :]  # (B, H, W)
        share = 1 - pasted.float().mean((1, 2))  # as pasted, not as drawn: borders cut rectangles
        mixed = torch.where(pasted[:, None], images[partner], images)
        return mixed, _soft(targets, targets[partner], share, classes)


def _centres(length: int, device: torch.device) -> Tensor:
    """Pixel centres in the coordinates of `grid_sample`: -1 and 1 are the outer edges."""
    return (torch.arange(length, device=device) * 2 + 1) / length - 1


def _outer(a: Tensor, x: Tensor, b: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """a x + b y + c on the grid: (B, H, W) from a, b, c (B,), x (W,), y (H,)."""
    return (a[:, None] * x)[:, None, :] + (b[:, None] * y + c[:, None])[:, :, None]


def _normal_like(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise shaped like `images`; on a GPU drawn there, from a seed that the CPU generator gives."""
    if images.device.type == "cpu":
        return torch.randn(images.shape, generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    local = torch.Generator(images.device).manual_seed(seed)
    return torch.randn(images.shape, generator=local, device=images.device)


def _partners(images: Tensor, generator: torch.Generator | None) -> tuple[Tensor, np.random.Generator]:
    """A shuffled index (B,), and a NumPy generator: PyTorch's Beta distribution takes no generator of one's own."""
    partner = torch.randperm(len(images), generator=generator).to(images.device)
    return partner, np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))


def _inside(rng: np.random.Generator, side: np.ndarray, length: int) -> Tensor:
    """Which of `length` pixels lie in an interval of relative size `side` about a random centre: bool (B, length)."""
    centre = rng.uniform(0, length, len(side))
    pixel = np.arange(length) + 0.5
    return torch.from_numpy(np.abs(pixel - centre[:, None]) < side[:, None] * length / 2)


def _soft(first: Tensor, second: Tensor, share: Tensor, classes: int) -> Tensor:
    """share · one-hot(first) + (1 - share) · one-hot(second): float32 (B, classes)."""
    share = share[:, None]
    return share * F.one_hot(first, classes) + (1 - share) * F.one_hot(second, classes)


def _check_alpha(mix: MixUp | CutMix) -> None:
    if not mix.alpha > 0:
        raise ValueError(f"{type(mix).__name__}(alpha={mix.alpha}) is out of range; alpha must be above 0")
