"""What a network costs, and what a convolution leaves of a picture."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import pandas as pd


def conv_output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Pixels a side that a convolution or a pooling leaves of `size` pixels: how often its window fits.

    ValueError when it does not fit once.
    """
    window = dilation * (kernel - 1) + 1  # with holes between its points when dilated
    if window > size + 2 * padding:
        raise ValueError(f"a window of {window} pixels does not fit into {size} pixels and {padding} on each side")
    return (size + 2 * padding - window) // stride + 1


def count_parameters(model: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_flops(model: nn.Module, example: Tensor) -> int:
    """Floating-point operations of one forward pass on `example` (B, C, S, S), as PyTorch's flop counter sees them."""
    from torch.utils.flop_counter import FlopCounterMode

    training = model.training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the switch below, about a kind of GPU
        plain = torch.backends.mkldnn.flags(enabled=False)  # its fused LSTM would pass by the counter unseen
        with torch.inference_mode(), plain, FlopCounterMode(display=False) as counter:
            model.eval()(example)
    model.train(training)
    return counter.get_total_flops()


def training_memory(model: nn.Module, example: Tensor) -> int:
    """Bytes that training keeps of `example` (B, C, S, S) until its gradient is computed; weights not counted."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    training, buffers = model.training, {name: value.clone() for name, value in model.named_buffers()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = model.train()(example)  # held: what it keeps must not be freed and counted twice
    del logits
    model.train(training)
    for name, value in model.named_buffers():
        value.copy_(buffers[name])  # running means must not remember the example
    return sum(kept.values())


def cost_table(models: dict[str, nn.Module], *, in_channels: int = 1, size: int = 64) -> pd.DataFrame:
    """What each network costs for one picture: weights, megaflops and the megabytes its weights take."""
    import pandas as pd  # here, so that processes which only answer or train stay small

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
