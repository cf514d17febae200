"""The networks of the course: small, named, and each able to say how it was built.

Every network splits in two: ``embed`` turns pictures (B, C, S, S) into one feature vector a picture (B, D), and
``head`` turns that vector into logits (B, K). The split lets later lessons reuse the features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

REGISTRY: dict[str, Callable[..., nn.Module]] = {}


def register(name: str):
    """Class decorator: make a network available to `build` under `name`."""

    def add(cls):
        REGISTRY[name] = cls
        return cls

    return add


def names() -> tuple[str, ...]:
    """Names that `build` knows."""
    return tuple(sorted(REGISTRY))


def build(name: str, *, in_channels: int = 1, classes: int = 4, size: int = 64, **kwargs) -> nn.Module:
    """Make a network by name; its `.config` rebuilds it: ``build(**model.config)``.

    Pictures are (B, in_channels, size, size) float32, logits (B, classes) float32.
    Raises ValueError for an unknown name or for an option the network does not have.
    """
    if name not in REGISTRY:
        raise ValueError(f"unknown model {name!r}: choose one of {', '.join(names())}")
    if in_channels < 1 or classes < 2 or size < 8:
        raise ValueError(f"needs in_channels >= 1, classes >= 2, size >= 8; got {in_channels}, {classes}, {size}")
    try:
        model = REGISTRY[name](in_channels=in_channels, classes=classes, size=size, **kwargs)
    except TypeError as error:
        raise ValueError(f"model {name!r} cannot be built with {kwargs}: {error}") from None
    model.to(memory_format=torch.channels_last)  # the same numbers, a third faster convolutions on a CPU
    model.config = {"name": name, "in_channels": in_channels, "classes": classes, "size": size, **kwargs}
    return model


class Classifier(nn.Module):
    """A feature extractor and a linear head; `config` is set by `build`."""

    config: dict

    def __init__(self, features: nn.Module, width: int, classes: int, dropout: float = 0.0):
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def embed(self, x: Tensor) -> Tensor:
        """Pictures (B, C, S, S) → features (B, D)."""
        return self.features(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.embed(x)))  # (B, K)


@register("logistic")
class Logistic(Classifier):
    """Multinomial logistic regression: one weight for each pixel and class."""

    def __init__(self, in_channels: int, classes: int, size: int, dropout: float = 0.0):
        super().__init__(nn.Flatten(), in_channels * size * size, classes, dropout)


@register("mlp")
class MLP(Classifier):
    """Dense layers on the flattened picture: free to use any pixel with any other, told nothing about neighbours."""

    def __init__(self, in_channels, classes, size, hidden: Sequence[int] = (256, 64), dropout: float = 0.0):
        layers: list[nn.Module] = [nn.Flatten()]
        width = in_channels * size * size
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
            width = units
        super().__init__(nn.Sequential(*layers), width, classes)


@register("first_cnn")
class FirstCNN(Classifier):
    """Convolution, ReLU, pool, three times; then flatten and a dense layer: the CNN of every first tutorial."""

    def __init__(self, in_channels, classes, size, widths: Sequence[int] = (8, 16, 32), hidden: int = 32, dropout=0.0):
        layers: list[nn.Module] = []
        channels = in_channels
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            channels = width
        side = size // 2 ** len(widths)
        if side < 1:
            raise ValueError(f"{len(widths)} poolings leave nothing of a {size}-pixel picture")
        layers += [nn.Flatten(), nn.Linear(channels * side * side, hidden), nn.ReLU()]
        super().__init__(nn.Sequential(*layers), hidden, classes, dropout)


class MeanMaxPool(nn.Module):
    """(B, C, H, W) → (B, 2C): the mean says how much of a feature there is, the maximum whether it is there at all."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)


def conv_block(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; stride 1 keeps height and width."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


@register("small_cnn")
class SmallCNN(Classifier):
    """The course's workhorse: a wide-eyed stem that halves the picture, two 3×3 stages, mean and max pooling.

    About 24 thousand weights. Global pooling forgets where a lesion lies and keeps what it looks like: fewer weights,
    less to memorise.
    """

    def __init__(self, in_channels, classes, size, widths: Sequence[int] = (16, 32, 64), dropout: float = 0.0):
        stem, *stages = widths
        layers: list[nn.Module] = [conv_block(in_channels, stem, kernel=5, stride=2)]  # (B, w0, S/2, S/2)
        for before, after in zip(widths, stages, strict=False):
            layers += [conv_block(before, after), nn.MaxPool2d(2)]  # halves height and width
        layers.append(MeanMaxPool())
        super().__init__(nn.Sequential(*layers), 2 * widths[-1], classes, dropout)


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


@register("small_resnet")
class SmallResNet(Classifier):
    """A residual network for small pictures: stem, one stage a width, each halving the picture, global mean."""

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int,
        widths: Sequence[int] = (16, 32, 64, 96),
        blocks: int = 1,
        dropout: float = 0.0,
    ):
        layers: list[nn.Module] = [conv_block(in_channels, widths[0], stride=2)]
        channels = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                layers.append(ResidualBlock(channels, width, stride=2 if stage > 0 and block == 0 else 1))
                channels = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(nn.Sequential(*layers), channels, classes, dropout)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_flops(model: nn.Module, example: Tensor) -> int:
    """Floating-point operations of one forward pass on `example` (B, C, S, S), as PyTorch's flop counter sees them."""
    from torch.utils.flop_counter import FlopCounterMode

    training = model.training
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.eval()(example)
    model.train(training)
    return counter.get_total_flops()


def cost_table(models: dict[str, nn.Module], *, in_channels: int = 1, size: int = 64) -> pd.DataFrame:
    """What each network costs for one picture: weights, megaflops and the megabytes its weights take."""
    example = torch.zeros(1, in_channels, size, size)
    rows = {
        label: {
            "parameters": count_parameters(model),
            "MFLOPs": count_flops(model, example) / 1e6,
            "MB": sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6,
        }
        for label, model in models.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
