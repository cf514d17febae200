"""Fewer bits for a model that has already been exported."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor

from course_utils.artifacts.export import onnx_session


class ScanFeed:
    """Hands the calibration one batch of normalised scans (N, C, H, W) after another, and None at the end."""

    def __init__(self, images: Tensor) -> None:
        self.batches = iter(images.split(64))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch as the model's input "x"."""
        batch = next(self.batches, None)
        return None if batch is None else {"x": batch.numpy()}


def quantize_int8(model: bytes, images: Tensor) -> bytes:
    """Static int8 of an ONNX file, its scales found on `images`: normalised *training* scans, float32 (N, C, H, W).

    Weights symmetric, a scale a channel; activations asymmetric, a scale a tensor (Jacob et al., CVPR 2018).
    Written with integer operators (QLinearConv, …), which store each scale once. ValueError when the images do not fit,
    BundleError when the file is no ONNX model.
    """
    needed, given = onnx_session(model).get_inputs()[0].shape[1:], list(images.shape[1:])
    if not len(images) or given != needed:
        raise ValueError(f"{len(images)} images of shape {given} cannot calibrate a model that needs {needed}")
    with TemporaryDirectory() as folder:
        whole, ready, small = (Path(folder) / name for name in ("whole.onnx", "ready.onnx", "small.onnx"))
        whole.write_bytes(model)
        quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready), str(small), ScanFeed(images.cpu()), quant_format=QuantFormat.QOperator, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return small.read_bytes()
