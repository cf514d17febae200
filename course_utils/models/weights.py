"""How weights start: three ways to draw them, and residual branches that begin silent."""

from __future__ import annotations

import math

import torch
from torch import nn

from course_utils.models.blocks import Skip


def initialize(model: nn.Module, scheme: str, std: float = 0.01) -> nn.Module:
    """Draw the weights of dense and convolutional layers anew, in place; biases become 0. Returns the model.

    Normal, with mean 0 and deviation: "gaussian", `std` everywhere; "xavier", √(2 / (fan in + fan out)) (Glorot &
    Bengio 2010, AISTATS); "he", √(2 / fan in), which makes up for the half that ReLU takes away (He et al. 2015, ICCV).
    ValueError for another scheme.
    """
    if scheme not in ("gaussian", "xavier", "he"):
        raise ValueError(f"unknown scheme {scheme!r}: choose gaussian, xavier or he")
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            window = layer.weight[0, 0].numel()  # 9 for 3×3, 1 for a dense layer
            fan_out, fan_in = window * layer.weight.shape[0], window * layer.weight.shape[1]
            deviations = {"gaussian": std, "xavier": math.sqrt(2 / (fan_in + fan_out)), "he": math.sqrt(2 / fan_in)}
            nn.init.normal_(layer.weight, 0.0, deviations[scheme])
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model


@torch.no_grad()
def zero_last_gains(model: nn.Module) -> nn.Module:
    """Set the last normalisation gain of every residual branch to 0, in place: each block starts as the identity.

    Goyal et al. 2017 (arXiv). A branch without normalisation is left alone: give its `Skip` a gain of 0 instead.
    """
    norms = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
    for block in model.modules():
        if isinstance(block, Skip):
            last = [layer for layer in block.branch.modules() if isinstance(layer, norms)][-1:]
            for layer in last:
                layer.weight.zero_()
    return model
