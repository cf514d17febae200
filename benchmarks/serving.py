"""What serving costs: REST over the bare onnxruntime call, load of 1, 4 and 16 clients, micro-batching on and off.

    python -m benchmarks.serving [--seconds 4] [--repeats 3]

One real server process on loopback, one thread; clients are threads of another process, each with a connection of its
own that sends one scan (a PNG of 64 × 64 pixels), waits for the answer, and sends the next. Rows in random order each
repeat. Target: at one client REST adds at most 5 ms (p50) to the bare call.
"""

from __future__ import annotations

import argparse
import http.client
import io
import multiprocessing
import random
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import torch
from PIL import Image

from course_utils import models, serve
from course_utils.artifacts import load_bundle, save_bundle
from course_utils.phantom import CLASSES, generate
from course_utils.tracking import TRIAGE

CLIENTS = (1, 4, 16)
MODES = {"REST": {}, "REST, micro-batches of 16": {"micro_batch": 16}}


def make_bundle(root: Path) -> Path:
    """A bundle of the triage network; its weights are untrained, which costs no time to anybody."""
    torch.manual_seed(0)
    thresholds = {"temperature": 1.0, "decisions": TRIAGE.decisions, "cost": TRIAGE.cost}
    metadata = {"name": "triage", "dataset": "oct-phantom", "simulated": True, "fingerprint": "-", "classes": CLASSES}
    metadata |= {"mean": 0.3, "std": 0.2, "split_seed": 0, "seed": 0}
    said = {"metadata": metadata, "metrics": {}, "thresholds": thresholds | {"review_cost": TRIAGE.review_cost}}
    return save_bundle(models.build("small_cnn", size=64), root=root, example=torch.rand(4, 1, 64, 64), **said)


def as_png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def ask_until(url: str, body: bytes, end: float, times: list[float]) -> None:
    """One client: send the same request until `end` (perf_counter), noting the seconds each took."""
    address = urlsplit(url)
    line = http.client.HTTPConnection(address.hostname, address.port)
    headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
    while (start := time.perf_counter()) < end:
        line.request("POST", "/predict", body, headers)
        answer = line.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the service answered {answer.status}")
        times.append(time.perf_counter() - start)
    line.close()


def load(url: str, body: bytes, clients: int, seconds: float) -> list[float]:
    """The seconds of every request of `clients` clients at once; runs in a process of its own."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    threads = [threading.Thread(target=ask_until, args=(url, body, end, times)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def bare(session, x: np.ndarray, seconds: float) -> list[float]:
    """The same for the bare onnxruntime call on one prepared scan."""
    times, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        session.run(None, {"x": x})
        times.append(time.perf_counter() - start)
    return times


def row(times: list[float], seconds: float) -> dict[str, float]:
    """Throughput and percentiles of one measurement."""
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return {"per_second": len(times) / seconds, "p50_ms": p50, "p99_ms": p99}


def run(seconds: float = 4.0, repeats: int = 3) -> pd.DataFrame:
    """One row a way, number of clients and repeat: requests a second, p50 and p99 in milliseconds."""
    scan = generate(1, "test", seed=0, size=64).images[0]
    head = b'--xyz\r\nContent-Disposition: form-data; name="files"; filename="scan.png"\r\n\r\n'
    body, rows = head + as_png(scan) + b"\r\n--xyz--\r\n", []
    with ExitStack() as stack:
        path = make_bundle(Path(stack.enter_context(TemporaryDirectory())))
        predictor = serve.Predictor(load_bundle(path))
        urls = {mode: stack.enter_context(serve.running(path, **options)) for mode, options in MODES.items()}
        pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(1))
        todo = [("bare call", 1), *((mode, clients) for mode in MODES for clients in CLIENTS)]
        for url in urls.values():
            pool.apply(load, (url, body, 4, 1.0))  # warm up
        for repeat in range(repeats):
            for mode, clients in random.Random(repeat).sample(todo, len(todo)):
                if mode == "bare call":
                    times = bare(predictor.session, predictor.prepare(scan[None]), seconds)
                else:
                    times = pool.apply(load, (urls[mode], body, clients, seconds))
                rows.append({"way": mode, "clients": clients, "repeat": repeat} | row(times, seconds))
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Medians over the repeats, smallest and largest p50, and what each way adds to the bare call's p50."""
    grouped = table.groupby(["way", "clients"], sort=False)
    out = grouped[["per_second", "p50_ms", "p99_ms"]].median()
    out["p50_low"], out["p50_high"] = grouped["p50_ms"].min(), grouped["p50_ms"].max()
    out["adds_ms"] = out["p50_ms"] - out.loc[("bare call", 1), "p50_ms"]
    return out.sort_index().reset_index()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(summary(run(options.seconds, options.repeats)).round(2).to_string(index=False))
