"""The model as a program for phones and small boards: ExecuTorch with the XNNPACK kernels, one scan a call.

ExecuTorch and torchao are the optional extra `device`, imported only where they are used.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def export_executorch(model: nn.Module, example: Tensor, calibration: Tensor | None = None) -> bytes:
    """Translate `model` ahead of time into an ExecuTorch program (.pte) that takes one scan, float32 (1, C, H, W).

    `example`: one or more inputs; only their shape matters. `calibration`: normalised scans (N, C, H, W) make the
    program int8 (symmetric, a scale a channel for the weights), its scales found on them. The model is left as it is.
    ImportError naming the extra when ExecuTorch is missing.
    """
    twin = copy.deepcopy(model).cpu().eval().to(memory_format=torch.contiguous_format)  # XNNPACK reorders by itself
    one = (torch.zeros_like(example[:1], device="cpu", memory_format=torch.contiguous_format),)
    with _quiet(), _device_extra():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = torch.export.export(twin, one)
        if calibration is not None:
            program = torch.export.export(_calibrated(program.module(), calibration), one)
        return bytes(to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)


def _calibrated(graph: nn.Module, scans: Tensor) -> nn.Module:
    """`graph` with 8-bit integers in place of floats, their scales found on `scans`, one scan at a time."""
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    settings = xnnpack_quantizer.get_symmetric_quantization_config(is_per_channel=True)
    watched = prepare_pt2e(graph, xnnpack_quantizer.XNNPACKQuantizer().set_global(settings))
    with torch.no_grad():
        for scan in scans.cpu().split(1):
            watched(scan.contiguous())
    return convert_pt2e(watched)


def executorch_runner(program: bytes) -> Callable[[Any], np.ndarray]:
    """Load an ExecuTorch program: a function from normalised scans, float32 (N, C, H, W), to logits float32 (N, K).

    The scans go through one by one, as they would on a device. ImportError when ExecuTorch is missing.
    """
    with _quiet(), _device_extra():
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(program).load_method("forward")
        method.execute([torch.zeros(method.metadata.input_tensor_meta(0).sizes())])  # it looks at the CPU only now

    def run(scans: Any) -> np.ndarray:
        batch = torch.as_tensor(scans, dtype=torch.float32).contiguous()
        return np.concatenate([method.execute([scan])[0].numpy().copy() for scan in batch.split(1)])

    return run


@contextmanager
def _device_extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        missing = error.name or "executorch"
        raise ImportError(f'{missing} is not installed; get it with: pip install "course-utils[device]"') from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to themselves what ExecuTorch says on the way: deprecations, log lines, its native code's search of the CPU.

    What goes wrong is an exception and comes through.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
