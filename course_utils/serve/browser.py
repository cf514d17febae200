"""A real Chromium, without a window, to prove that the page answers as the server does.

Playwright drives it from a process of its own (`python -m course_utils.serve.browser`), because a notebook already runs
an event loop, in which Playwright's plain interface refuses to work.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
FLAGS = (
    "--no-sandbox",  # it visits our own page only, often as root in a container
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)  # fmt: skip
LOADED = "html:not([data-state=loading])"  # the page says so when the model is there, or is not
KEPT = "html[data-kept]"  # … and when its service worker has copies, or may not
ANSWERED = "#results [data-answer]"
RUN = """async ([scans, shape, batch]) => {
  const { model } = await import(new URL("page/page.mjs", document.baseURI));
  const { resize } = await import(new URL("page/scan.mjs", document.baseURI));
  const { channels, size } = (await model).card, [count, planes, edge] = shape;
  const bytes = Uint8Array.from(atob(scans), (c) => c.charCodeAt(0)), answers = [];
  const scan = (n) => Uint8Array.from({ length: planes }, (_, c) => c).reduce((out, c) => {
    const at = (n * planes + c) * edge * edge;
    out.set(resize(bytes.subarray(at, at + edge * edge), edge, size), c * size * size);
    return out;
  }, new Uint8Array(channels * size * size));
  for (let start = 0; start < count; start += batch) {
    const rows = Array.from({ length: Math.min(batch, count - start) }, (_, i) => scan(start + i));
    for (const logits of await (await model).logits(rows)) answers.push(Array.from(logits));
  }
  return answers;
}"""  # the page's own functions, from the resize on; decoding is left out, since these are not files


class BrowserMissing(RuntimeError):
    """No Chromium, or nothing to drive it with, or the page does not work in it."""


def find_chromium() -> str:
    """Path of a Chromium or Chrome on this machine ($COURSE_CHROMIUM first). BrowserMissing when there is none."""
    for found in (os.environ.get("COURSE_CHROMIUM"), *map(shutil.which, NAMES), MAC):
        if found and Path(found).is_file():
            return found
    raise BrowserMissing("no Chromium or Chrome on this machine; install one (Debian: apt-get install chromium)")


def in_browser(url: str, images: np.ndarray, *, timeout: float = 120.0) -> np.ndarray:
    """The logits float32 (N, K) that the page at `url` computes for images uint8 (N, H, H) or (N, H, H, C).

    They are resized, normalised and classified by the page's own code, in one visit. BrowserMissing in one sentence
    when that cannot be measured here.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[1] != images.shape[2]:
        raise ValueError(
            f"images are {images.dtype} {images.shape}; right would be uint8 (N, H, H) or (N, H, H, C), square"
        )
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "images.npy", Path(folder) / "logits.npy"
        np.save(source, images, allow_pickle=False)
        _subprocess([url, "--images", str(source), "--logits", str(target)], timeout)
        return np.load(target, allow_pickle=False)


def visit_page(
    url: str, files: Sequence[str | Path] = (), *, screenshot: str | Path | None = None, timeout: float = 60.0
) -> dict[str, Any]:
    """Open the page, give it `files`, and report what a visitor would see and what a spy on the line would.

    `answers`: one dict a file (name, decision, label, probabilities, or error); `before`: requests made to load the
    page; `after`: requests made while it classified (method, url, bytes sent); `screenshot`: a PNG is written there.
    """
    arguments = [url, "--files", *map(str, files)]
    arguments += ["--screenshot", str(screenshot)] if screenshot else []
    return json.loads(_subprocess(arguments, timeout))


def _subprocess(arguments: list[str], timeout: float) -> str:
    if importlib.util.find_spec("playwright") is None:
        raise BrowserMissing('Playwright is not installed; run: pip install "playwright"')
    find_chromium()
    command = [sys.executable, "-m", "course_utils.serve.browser", *arguments, "--timeout", str(timeout)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout + 30, check=False)
    except subprocess.TimeoutExpired:
        raise BrowserMissing(f"the browser did not finish within {timeout + 30:.0f} s") from None
    if done.returncode != 0:
        raise BrowserMissing((done.stderr.strip().splitlines() or ["the browser ended without a word"])[-1])
    return done.stdout


@contextmanager
def chromium(**options: Any) -> Iterator[Any]:
    """A browser context of Playwright's in a fresh folder; `options` as `launch_persistent_context` takes them."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=find_chromium(), args=list(FLAGS), **options
        )
        try:
            yield context
        finally:
            context.close()


def open_page(page: Any, url: str, timeout: float = 60.0) -> None:
    """Open the page in a tab and wait for its model. BrowserMissing with the page's own words when it does not come."""
    page.goto(url, timeout=1000 * timeout)
    page.wait_for_selector(LOADED, state="attached", timeout=1000 * timeout)
    if page.evaluate("document.documentElement.dataset.state") != "ready":
        raise BrowserMissing(f"the page at {url} says: {page.inner_text('#status')}")


def logits_of(page: Any, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """What an open page computes for images uint8 (N, H, H[, C]): logits float32 (N, K), in one call."""
    planes = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    content = base64.b64encode(np.ascontiguousarray(planes).tobytes()).decode()
    return np.array(page.evaluate(RUN, [content, list(planes.shape[:3]), batch]), dtype=np.float32)


def answers_on(page: Any) -> list[dict[str, Any]]:
    """The answers an open page shows, from top to bottom: each card carries its own as data."""
    return page.locator(ANSWERED).evaluate_all("cards => cards.map(card => JSON.parse(card.dataset.answer))")


def _visit(page: Any, files: Sequence[str], screenshot: str | None, requests: list[dict[str, Any]]) -> dict[str, Any]:
    page.wait_for_selector(KEPT, state="attached")
    before = list(requests)
    if files:
        page.set_input_files("#files", list(files))
        page.locator(ANSWERED).nth(len(files) - 1).wait_for(state="attached")
    if screenshot:
        page.screenshot(path=screenshot, full_page=True)
    return {"answers": answers_on(page), "before": before, "after": requests[len(before) :]}


def main(arguments: Sequence[str] | None = None) -> int:
    """What `in_browser` and `visit_page` start: results to files and stdout, one sentence to stderr on failure."""
    parser = argparse.ArgumentParser(prog="python -m course_utils.serve.browser")
    parser.add_argument("url")
    for name in ("--images", "--logits", "--screenshot"):
        parser.add_argument(name)
    parser.add_argument("--files", nargs="*", default=[])
    parser.add_argument("--timeout", type=float, default=60.0)
    said = parser.parse_args(arguments)
    from playwright.sync_api import Error

    requests: list[dict[str, Any]] = []

    def note(request: Any) -> None:
        requests.append({"method": request.method, "url": request.url, "bytes": len(request.post_data_buffer or b"")})

    try:
        with chromium(viewport={"width": 1100, "height": 800}) as context:
            context.on("request", note)
            (page,) = context.pages
            open_page(page, said.url, said.timeout)
            if said.images:
                np.save(said.logits, logits_of(page, np.load(said.images, allow_pickle=False)), allow_pickle=False)
            else:
                print(json.dumps(_visit(page, said.files, said.screenshot, requests)))
    except (BrowserMissing, Error) as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
