"""The classic route: PyTorch's `DataLoader`, one scan at a time through `torchvision.transforms.v2`.

Any transform, data larger than memory and worker processes fit here; `Batches` is several times faster for scans that
fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, WeightedRandomSampler

from course_utils.data.augment import REFERENCE_SIZE, Augment
from course_utils.data.core import ScanDataset


def make_loader(
    dataset: ScanDataset,
    batch_size: int = 64,
    shuffle: bool = False,
    workers: int = 0,
    *,
    augment: Augment | None = None,
    reflect: bool = True,
    mean: float | Sequence[float] = 0.3,
    std: float | Sequence[float] = 0.2,
    seed: int = 0,
    drop_last: bool = False,
    pin_memory: bool = False,
    sample_weights: Sequence[float] | Tensor | None = None,
) -> DataLoader:
    """A DataLoader of (images float32 (B, C, H, W) normalised, targets int64 (B,)), each scan varied on its own.

    `seed` fixes the order, and the variations of worker processes; without workers those follow PyTorch's global seed.
    reflect=False is cheaper and leaves black borders where a scan was moved. sample_weights (N,) draw scans with
    replacement, in proportion.
    """
    transform = per_sample_transform(augment, size=dataset.images.shape[-1], reflect=reflect, mean=mean, std=std)
    scans = ScanDataset(
        dataset.images, dataset.labels, dataset.classes, meta=dataset.meta, groups=dataset.groups, transform=transform
    )
    generator = torch.Generator().manual_seed(seed)
    sampler = None
    if sample_weights is not None:
        sampler = WeightedRandomSampler(
            torch.as_tensor(sample_weights, dtype=torch.float64), len(scans), generator=generator
        )
    return DataLoader(
        scans,
        batch_size,
        shuffle=shuffle and sampler is None,
        sampler=sampler,
        num_workers=workers,
        drop_last=drop_last,
        pin_memory=pin_memory,
        generator=generator,
    )


def per_sample_transform(
    augment: Augment | None,
    *,
    size: int,
    reflect: bool = True,
    mean: float | Sequence[float] = 0.3,
    std: float | Sequence[float] = 0.2,
) -> Callable[[Tensor], Tensor]:
    """`Augment`'s variations from torchvision's parts, for a scan float32 (C, H, W) in [0, 1], then normalised."""
    from torchvision.transforms import v2

    steps = [] if augment is None else _geometry(augment, size, reflect) + _light(augment)
    mean, std = ([value] if isinstance(value, int | float) else list(value) for value in (mean, std))
    return v2.Compose([*steps, v2.Normalize(mean, std)])


def _geometry(augment: Augment, size: int, reflect: bool) -> list[Callable[[Tensor], Tensor]]:
    from torchvision.transforms import v2

    steps = [v2.RandomHorizontalFlip(augment.flip)] if augment.flip else []
    steps += [v2.RandomVerticalFlip(augment.vflip)] if augment.vflip else []
    if not (augment.shift or augment.rotate or augment.scale):
        return steps
    margin = size // 4 if reflect else 0
    shift = augment.shift / REFERENCE_SIZE * size / (size + 2 * margin)
    affine = v2.RandomAffine(
        augment.rotate,
        translate=(shift, shift),
        scale=(1 - augment.scale, 1 + augment.scale),
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    # RandomAffine fills with one grey value; a reflected margin, cropped off again, keeps the border out of sight.
    return steps + ([v2.Pad(margin, padding_mode="reflect"), affine, v2.CenterCrop(size)] if reflect else [affine])


def _light(augment: Augment) -> list[Callable[[Tensor], Tensor]]:
    from torchvision.transforms import v2

    jitter = v2.ColorJitter(brightness=augment.brightness, contrast=augment.contrast)
    steps = [jitter] if augment.brightness or augment.contrast else []
    steps += [RandomGamma(augment.gamma)] if augment.gamma else []
    return steps + ([RandomNoise(augment.noise)] if augment.noise else [])


class RandomGamma(nn.Module):
    """Raise grey values to a power drawn from 1 ± `most`."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def forward(self, image: Tensor) -> Tensor:
        """Image (C, H, W) in [0, 1] in and out."""
        power = 1 + (2 * torch.rand(()) - 1) * self.most
        return image.clamp(1e-3, 1) ** power


class RandomNoise(nn.Module):
    """Add normal noise whose standard deviation is drawn from 0 to `most`."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def forward(self, image: Tensor) -> Tensor:
        """Image (C, H, W) in and out."""
        return image + torch.randn_like(image) * (torch.rand(()) * self.most)
