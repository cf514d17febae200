"""What leaves the lab: ONNX files with proved parity, measured latency, and versioned model bundles.

Only formats that hold numbers, not code, are written or read: safetensors, ONNX, JSON, CSV, Markdown. A bundle's
hashes tell damage and careless edits; they cannot tell a forger who rewrites them too, which is why loading runs no
code of the bundle's and compares sizes before it allocates anything.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil
import struct
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from course_utils import __version__, models
from course_utils.env import atomic_path, file_lock, git_state, runs_dir, to_json, versions

MANIFEST = "MANIFEST.json"
BUNDLE_FILES = ("MODEL_CARD.md", "metadata.json", "model.onnx", "weights.safetensors")
CACHE_FILES = ("history.csv", "weights.safetensors")
MAX_BYTES = 512 * 2**20  # of one file in a bundle; the course's models stay below a megabyte
LOCK_SECONDS = 6 * 3600.0  # a full-profile training may take hours; whoever needs its model waits
REQUIRED = ("name", "dataset", "simulated", "fingerprint", "classes", "mean", "std", "split_seed", "seed")


class BundleError(ValueError):
    """A bundle that is not whole, not as it was written, or not what it says it is."""


# --- ONNX ------------------------------------------------------------------------------------------------------------
def export_onnx(model: nn.Module, path: str | Path, example: Tensor) -> Path:
    """Write `model` as one ONNX file, input "x" (batch, C, H, W) float32, output "logits" (batch, K), any batch size.

    `example`: one or more inputs. The model is left as it is: a copy is exported, in evaluation mode, on the CPU.
    """
    twin = copy.deepcopy(model).cpu().eval()
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


def parity(model: nn.Module, onnx_path: str | Path | bytes, images: Tensor, batch_size: int = 256) -> dict[str, float]:
    """Compare a model with its ONNX file on the same normalised images (N, C, H, W) float32.

    `max_difference`: largest absolute difference of two logits. `equal_decisions`: share of images, 0 to 1, that both
    put in the same class.
    """
    session, twin = onnx_session(onnx_path), copy.deepcopy(model).cpu().eval()
    largest, equal = 0.0, 0
    for batch in images.detach().cpu().split(batch_size):
        with torch.inference_mode():
            ours = twin(batch).numpy()  # (B, K)
        theirs = session.run(None, {"x": np.ascontiguousarray(batch.numpy())})[0]
        largest = float(np.maximum(largest, np.abs(ours - theirs).max()))  # NaN stays NaN
        equal += int((ours.argmax(1) == theirs.argmax(1)).sum())
    return {"max_difference": largest, "equal_decisions": equal / len(images)}


def latency(fn: Callable[[Any], Any], inputs: Any, repeats: int = 100, warmup: int = 10) -> dict[str, float]:
    """Time ``fn(inputs)``: p50_ms and p99_ms of one call, and throughput in items a second, `len(inputs)` items a call.

    The first calls are not counted: they allocate memory and fill caches. CUDA work is waited for.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; time at least one call")
    on_gpu = isinstance(inputs, Tensor) and inputs.is_cuda
    seconds = []
    for _ in range(warmup + repeats):
        start = time.perf_counter()
        fn(inputs)
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    p50, p99 = np.percentile(seconds[warmup:], [50, 99]) * 1e3
    throughput = len(inputs) * repeats / sum(seconds[warmup:])
    return {"batch": len(inputs), "p50_ms": float(p50), "p99_ms": float(p99), "throughput": float(throughput)}


# --- weights and hashes ----------------------------------------------------------------------------------------------
def _weights_bytes(model: nn.Module) -> bytes:
    from safetensors.torch import save

    if not isinstance(getattr(model, "config", None), dict):
        raise ValueError(f"the {type(model).__name__} has no .config to rebuild it from; make it with models.build")
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    return save(tensors, metadata={"config": to_json(model.config, indent=None)})


def _model_from(content: bytes, name: str) -> nn.Module:
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


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files and a manifest with the size and SHA-256 of each."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    listed = {name: {"bytes": len(content), "sha256": _sha256(content)} for name, content in files.items()}
    (folder / MANIFEST).write_text(to_json({"format": 1, "files": listed}) + "\n", encoding="utf-8")


def _read_files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read exactly the files `names`, each as its manifest says: the bytes that were checked are the bytes returned."""
    if not folder.is_dir():
        raise BundleError(f"no bundle at {folder}; pass the folder that save_bundle returned")
    found = {entry.name: entry for entry in folder.iterdir()}
    for name in sorted({MANIFEST, *names} | found.keys()):
        if name not in found:
            raise BundleError(f"{folder.name} lacks {name}; copy the whole bundle again")
        if name not in (MANIFEST, *names):
            raise BundleError(f"{folder.name} holds {name}, which is no part of a bundle; copy the bundle again")
        if found[name].is_symlink() or not found[name].is_file():
            raise BundleError(f"{name} in {folder.name} is a link or a folder; a bundle holds plain files only")
        if found[name].stat().st_size > MAX_BYTES:
            raise BundleError(f"{name} in {folder.name} is larger than {MAX_BYTES // 2**20} MB, more than is ever read")
    listed = _read_manifest(found[MANIFEST], names)
    return {name: _checked(found[name], listed[name]) for name in names}


def _read_manifest(path: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        listed = {name: {"bytes": item["bytes"], "sha256": item["sha256"]} for name, item in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} is not a manifest ({type(error).__name__}); copy the bundle again") from error
    for name in sorted(listed.keys() ^ set(names)):  # also what would lead out of the folder
        what = "lists" if name in listed else "does not list"
        raise BundleError(f"{path} {what} {name!r}; a bundle's manifest lists exactly {', '.join(names)}")
    return listed


def _checked(path: Path, listed: Mapping[str, Any]) -> bytes:
    content = path.read_bytes()
    if len(content) != listed["bytes"] or _sha256(content) != listed["sha256"]:
        raise BundleError(
            f"{path} is not as it was written: its size or SHA-256 differs from {MANIFEST}; copy it again"
        )
    return content


# --- the bundle ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Bundle:
    """A verified bundle: the model (on the CPU, in evaluation mode), metadata, the ONNX file's bytes, the folder."""

    model: nn.Module
    metadata: dict[str, Any]
    onnx: bytes
    path: Path

    @property
    def version(self) -> str:
        """`model_vYYYYMMDD-<hash>`, as it was saved, whatever the folder is called now."""
        return self.metadata["version"]

    def session(self, threads: int = 1) -> Any:
        """An onnxruntime session on the very bytes whose hash was verified."""
        return onnx_session(self.onnx, threads)


def save_bundle(
    model: nn.Module,
    *,
    root: str | Path,
    metadata: Mapping[str, Any],
    metrics: Mapping[str, Any],
    thresholds: Mapping[str, Any],
    example: Tensor,
    today: date | None = None,
) -> Path:
    """Write `root`/model_vYYYYMMDD-<hash>/ in one step and return it; the same content on the same day is one bundle.

    `metadata` must hold what REQUIRED names, and may hold more (`card`: texts for the model card, by heading).
    `metrics`: numbers, or (value, low, high) intervals. `example`: normalised inputs (N, C, H, W), on which the ONNX
    file must agree with the model. BundleError when metadata is missing or they do not agree.
    """
    missing = [name for name in REQUIRED if name not in metadata]
    if missing:
        raise BundleError(f"the metadata lacks {', '.join(missing)}; a model whose origin is unknown is not bundled")
    weights = _weights_bytes(model)
    said = {**metadata, "metrics": dict(metrics), "thresholds": dict(thresholds), "model": model.config}
    stamp = _sha256(weights + to_json(said).encode())[:8]
    target = Path(root) / f"model_v{today or date.today():%Y%m%d}-{stamp}"
    with file_lock(Path(root) / ".bundles.lock"):
        if target.exists():
            try:
                return load_bundle(target).path
            except BundleError:  # a damaged copy of what is about to be written
                shutil.rmtree(target)
        with atomic_path(target) as temporary:
            complete = json.loads(to_json(said | _provenance(model, target.name)))
            files = {"weights.safetensors": weights, "model.onnx": _verified_onnx(model, example)}
            files["metadata.json"] = (to_json(complete) + "\n").encode()
            files["MODEL_CARD.md"] = model_card(complete).encode()
            _write_files(temporary, files)
    return target


def _provenance(model: nn.Module, version: str) -> dict[str, Any]:
    table = versions()
    installed = table[table["version"] != "not installed"]
    return {
        "version": version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "course_utils": __version__,
        "torch": torch.__version__,
        "git": git_state(),
        "parameters": models.count_parameters(model),
        "environment": dict(zip(installed["tool"], installed["version"])),
    }


def _verified_onnx(model: nn.Module, example: Tensor) -> bytes:
    with TemporaryDirectory() as folder:
        content = export_onnx(model, Path(folder) / "model.onnx", example).read_bytes()
    difference = parity(model, content, example)["max_difference"]
    if not difference <= 1e-3:  # NaN is refused as well
        raise BundleError(f"the ONNX file differs from the model by {difference:.2g} in a logit; nothing was written")
    return content


def load_bundle(path: str | Path) -> Bundle:
    """Verify a bundle, then load it. No code of the bundle's is run, and nothing is loaded before every hash agrees.

    BundleError, naming the file, when one is missing, extra, a link, too large, changed, or does not rebuild a model.
    """
    path = Path(path)
    files = _read_files(path, BUNDLE_FILES)
    try:
        metadata = json.loads(files["metadata.json"])
        missing = {*REQUIRED, "version", "model", "metrics", "thresholds"} - metadata.keys()
    except (ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"metadata.json in {path.name} is not a JSON object; write the bundle again") from error
    if missing:
        raise BundleError(f"metadata.json in {path.name} lacks {', '.join(sorted(missing))}; write the bundle again")
    model = _model_from(files["weights.safetensors"], f"weights.safetensors in {path.name}")
    if json.loads(to_json(model.config)) != metadata["model"]:
        raise BundleError(f"metadata.json and weights.safetensors in {path.name} describe different models")
    return Bundle(model, metadata, files["model.onnx"], path)


def model_card(metadata: Mapping[str, Any]) -> str:
    """A model card as Markdown, with the headings of Mitchell et al., "Model Cards for Model Reporting", FAT* 2019."""
    data = f"{metadata['dataset']} (fingerprint {metadata['fingerprint']})"
    simulated = "The scans are simulated: no patient is behind them." if metadata["simulated"] else ""
    texts = {
        "Model Details": _bullets({name: metadata.get(name, "not stated") for name in CARD_DETAILS}),
        "Intended Use": "Learning how a model is made, measured and kept. **Not for clinical use.**",
        "Factors": "Device, clinic and age; results are reported by slice where the data set has these columns.",
        "Metrics": f"Decision thresholds: {to_json(metadata['thresholds'], indent=None)}.",
        "Evaluation Data": f"The test split of {data}, kept shut until the evaluation. {simulated}",
        "Training Data": f"The training split of {data}, split seed {metadata['split_seed']}. {simulated}",
        "Quantitative Analyses": _bullets({name: _with_interval(value) for name, value in metadata["metrics"].items()}),
        "Ethical Considerations": "A wrong answer about an eye can cost sight: a person must decide.",
        "Caveats and Recommendations": "Another device, clinic or population needs a new evaluation.",
    } | dict(metadata.get("card", {}))
    body = "\n\n".join(f"## {heading}\n\n{text.strip()}" for heading, text in texts.items())
    return f"# {metadata['name']}: {metadata['version']}\n\n{body}\n"


CARD_DETAILS = ("version", "created", "model", "parameters", "classes", "mean", "std", "seed", "course_utils", "torch")


def _bullets(items: Mapping[str, Any]) -> str:
    texts = {name: value if isinstance(value, str) else to_json(value, indent=None) for name, value in items.items()}
    return "\n".join(f"- {name}: {text}" for name, text in texts.items())


def _with_interval(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 3:
        return f"{value[0]:.4g} ({value[1]:.4g} to {value[2]:.4g})"
    return value


# --- models a lesson needs from an earlier one -----------------------------------------------------------------------
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


def cached_model(
    name: str,
    config: Mapping[str, Any],
    make: Callable[[], tuple[nn.Module, pd.DataFrame | None]],
    root: str | Path | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """The model that `make` gives for `config`, from `root`/<name>-<hash of config>/ when an earlier run left it there.

    `config` holds everything the result depends on, as far as JSON can say it. Two processes that ask at once make it
    once; a damaged copy is made again. Either way the model comes in evaluation mode on the CPU and the random states
    are left alone, so what follows does not depend on which it was. Returns the model and a dict: `loaded`, `seconds`
    (of this call), `history` (DataFrame; empty when `make` gives None), `path`. Prints one line saying which.
    """
    root = Path(root) if root is not None else runs_dir() / "models"
    folder = root / f"{name}-{_sha256(to_json([__version__, config]).encode())[:12]}"
    start = time.perf_counter()
    with file_lock(folder.with_name(f"{folder.name}.lock"), timeout=LOCK_SECONDS), random_states_kept():
        damage = ""
        if folder.exists():
            try:
                model, history = _load_cached(folder)
                print(f"{name}: loaded from {folder.name}")
                return model, _info(True, start, history, folder)
            except BundleError:
                damage = ", in place of a damaged copy"
                shutil.rmtree(folder)
        model, history = make()
        with atomic_path(folder) as temporary:
            text = pd.DataFrame(history if history is not None else {"epoch": []}).to_csv(index=False)
            _write_files(temporary, {"weights.safetensors": _weights_bytes(model), "history.csv": text.encode()})
        model, history = _load_cached(folder)  # what later calls will get, bit for bit
        info = _info(False, start, history, folder)
        print(f"{name}: made in {info['seconds']:.0f} s and kept in {folder.name}{damage}")
        return model, info


def _info(loaded: bool, start: float, history: pd.DataFrame, folder: Path) -> dict[str, Any]:
    return {"loaded": loaded, "seconds": time.perf_counter() - start, "history": history, "path": folder}


def _load_cached(folder: Path) -> tuple[nn.Module, pd.DataFrame]:
    files = _read_files(folder, CACHE_FILES)
    history = pd.read_csv(BytesIO(files["history.csv"]))
    return _model_from(files["weights.safetensors"], f"weights.safetensors in {folder.name}"), history
