"""From the bytes of a picture to a decision, with nothing but what a bundle holds.

The service, the batch run and the lessons all answer through `Predictor`, so that they cannot answer differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from course_utils import metrics
from course_utils.artifacts import Bundle, BundleError
from course_utils.data.pictures import FORMATS, MAX_PIXELS, decode_image, read_image

REFER = "refer to a human"
NOTICE = "Not for clinical use: a person must decide."


class Predictor:
    """A bundle's model with its preparation, calibration and decision rule; may be shared by threads.

    BundleError when the bundle's parts do not fit together: better at the start than in the middle of a request.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.metadata, self.version = bundle.metadata, bundle.version
        if "classes" not in bundle.metadata:
            what = bundle.metadata["target"]["name"]
            raise BundleError(
                f"{self.version} answers with a number ({what}), not with classes; the service needs a model of classes"
            )
        self.classes = tuple(bundle.metadata["classes"])
        self.session = bundle.session(threads)
        self.channels, self.size = _input_shape(self.session, self.version)
        self.mean, self.std = (_per_channel(bundle.metadata, name, self.channels) for name in ("mean", "std"))
        self._read_thresholds(bundle.metadata["thresholds"])
        self._try_out()

    def _read_thresholds(self, thresholds: dict[str, Any]) -> None:
        """The rule: prices, where the bundle has them, else the least probability with which the model may answer."""
        asks = "review_cost" in thresholds or "min_confidence" in thresholds
        self.decisions = (*thresholds.get("decisions", self.classes), *([REFER] if asks else []))
        try:
            self.temperature = float(thresholds.get("temperature", 1.0))
            self.min_confidence = float(thresholds.get("min_confidence", 0.0))
            self.cost = np.array(thresholds["cost"], dtype=float) if "cost" in thresholds else None  # (K, D)
            if self.cost is not None and "review_cost" in thresholds:
                self.cost = np.hstack([self.cost, np.full((len(self.cost), 1), float(thresholds["review_cost"]))])
        except (TypeError, ValueError) as error:
            raise BundleError(f"{self.version} has thresholds that are no numbers ({error}); write it again") from error
        if not 0 < self.temperature < np.inf:
            raise BundleError(f"{self.version} has the temperature {self.temperature}; it must be above 0")
        shape = (len(self.classes), len(self.decisions))
        if self.cost is not None and (self.cost.shape != shape or not np.isfinite(self.cost).all()):
            raise BundleError(f"{self.version} has cost of shape {self.cost.shape}; {shape} finite numbers are needed")

    def _try_out(self) -> None:
        """Answer one grey picture, so that what cannot work is refused now."""
        shape = (1, self.size, self.size) + (() if self.channels == 1 else (self.channels,))
        logits = self.logits(np.full(shape, 128, dtype=np.uint8))
        if logits.shape != (1, len(self.classes)) or not np.isfinite(logits).all():
            raise BundleError(f"{self.version} answers {logits.shape} for {len(self.classes)} classes; export it again")

    def decode(
        self, content: bytes, name: str, *, max_pixels: int = MAX_PIXELS, formats: Sequence[str] = FORMATS
    ) -> np.ndarray:
        """The bytes of a picture file → uint8 (H, W), or (H, W, 3) for a colour model. DataError in one sentence."""
        return decode_image(content, name, self.size, self.channels, max_pixels=max_pixels, formats=formats)

    def read(self, file: Path) -> np.ndarray:
        """A picture file → what `decode` returns."""
        return read_image(file, self.size, self.channels)

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, H, W) or (N, H, W, C) → normalised float32 (N, C, H, W), as in training."""
        images = np.asarray(images)
        if images.ndim == 3:
            images = images[..., None]
        wanted = (self.size, self.size, self.channels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted or not len(images):
            got = f"{images.dtype} {images.shape}"
            raise ValueError(f"images are {got}; uint8 (N, {self.size}, {self.size}[, {self.channels}]) is needed")
        return ((images.transpose(0, 3, 1, 2) / 255.0 - self.mean) / self.std).astype(np.float32)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits float32 (N, K) of images uint8 (N, H, W[, C])."""
        return self.session.run(None, {"x": np.ascontiguousarray(self.prepare(images))})[0]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities float64 (N, K)."""
        return metrics.softmax(logits, self.temperature)

    def decide(self, probs: np.ndarray) -> list[str]:
        """The cheapest decision for each row of probs (N, K); asking a person is one of them, at its price."""
        if self.cost is not None:
            return [self.decisions[index] for index in metrics.cheapest_decisions(probs, self.cost)]
        sure = probs.max(axis=1) >= self.min_confidence
        return [self.classes[index] if certain else REFER for index, certain in zip(probs.argmax(axis=1), sure)]

    def answers(self, logits: np.ndarray) -> list[dict[str, Any]]:
        """For each row of logits (N, K): label, decision, probabilities by class, logits as a list."""
        probs = self.probabilities(logits)
        rows = zip(probs, logits, self.decide(probs), strict=True)
        return [
            {
                "label": self.classes[int(p.argmax())],
                "decision": decision,
                "probabilities": dict(zip(self.classes, p.tolist(), strict=True)),
                "logits": row.tolist(),
            }
            for p, row, decision in rows
        ]

    def predict(self, images: np.ndarray) -> list[dict[str, Any]]:
        """The `answers` for images uint8 (N, H, W[, C])."""
        return self.answers(self.logits(images))


def _input_shape(session: Any, version: str) -> tuple[int, int]:
    """Channels and edge that the ONNX file wants."""
    shape = session.get_inputs()[0].shape
    if len(shape) != 4 or not all(isinstance(n, int) for n in shape[1:]) or shape[1] not in (1, 3):
        raise BundleError(f"{version} takes inputs of shape {shape}; a service needs (batch, 1 or 3, size, size)")
    if shape[2] != shape[3]:
        raise BundleError(f"{version} takes pictures of {shape[2]}×{shape[3]} pixels; they must be square")
    return shape[1], shape[2]


def _per_channel(metadata: dict[str, Any], name: str, channels: int) -> np.ndarray:
    """mean or std as float64 (C, 1, 1), from one number or one a channel."""
    try:
        values = np.broadcast_to(np.ravel(np.array(metadata[name], dtype=float)), channels).reshape(-1, 1, 1)
    except (TypeError, ValueError) as error:
        raise BundleError(f"the bundle's {name} is {metadata[name]!r}; {channels} numbers are needed") from error
    if not np.isfinite(values).all() or (name == "std" and not (values > 0).all()):
        raise BundleError(f"the bundle's {name} is {metadata[name]!r}; it must be finite, and std above 0")
    return values
