"""Blocks that can take each other's place: (B, C, H, W) in, the same shape out.

Each is made by a call with the number of channels. Those that let places talk to each other are in `tokens`; `BLOCKS`
in `families` has them all by name.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class MeanMaxPool(nn.Module):
    """(B, C, H, W) → (B, 2C): the mean says how much of a feature there is, the maximum whether it is there at all."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)


def conv_block(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, norm: str = "batch"
) -> nn.Sequential:
    """Convolution, normalisation, ReLU; stride 1 keeps height and width."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=norm == "none"),
        normalization(norm, out_channels),
        nn.ReLU(inplace=True),
    )


class ResidualBlock(nn.Module):
    """x + F(x), F two 3×3 convolutions: the block learns a correction (He et al. 2016, CVPR)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.first = conv_block(in_channels, out_channels, stride=stride)
        self.second = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)
        )
        same = in_channels == out_channels and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))  # (B, out, H/stride, W/stride)


# --- depth, and what makes it trainable -------------------------------------------------------------------------------
class Skip(nn.Module):
    """x + F(x): the block learns a correction. With `gain`, x + g · F(x), g a learned number that starts there.

    A gain that starts at 0 makes the block start as the identity (De & Smith 2020, NeurIPS: SkipInit).
    """

    def __init__(self, branch: nn.Module, gain: float | None = None):
        super().__init__()
        self.branch = branch
        self.gain = None if gain is None else nn.Parameter(torch.tensor(float(gain)))

    def forward(self, x: Tensor) -> Tensor:
        change = self.branch(x)
        return x + (change if self.gain is None else self.gain * change)


def normalization(kind: str, channels: int) -> nn.Module:
    """A layer that brings activations (B, C, H, W) to mean 0 and variance 1, then scales and shifts each channel.

    What shares a mean: "batch", a channel in all pictures of the batch; "layer", all channels of one picture; "group",
    a quarter of the channels of one picture; "none" leaves all as it is. ValueError for another kind.
    """
    if kind not in ("batch", "layer", "group", "none"):
        raise ValueError(f"unknown normalization {kind!r}: choose batch, layer, group or none")
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    groups = {"layer": 1, "group": math.gcd(4, channels)}
    return nn.Identity() if kind == "none" else nn.GroupNorm(groups[kind], channels)


def two_convs(channels: int, norm: str = "batch", order: str = "post") -> nn.Sequential:
    """Two 3×3 convolutions with normalisation and ReLU: after each convolution ("post") or before it ("pre").

    "post" ends without a ReLU, which belongs after the sum (He et al. 2016, CVPR); "pre" needs none there (ECCV 2016).
    """
    first, second = (nn.Conv2d(channels, channels, 3, padding=1, bias=norm == "none") for _ in range(2))
    norms = [normalization(norm, channels) for _ in range(2)]
    if order == "pre":
        return nn.Sequential(norms[0], nn.ReLU(), first, norms[1], nn.ReLU(), second)
    return nn.Sequential(first, norms[0], nn.ReLU(), second, norms[1])


def plain(channels: int, norm: str = "batch") -> nn.Sequential:
    """Two convolutions in a row, no shortcut."""
    return nn.Sequential(*two_convs(channels, norm), nn.ReLU())


def residual(channels: int, norm: str = "batch", order: str = "post", gain: float | None = None) -> nn.Module:
    """The same two convolutions as a correction to x."""
    block = Skip(two_convs(channels, norm, order), gain)
    return nn.Sequential(block, nn.ReLU()) if order == "post" else block


# --- other shapes of block --------------------------------------------------------------------------------------------
def bottleneck(channels: int, squeeze: int = 4) -> nn.Sequential:
    """Residual block whose 3×3 convolution works on a quarter of the channels (He et al. 2016, CVPR)."""
    inner = max(1, channels // squeeze)
    back = nn.Sequential(nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels))
    return nn.Sequential(Skip(nn.Sequential(conv_block(channels, inner, 1), conv_block(inner, inner), back)), nn.ReLU())


class Inception(nn.Module):
    """Four windows at once, 1×1, 3×3, 5×5 and a pooling, a quarter of the channels each (Szegedy et al. 2015, CVPR)."""

    def __init__(self, channels: int):
        super().__init__()
        if channels % 4:
            raise ValueError(f"an Inception block splits its channels in four; {channels} cannot be")
        part = channels // 4
        self.branches = nn.ModuleList(
            [
                conv_block(channels, part, 1),
                nn.Sequential(conv_block(channels, part, 1), conv_block(part, part, 3)),
                nn.Sequential(conv_block(channels, part, 1), conv_block(part, part, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv_block(channels, part, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)  # (B, 4 · C/4, H, W)


class SqueezeExcite(nn.Module):
    """Turn each channel up or down by what the whole picture holds (Hu et al. 2018, CVPR): (B, C, H, W) → the same."""

    def __init__(self, channels: int, ratio: int = 4):
        super().__init__()
        inner = max(1, channels // ratio)
        self.gate = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]  # squeeze to (B, C), excite


def squeeze_excite(channels: int) -> nn.Sequential:
    """Residual block whose correction passes a squeeze-and-excitation gate."""
    return nn.Sequential(Skip(nn.Sequential(two_convs(channels), SqueezeExcite(channels))), nn.ReLU())


# --- a layer for this data --------------------------------------------------------------------------------------------
class DepthConv(nn.Module):
    """A 3×3 convolution that also knows how deep it is: each channel adds a learned slope times the row.

    Rows run from -1 (top) to 1 (bottom) whatever the height. Slopes start at 0, so that it starts as a convolution.
    After Liu et al. 2018 (NeurIPS, CoordConv), who give a network the coordinates as channels.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.slope = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        row = torch.linspace(-1, 1, x.shape[2], device=x.device)  # (H,)
        return self.conv(x) + self.slope[:, None, None] * row[:, None]  # (B, C, H, W) + (C, H, 1)


def depth_aware(channels: int) -> nn.Sequential:
    """Residual block whose first convolution is depth-aware."""
    branch = two_convs(channels)
    branch[0] = DepthConv(channels)
    return nn.Sequential(Skip(branch), nn.ReLU())
