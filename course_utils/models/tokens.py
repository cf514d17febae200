"""Self-attention and the Transformer encoder layer, on tokens (B, T, D) and, place by place, on pictures."""

from __future__ import annotations

import math

from torch import Tensor, nn

from course_utils.models.blocks import Skip


class SelfAttention(nn.Module):
    """Every token asks all tokens, and takes home a mean of what they hold, weighted by how well they answer.

    (B, T, D) → (B, T, D); softmax(q kᵀ / √d) v in each of `heads` slices of width d = D / heads (Vaswani et al. 2017,
    NeurIPS). ValueError when the heads do not share D evenly.
    """

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads cannot share a width of {width} evenly")
        self.heads = heads
        self.ask = nn.Linear(width, 3 * width)  # queries, keys and values in one product
        self.out = nn.Linear(width, width)

    def weights_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Who listens to whom (B, heads, T, T), rows sum to 1, and what there is to hear (B, heads, T, d)."""
        batch, length, width = x.shape
        split = self.ask(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # (B, heads, T, d) each
        return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1), v

    def forward(self, x: Tensor) -> Tensor:
        weights, values = self.weights_and_values(x)
        mixed = (weights @ values).transpose(1, 2)  # (B, T, heads, d)
        return self.out(mixed.reshape(x.shape))


class AsTokens(nn.Module):
    """Let a module of tokens work on a picture: each place of (B, C, H, W) is a token of C numbers."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)  # (B, H·W, C)
        return self.module(tokens).transpose(1, 2).reshape(x.shape)


def transformer_layer(width: int, heads: int = 4, hidden: int | None = None) -> nn.Sequential:
    """Attention, then a dense network on each token, each a correction to what was there: (B, T, D) → the same.

    Normalised before each part, as PyTorch's TransformerEncoderLayer with ``norm_first=True, activation="gelu"``.
    """
    hidden = hidden or 2 * width
    dense = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
    return nn.Sequential(Skip(nn.Sequential(nn.LayerNorm(width), SelfAttention(width, heads))), Skip(dense))


def attention(channels: int) -> AsTokens:
    """Self-attention between the places of a picture, as a correction; a block of `BLOCKS`."""
    return AsTokens(Skip(nn.Sequential(nn.LayerNorm(channels), SelfAttention(channels))))


def transformer(channels: int) -> AsTokens:
    """A Transformer encoder layer between the places of a picture; a block of `BLOCKS`."""
    return AsTokens(transformer_layer(channels))
