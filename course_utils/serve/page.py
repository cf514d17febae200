"""The page at `/`: the model runs in the visitor's browser, and the picture stays there.

The server only hands out files: the page (`page/`), the model (`model.json`, `model.onnx`), the browser's runtime
(`runtime/`, see `assets`) and, for the OCT classes, a sheet of simulated scans to try (`samples/`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from course_utils.artifacts import Bundle
from course_utils.env import to_json
from course_utils.serve import assets

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".onnx": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}  # said here, since what the operating system believes about .mjs differs
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",  # nothing from elsewhere, nothing to elsewhere
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # ask each time whether it changed; the answer is mostly "no"
}
NOTHING = "there is nothing at this address; the page is at /"
SAMPLE_SEED, SAMPLES_A_CLASS = 2026, 2  # patients of their own: no lesson draws with this seed


def mount_page(app: Starlette, bundle: Bundle) -> None:
    """Give a Starlette or FastAPI `app` the page for `bundle`; none of its routes shows in the API description.

    Without the browser's runtime (`assets.fetch_assets`) the page still opens, and says what to run.
    """
    files, card = {file.name: file.read_bytes() for file in FOLDER.iterdir() if file.suffix in TYPES}, describe(bundle)
    first, worker = files.pop("index.html"), files.pop("sw.js")  # these two lie at the top: a worker sees what is below
    routes = {
        "/": lambda request: _send(request, first, ".html"),
        "/sw.js": lambda request: _send(request, worker, ".js"),
        "/model.json": lambda request: _send(request, _card_now(card), ".json"),
        "/model.onnx": lambda request: _send(request, bundle.onnx, ".onnx"),
        "/page/{name}": lambda request: _named(request, files),
        "/samples/{name}": lambda request: _named(request, sample_sheet(card["size"]) if card["samples"] else {}),
        "/runtime/{name}": _runtime,
    }
    for path, give in routes.items():
        app.add_route(path, give, methods=["GET"], include_in_schema=False)


def _card_now(card: dict[str, Any]) -> bytes:
    return to_json(card | {"runtime": assets.assets_ready()}).encode()  # it may have been fetched since the start


def _named(request: Request, files: Mapping[str, bytes]) -> Response:
    """One of `files`: a name is looked up, never joined to a path."""
    name = request.path_params["name"]
    if name not in files:
        raise HTTPException(404, NOTHING)
    return _send(request, files[name], Path(name).suffix)


def _send(request: Request, content: bytes, suffix: str) -> Response:
    """The content, or "not modified" when the browser has the very same already."""
    headers = HEADERS | {"ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=TYPES[suffix])


def _runtime(request: Request) -> Response:
    """A file of the browser's runtime: 14 MB that never change under one version, so the version is their tag."""
    name, headers = request.path_params["name"], HEADERS | {"ETag": f'"{assets.VERSION}"'}
    if name not in {Path(file).name for file in assets.FILES}:
        raise HTTPException(404, NOTHING)
    if not (file := assets.assets_folder() / name).is_file():
        raise HTTPException(404, f"the browser's runtime is not here: run `{assets.COMMAND}`")
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return FileResponse(file, headers=headers, media_type=TYPES[file.suffix])


def describe(bundle: Bundle) -> dict[str, Any]:
    """What the page must know of a bundle, as plain JSON values: how to prepare a scan, how to read the answer.

    channels and size come from the ONNX file itself, mean and std as one number a channel.
    """
    said: Mapping[str, Any] = bundle.metadata
    _, channels, size, _ = bundle.session().get_inputs()[0].shape  # (batch, C, H, W)
    scale = {name: np.broadcast_to(np.ravel(said[name]), channels).tolist() for name in ("mean", "std")}
    card = {name: said.get(name) for name in ("name", "version", "simulated", "classes", "thresholds", "dataset")}
    card |= {"channels": channels, "size": size, "bytes": len(bundle.onnx), **scale}
    card["samples"] = sample_names(tuple(said["classes"])) if channels == 1 else []
    return json.loads(to_json(card))


def sample_names(classes: tuple[str, ...]) -> list[str]:
    """File names of the sample sheet; empty for a model of other classes, to which a simulated retina says nothing."""
    from course_utils.phantom import CLASSES

    if classes != tuple(CLASSES):
        return []
    return [f"{name.lower()}-{i + 1}.png" for name in CLASSES for i in range(SAMPLES_A_CLASS)]


@lru_cache(maxsize=4)
def sample_sheet(size: int) -> dict[str, bytes]:
    """Simulated scans of as many patients, as PNG files by name; drawn when first asked for, in less than a second."""
    from course_utils.phantom import CLASSES, generate

    scans = generate(160, "test", seed=SAMPLE_SEED, size=size)
    pictures = {}
    for k, name in enumerate(CLASSES):
        rows = np.flatnonzero(scans.labels == k)
        _, firsts = np.unique(scans.cohort.who.patient[rows], return_index=True)
        for i, row in enumerate(rows[firsts[:SAMPLES_A_CLASS]]):
            stream = BytesIO()
            Image.fromarray(scans.images[row]).save(stream, "PNG")
            pictures[f"{name.lower()}-{i + 1}.png"] = stream.getvalue()
    return pictures
