"""What the tests of the service share: a small bundle, pictures, and a client that can say anything to an app."""

import asyncio
import io
import json
import tempfile
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from course_utils import models
from course_utils.artifacts import Bundle, load_bundle, save_bundle

CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")
FOLDER = tempfile.TemporaryDirectory(prefix="course-bundle-", ignore_cleanup_errors=True)
PRICES = {
    "temperature": 0.8,
    "decisions": ["urgent", "routine", "discharge"],
    "cost": [[0, 8, 20], [0, 4, 10], [1.5, 0, 3], [2, 1, 0]],
    "review_cost": 0.7,
}


def make_bundle(root: Path, *, channels: int = 1, size: int = 32, thresholds: dict | None = None, **said) -> Bundle:
    """A bundle of an untrained network whose answers differ from scan to scan."""
    torch.manual_seed(0)
    model = models.build("small_cnn", size=size, in_channels=channels)
    model(torch.rand(16, channels, size, size))  # statistics that differ from their defaults
    with torch.no_grad():
        list(model.parameters())[-2].mul_(20)  # spread the logits, or every scan would get one decision
    metadata = {"name": "triage", "dataset": "oct-phantom", "simulated": True, "fingerprint": "abc", "size": size}
    metadata |= {"classes": CLASSES, "mean": 0.3, "std": 0.2, "split_seed": 0, "seed": 0} | said
    path = save_bundle(
        model,
        root=root,
        metadata=metadata,
        metrics={"accuracy": (0.9, 0.88, 0.92)},
        thresholds=PRICES if thresholds is None else thresholds,
        example=torch.rand(4, channels, size, size),
        today=date(2026, 3, 9),
    )
    return load_bundle(path)


@cache
def shared_bundle() -> Bundle:
    """One bundle for all tests of this process: writing the ONNX file takes seconds."""
    return make_bundle(Path(FOLDER.name))


def scans(n: int, size: int = 32, seed: int = 0, channels: int = 1) -> np.ndarray:
    """Random pictures uint8 (n, size, size[, channels]), some dark, some bright."""
    rng = np.random.default_rng(seed)
    shape = (n, size, size) if channels == 1 else (n, size, size, channels)
    gain = rng.uniform(0.2, 1, (n, *[1] * (len(shape) - 1)))
    return (rng.integers(0, 256, shape) * gain).astype(np.uint8)


def as_file(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    """The bytes of a picture file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def form(*files: tuple[str, bytes], field: str = "files", boundary: str = "xyz") -> tuple[dict[str, str], bytes]:
    """Headers and body of a multipart request with files (name, content)."""
    body = b""
    for name, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return {"content-type": f"multipart/form-data; boundary={boundary}"}, body


async def call(app, method="GET", path="/", headers=None, body=b"", query=b""):
    """Say something to an ASGI app. Returns status, headers, body; status 0 when it answers nothing.

    `body`: bytes, or an iterable of chunks, in which None is a client that hangs up.
    """
    chunks, sent = iter([body] if isinstance(body, bytes) else body), []
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode("utf-8", "replace"), "query_string": query, "root_path": "",
        "headers": raw, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    following = next(chunks, b"")

    async def receive():
        nonlocal following
        now = following
        if now is None or now == "end":
            return {"type": "http.disconnect"}
        following = next(chunks, "end")
        return {"type": "http.request", "body": now, "more_body": following != "end"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    start = next((message for message in sent if message["type"] == "http.response.start"), None)
    content = b"".join(message.get("body", b"") for message in sent)
    return (start["status"] if start else 0), dict(start["headers"] if start else []), content


def ask(app, *arguments, **options):
    """`call`, from code that is not asynchronous; the body as JSON where it is."""
    status, headers, content = asyncio.run(call(app, *arguments, **options))
    is_json = headers.get(b"content-type", b"").startswith(b"application/json")
    return status, json.loads(content) if is_json else content


def post(app, *files: tuple[str, bytes], **options):
    """POST files to /predict."""
    headers, body = form(*files, **options)
    return ask(app, "POST", "/predict", headers, body)
