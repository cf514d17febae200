"""Networks that read a signal: (B, C, T) in, an answer (B, K) out; `size` is T, the number of time steps.

All start by going from twenty to five or fewer steps a second, and all but `series_mlp` work at any length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_utils.models.core import Classifier, register
from course_utils.models.tokens import transformer_layer


def series_conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution over time, normalisation, ReLU: (B, C, T) → (B, D, ⌈T / stride⌉)."""
    conv = nn.Conv1d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(out_channels), nn.ReLU())


class SeriesPool(nn.Module):
    """(B, C, T) → (B, 2C): mean and maximum over time, so that it does not matter when a thing happened."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(2), x.amax(2)], dim=1)


class SeriesBlock(nn.Module):
    """x + F(x), F twice normalisation, ReLU and a convolution over time (He et al. 2016, ECCV): (B, C, T) → the same.

    `dilation` leaves gaps between the steps a kernel looks at: a longer view for the same weights.
    """

    def __init__(self, channels: int, kernel: int = 3, dilation: int = 1):
        super().__init__()
        padding = dilation * (kernel // 2)
        self.branch = nn.Sequential(
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel, padding=padding, dilation=dilation),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


@register("series_mlp")
class SeriesMLP(Classifier):
    """Dense layers on the signal averaged to five steps a second: a weight of its own for every moment."""

    def __init__(self, in_channels: int, classes: int, size: int, hidden: int = 64, dropout: float = 0.2):
        dense = [nn.Linear(in_channels * (size // 4), hidden), nn.ReLU(), nn.Dropout(dropout)]
        features = nn.Sequential(nn.AvgPool1d(4), nn.Flatten(), *dense, nn.Linear(hidden, hidden), nn.ReLU())
        super().__init__(features, hidden, classes)


@register("series_cnn")
class SeriesCNN(Classifier):
    """Five convolutions over time, each wider and at half the speed, then mean and maximum over time."""

    def __init__(self, in_channels: int, classes: int, size: int, width: int = 32, hidden: int = 64):
        layers, before = [], in_channels
        for after, kernel, stride in ((1, 9, 2), (1, 7, 2), (2, 5, 2), (2, 5, 2), (2, 5, 1)):
            layers.append(series_conv(before, after * width, kernel, stride))
            before = after * width
        features = nn.Sequential(*layers, SeriesPool(), nn.Linear(2 * before, hidden), nn.ReLU())
        super().__init__(features, hidden, classes)


class RecurrentReader(nn.Module):
    """Read a signal forwards and backwards: (B, C, T) → mean and maximum of the states over time, (B, 4 · hidden)."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], channels: int, hidden: int):
        super().__init__()
        self.rnn = kind(channels, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.rnn(x.transpose(1, 2))  # (B, T, 2 · hidden)
        return torch.cat([states.mean(1), states.amax(1)], dim=1)


class SeriesRNN(Classifier):
    """Two convolutions down to 2.5 steps a second, then a recurrent layer of `kind` in both directions."""

    kind: type[nn.GRU] | type[nn.LSTM]

    def __init__(self, in_channels: int, classes: int, size: int, hidden: int = 48):
        stem = nn.Sequential(series_conv(in_channels, 32, 9, stride=4), series_conv(32, 32, 5, stride=2))
        reader = RecurrentReader(self.kind, 32, hidden)
        super().__init__(nn.Sequential(stem, reader, nn.Linear(4 * hidden, 64), nn.ReLU()), 64, classes)


@register("series_gru")
class SeriesGRU(SeriesRNN):
    """With a GRU (Cho et al. 2014, EMNLP)."""

    kind = nn.GRU


@register("series_lstm")
class SeriesLSTM(SeriesRNN):
    """With an LSTM (Hochreiter & Schmidhuber 1997, Neural Computation)."""

    kind = nn.LSTM


class SeriesTokens(nn.Module):
    """Two convolutions make a token of each eight steps, Transformer layers compare them, their mean is the answer.

    Attention sees no order, so each of the T / 8 places gets a learned vector added: (B, C, T) → (B, width).
    """

    def __init__(self, in_channels: int, size: int, width: int, layers: int, heads: int):
        super().__init__()
        slower = nn.Conv1d(32, width, 5, stride=4, padding=2)
        self.stem = nn.Sequential(nn.Conv1d(in_channels, 32, 9, stride=2, padding=4), nn.ReLU(), slower)
        places = ((size + 1) // 2 + 3) // 4  # each stride rounds up
        self.place = nn.Parameter(0.02 * torch.randn(1, places, width))
        self.layers = nn.Sequential(*(transformer_layer(width, heads) for _ in range(layers)), nn.LayerNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x).transpose(1, 2)  # (B, T / 8, width)
        return self.layers(tokens + self.place[:, : tokens.shape[1]]).mean(1)


@register("series_transformer")
class SeriesTransformer(Classifier):
    """A small Transformer (Vaswani et al. 2017, NeurIPS) on pieces of the signal."""

    def __init__(self, in_channels, classes, size, width: int = 56, layers: int = 2, heads: int = 4):
        reader = SeriesTokens(in_channels, size, width, layers, heads)
        super().__init__(nn.Sequential(reader, nn.Linear(width, 64), nn.ReLU()), 64, classes)


@register("series_resnet")
class SeriesResNet(Classifier):
    """Residual blocks at five steps a second, dilated ones at half of it, and a second head half-way: a waveform.

    `forward` answers (B, K); `both` answers (B, K) and, at a quarter of the input's rate, a signal (B, T / 4).
    """

    def __init__(self, in_channels: int, classes: int, size: int, width: int = 24, hidden: int = 64):
        stem = [series_conv(in_channels, width, 9, stride=2), nn.Conv1d(width, width, 7, stride=2, padding=3)]
        early = nn.Sequential(*stem, SeriesBlock(width, 5), SeriesBlock(width, 5, dilation=3))
        wide = 2 * width
        late = nn.Sequential(
            nn.Conv1d(width, wide, 5, stride=2, padding=2),
            *(SeriesBlock(wide, 3, dilation) for dilation in (1, 2, 4)),
            nn.BatchNorm1d(wide),
            nn.ReLU(),
            SeriesPool(),
            nn.Linear(2 * wide, hidden),
            nn.ReLU(),
        )
        super().__init__(nn.Sequential(early, late), hidden, classes)
        self.wave = nn.Sequential(nn.ReLU(), nn.Conv1d(width, 1, 1))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The answer (B, K) and the waveform (B, T / 4), from one pass."""
        early, late = self.features
        seen = early(x)  # (B, width, T / 4)
        return self.head(late(seen)), self.wave(seen)[:, 0]
