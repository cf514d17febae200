"""Networks of other structure: one skeleton for every block, a recurrent reader, and Transformers on patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from course_utils.models import blocks, tokens
from course_utils.models.blocks import MeanMaxPool, conv_block
from course_utils.models.core import Classifier, register
from course_utils.models.tokens import transformer_layer

BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "plain": blocks.plain,
    "residual": blocks.residual,
    "bottleneck": blocks.bottleneck,
    "inception": blocks.Inception,
    "squeeze_excite": blocks.squeeze_excite,
    "attention": tokens.attention,
    "transformer": tokens.transformer,
    "depth_aware": blocks.depth_aware,
}


@register("block_net")
class BlockNet(Classifier):
    """One skeleton for every block: a stem, so many `blocks` of one kind at each width, mean and max pooling.

    `blocks` is a number, or one for each width. A strided convolution leads from a width to the next and halves the
    picture. `options` go to the block; a `norm` among them is that of the whole network.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int,
        block: str = "residual",
        widths: Sequence[int] = (16, 32),
        blocks: int | Sequence[int] = 1,
        stride: int = 2,
        options: dict | None = None,
        dropout: float = 0.0,
    ):
        if block not in BLOCKS:
            raise ValueError(f"unknown block {block!r}: choose one of {', '.join(BLOCKS)}")
        norm = (options or {}).get("norm", "batch")
        counts = [blocks] * len(widths) if isinstance(blocks, int) else list(blocks)
        if len(counts) != len(widths):
            raise ValueError(f"{len(counts)} numbers of blocks for {len(widths)} widths: give one, or one for each")
        layers: list[nn.Module] = [conv_block(in_channels, widths[0], kernel=5, stride=stride, norm=norm)]
        for place, width in enumerate(widths):
            if place > 0:
                layers.append(conv_block(widths[place - 1], width, stride=2, norm=norm))
            layers += [BLOCKS[block](width, **(options or {})) for _ in range(counts[place])]
        super().__init__(nn.Sequential(*layers, MeanMaxPool()), 2 * widths[-1], classes, dropout)


class ColumnReader(nn.Module):
    """Read a picture from left to right, a column of pixels a step: (B, C, H, W) → mean and maximum of the states."""

    def __init__(self, kind: str, column: int, hidden: int):
        super().__init__()
        kinds = {"gru": nn.GRU, "lstm": nn.LSTM}
        if kind not in kinds:
            raise ValueError(f"unknown recurrent layer {kind!r}: choose gru or lstm")
        self.rnn = kinds[kind](column, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        columns = x.permute(0, 3, 1, 2).flatten(2)  # (B, W, C·H): W steps
        states, _ = self.rnn(columns)  # (B, W, hidden)
        return torch.cat([states.mean(1), states.amax(1)], dim=1)  # (B, 2 · hidden)


@register("scan_rnn")
class ScanRNN(Classifier):
    """A GRU (Cho et al. 2014, EMNLP) or LSTM (Hochreiter & Schmidhuber 1997) over the columns of a scan."""

    def __init__(self, in_channels, classes, size, kind: str = "gru", hidden: int = 64, dropout: float = 0.0):
        super().__init__(ColumnReader(kind, in_channels * size, hidden), 2 * hidden, classes, dropout)


class TokenReader(nn.Module):
    """A stem makes tokens of a picture, Transformer layers let them talk, their mean is the answer.

    stem: (B, C, S, S) → (B, D, h, w). Attention sees no order, so each of the h·w `places` gets a learned vector added.
    """

    def __init__(self, stem: nn.Module, width: int, places: int, layers: int, heads: int):
        super().__init__()
        self.stem = stem
        self.place = nn.Parameter(0.02 * torch.randn(1, places, width))
        self.layers = nn.Sequential(*(transformer_layer(width, heads) for _ in range(layers)), nn.LayerNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)  # (B, h·w, D)
        return self.layers(tokens + self.place).mean(1)  # (B, D)


@register("patch_transformer")
class PatchTransformer(Classifier):
    """A small vision Transformer (Dosovitskiy et al. 2021, ICLR): square patches are the words of the picture."""

    def __init__(self, in_channels, classes, size, patch=4, width=32, layers=2, heads=4, dropout=0.0):
        if size % patch:
            raise ValueError(f"patches of {patch} pixels do not tile a picture of {size}: choose a divisor of {size}")
        stem = nn.Conv2d(in_channels, width, patch, stride=patch)  # one dense layer, the same for each patch
        places = (size // patch) ** 2
        super().__init__(TokenReader(stem, width, places, layers, heads), width, classes, dropout)


@register("hybrid")
class Hybrid(Classifier):
    """Two convolutions see, a Transformer compares what they saw in different places."""

    def __init__(self, in_channels, classes, size, width=32, layers=2, heads=4, dropout=0.0):
        stem = nn.Sequential(conv_block(in_channels, width // 2, 5, stride=2), conv_block(width // 2, width, stride=2))
        places = ((size + 3) // 4) ** 2  # each stride rounds up
        super().__init__(TokenReader(stem, width, places, layers, heads), width, classes, dropout)
