"""A model as bytes and back: safetensors, with the config that rebuilds it in the header. Numbers only, no code."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from course_utils import models
from course_utils.artifacts.sealed import BundleError
from course_utils.env import to_json


def weights_bytes(model: nn.Module) -> bytes:
    from safetensors.torch import save

    if not isinstance(getattr(model, "config", None), dict):
        raise ValueError(f"the {type(model).__name__} has no .config to rebuild it from; make it with models.build")
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    return save(tensors, metadata={"config": to_json(model.config, indent=None)})


def model_from(content: bytes, name: str) -> nn.Module:
    """Rebuild a model from the bytes of a weights.safetensors whose header holds its config."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
        (length,) = struct.unpack("<Q", content[:8])
        config = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["config"])
        with torch.device("meta"):  # shapes without memory: a forged config cannot ask for all of it
            wanted = {key: tensor.shape for key, tensor in models.build(**config).state_dict().items()}
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]  # PyTorch appends its own call stack
        raise BundleError(f"{name} does not rebuild a model ({reason})") from error
    if wanted != {key: tensor.shape for key, tensor in tensors.items()}:
        raise BundleError(f"{name} holds other weights than its config needs; write the model again")
    with random_states_kept():
        model = models.build(**config)
    model.load_state_dict(tensors)
    return model.eval()


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Leave the random states of Python, NumPy and PyTorch as they were before the block."""
    python, array = random.getstate(), np.random.get_state()
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # asking would wake the others
    try:
        with torch.random.fork_rng(devices=cards):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
