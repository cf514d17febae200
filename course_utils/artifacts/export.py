"""Models as files that need none of our code: ONNX, opened by ONNX Runtime."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.artifacts.sealed import BundleError
from course_utils.env import atomic_path


def export_onnx(model: nn.Module, path: str | Path, example: Tensor) -> Path:
    """Write `model` as one ONNX file, input "x" (batch, C, H, W) float32, output "logits" (batch, K), any batch size.

    `example`: one or more inputs. The model is left as it is: a copy is exported, in evaluation mode, on the CPU.
    """
    twin = _exportable(copy.deepcopy(model).cpu().eval())
    inputs = example[:1].detach().cpu().repeat(2, *[1] * (example.ndim - 1))  # torch.export takes a batch of 1 as fixed
    with warnings.catch_warnings():  # the exporter's own deprecations; its errors still raise
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            twin,
            (inputs,),
            dynamo=True,
            dynamic_shapes=({0: "batch"},),
            input_names=["x"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(_without_traces(program.model_proto).SerializeToString())
    return Path(path)


class _Maximum(nn.Module):
    """(…, H, W) → (…, 1, 1), the largest value: what AdaptiveMaxPool2d(1) computes, in an operation ONNX knows."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((-2, -1), keepdim=True)


def _exportable(model: nn.Module) -> nn.Module:
    """`model` with what the exporter of an older PyTorch (2.11, Colab's) cannot translate put in other words."""
    for part in model.modules():
        for name, child in part.named_children():
            if isinstance(child, nn.AdaptiveMaxPool2d) and child.output_size in (1, (1, 1)):
                setattr(part, name, _Maximum())
    return model


def _without_traces(proto: Any) -> Any:
    """Drop what the exporter noted on the way: source paths of this machine, which fill half of a small model's file,
    and the shapes of values in between, over which quantisation trips once it has changed them."""
    for part in (proto.graph, *proto.functions):
        del part.value_info[:]
        for item in part.node:
            del item.metadata_props[:]
    for item in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del item.metadata_props[:]
    return proto


def onnx_session(source: str | Path | bytes, threads: int = 1) -> Any:
    """An onnxruntime.InferenceSession on the CPU for a file or its bytes; call ``session.run(None, {"x": images})``.

    BundleError when the file is no ONNX model or keeps weights in other files, whose paths could point anywhere.
    """
    import onnx
    import onnxruntime

    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    name = "the ONNX model" if isinstance(source, bytes) else str(source)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    try:
        proto = onnx.load_model_from_string(content)
        if any(item.data_location == onnx.TensorProto.EXTERNAL for item in proto.graph.initializer):
            raise BundleError(f"{name} keeps its weights in other files; export it again with external_data=False")
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except BundleError:
        raise
    except Exception as error:  # protobuf and onnxruntime have a dozen classes of their own for a damaged file
        raise BundleError(
            f"{name} cannot be read as an ONNX model ({type(error).__name__}); export it again"
        ) from error
