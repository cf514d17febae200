"""Versioned model bundles: weights, ONNX file, metadata and model card in one sealed folder."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from course_utils import __version__, models
from course_utils.artifacts.export import export_onnx, onnx_session
from course_utils.artifacts.measure import parity
from course_utils.artifacts.sealed import BundleError, read_sealed, sha256, write_sealed
from course_utils.artifacts.weights import model_from, weights_bytes
from course_utils.env import atomic_path, file_lock, git_state, to_json, versions

BUNDLE_FILES = ("MODEL_CARD.md", "metadata.json", "model.onnx", "weights.safetensors")
TARGET = ("name", "unit", "mean", "std")  # of the number that a model answers with, in the place of `classes`
REQUIRED = ("name", "dataset", "simulated", "fingerprint", "classes", "mean", "std", "split_seed", "seed")


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

    `metadata` must hold what REQUIRED names, and may hold more (`card`: texts for the model card, by heading). A model
    that answers with a number has `target` instead of `classes`: its name and unit, and the mean and std that turn the
    answer z back into the unit, z · std + mean.
    `metrics`: numbers, or (value, low, high) intervals. `example`: normalised inputs (N, C, H, W), on which the ONNX
    file must agree with the model. BundleError when metadata is missing or they do not agree.
    """
    missing = _lacking(metadata)
    if missing:
        raise BundleError(f"the metadata lacks {', '.join(missing)}; a model whose origin is unknown is not bundled")
    _check_target(metadata)
    weights = weights_bytes(model)
    said = {**metadata, "metrics": dict(metrics), "thresholds": dict(thresholds), "model": model.config}
    stamp = sha256(weights + to_json(said).encode())[:8]
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
            write_sealed(temporary, files)
    return target


def _lacking(metadata: Mapping[str, Any]) -> list[str]:
    """What REQUIRED names and `metadata` lack; a `target` stands in for the classes."""
    instead = {"classes"} if "target" in metadata else set()
    return [name for name in REQUIRED if name not in metadata and name not in instead]


def _check_target(metadata: Mapping[str, Any]) -> None:
    """BundleError unless `target`, when there is one, turns answers into numbers with a name and a unit."""
    target = metadata.get("target")
    if target is None and "target" not in metadata:
        return
    try:
        fits = set(TARGET) <= set(target) and math.isfinite(target["mean"]) and 0 < target["std"] < math.inf
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits or "classes" in metadata:
        raise BundleError(
            f"the metadata's target is {target!r}; it must hold {', '.join(TARGET)}, numbers and std above 0, "
            "and stand in the place of classes"
        )


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
    files = read_sealed(path, BUNDLE_FILES)
    try:
        metadata = json.loads(files["metadata.json"])
        missing = {"version", "model", "metrics", "thresholds"} - metadata.keys()
    except (ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"metadata.json in {path.name} is not a JSON object; write the bundle again") from error
    missing |= {*_lacking(metadata)}
    if missing:
        raise BundleError(f"metadata.json in {path.name} lacks {', '.join(sorted(missing))}; write the bundle again")
    _check_target(metadata)
    model = model_from(files["weights.safetensors"], f"weights.safetensors in {path.name}")
    if json.loads(to_json(model.config)) != metadata["model"]:
        raise BundleError(f"metadata.json and weights.safetensors in {path.name} describe different models")
    return Bundle(model, metadata, files["model.onnx"], path)


def find_bundle(root: str | Path, wanted: Mapping[str, Any]) -> Bundle | None:
    """The newest whole bundle in the folder `root` whose metadata say all that `wanted` says; None when there is none.

    Damaged bundles are passed over: whoever needs one that cannot be found makes it again.
    """
    wanted, found = json.loads(to_json(dict(wanted))), []
    for path in sorted(Path(root).glob("model_v*")):
        try:
            bundle = load_bundle(path)
        except BundleError:
            continue
        if wanted == {name: bundle.metadata[name] for name in wanted.keys() & bundle.metadata.keys()}:
            found.append(bundle)
    return max(found, key=lambda bundle: (bundle.version[:15], bundle.metadata.get("created", "")), default=None)


def model_card(metadata: Mapping[str, Any]) -> str:
    """A model card as Markdown, with the headings of Mitchell et al., "Model Cards for Model Reporting", FAT* 2019."""
    data = f"{metadata['dataset']} (fingerprint {metadata['fingerprint']})"
    simulated = "The scans are simulated: no patient is behind them." if metadata["simulated"] else ""
    answers = "classes" if "target" in metadata else "target"  # the one that the model does not have
    details = {name: metadata.get(name, "not stated") for name in CARD_DETAILS if name != answers}
    texts = {
        "Model Details": _bullets(details),
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


CARD_DETAILS = (
    "version", "created", "model", "parameters", "classes", "target", "mean", "std", "seed", "course_utils", "git",
    "environment",
)  # fmt: skip


def _bullets(items: Mapping[str, Any]) -> str:
    texts = {name: value if isinstance(value, str) else to_json(value, indent=None) for name, value in items.items()}
    return "\n".join(f"- {name}: {text}" for name, text in texts.items())


def _with_interval(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 3:
        return f"{value[0]:.4g} ({value[1]:.4g} to {value[2]:.4g})"
    return value
