"""The networks of the first lessons: a linear one, a dense one, and convolutional ones of growing sense."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from course_utils.models.blocks import MeanMaxPool, ResidualBlock, conv_block
from course_utils.models.core import Classifier, register


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
