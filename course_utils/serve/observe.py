"""What the service counts, for Prometheus (https://prometheus.io) to collect at /metrics.

The labels of every series come from lists of our own: a client who invents paths or methods invents no new series.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from course_utils.serve.predictor import Predictor

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # seconds


class Counts:
    """The counts of one app, in a registry of its own: two apps in one process do not mix."""

    def __init__(self, predictor: Predictor, paths: Iterable[str]) -> None:
        self.registry, self.paths = CollectorRegistry(), frozenset(paths)
        kept = {"registry": self.registry}
        labels = ["path", "method", "status"]
        self.requests = Counter("triage_requests", "Requests answered", labels, **kept)
        self.seconds = Histogram("triage_request_seconds", "From request to answer", ["path"], buckets=BUCKETS, **kept)
        self.predictions = Counter("triage_predictions", "Scans answered", ["label", "decision"], **kept)
        self.confidence = Histogram(
            "triage_confidence", "Largest calibrated probability", buckets=[i / 10 for i in range(1, 11)], **kept
        )
        self.in_flight = Gauge("triage_predictions_in_flight", "Requests to /predict not yet answered", **kept)
        about = {"version": predictor.version, "process": str(os.getpid())}
        Info("triage_model", "Which model answers", **kept).info(about)
        ProcessCollector(registry=self.registry)  # memory, CPU seconds and open files of this process, on Linux

    def record(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        path = path if path in self.paths else "other"
        method = method if method in METHODS else "other"
        self.requests.labels(path, method, status).inc()
        self.seconds.labels(path).observe(seconds)

    def record_answers(self, answers: Iterable[Mapping[str, Any]]) -> None:
        """Count the scans of one request."""
        for answer in answers:
            self.predictions.labels(answer["label"], answer["decision"]).inc()
            self.confidence.observe(max(answer["probabilities"].values()))

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)
