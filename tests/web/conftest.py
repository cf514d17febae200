"""What the web tests share: bundles of untrained models, the service on a free port, Chromium, the browser's runtime.

Where Chromium or the runtime cannot be had these tests are skipped with the reason, except in CI, whose script
installs Chromium and sets CI_REQUIRES_BROWSER: there a missing browser fails.
"""

import os
import socket
import threading
import time
from contextlib import contextmanager
from datetime import date
from functools import cache

import pytest
import torch
import uvicorn

from course_utils import models
from course_utils.artifacts import load_bundle, save_bundle
from course_utils.serve import assets, browser
from course_utils.serve.app import create_app
from course_utils.tracking import TRIAGE

PRICES = {"temperature": 0.05, "decisions": TRIAGE.decisions, "cost": TRIAGE.cost, "review_cost": TRIAGE.review_cost}
METADATA = {"name": "triage", "dataset": "a test", "simulated": True, "fingerprint": "abc", "split_seed": 0, "seed": 0}


def make_bundle(root, *, size=64, channels=1, classes=TRIAGE.classes, thresholds=PRICES):
    """An untrained network; the low temperature makes its faint opinions strong enough for different decisions."""
    torch.manual_seed(3)
    model = models.build("small_cnn", in_channels=channels, classes=len(classes), size=size)
    example = torch.randn(64, channels, size, size)
    for _ in range(20):
        model(example)  # BatchNorm statistics that differ from their defaults
    scale = {"classes": classes, "size": size, "mean": [0.3, 0.4, 0.5][:channels], "std": [0.2, 0.25, 0.3][:channels]}
    with torch.no_grad():
        model.head.bias -= model.eval()(example).mean(0)
    contents = {"metrics": {"accuracy": 0.25}, "thresholds": thresholds, "today": date(2026, 3, 9)}
    return load_bundle(save_bundle(model, root=root, metadata=METADATA | scale, example=example[:8], **contents))


@contextmanager
def running(app):
    """Serve `app` on a free port of this machine for the block; yields the address and a function that stops it."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()

        def stop():
            server.should_exit = True
            thread.join(10)

        try:
            deadline = time.monotonic() + 20
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.02)
            assert server.started, "the server did not start"
            yield f"http://127.0.0.1:{door.getsockname()[1]}/", stop
        finally:
            stop()


def missing(reason):
    """Skip, or fail where a browser was promised."""
    if os.environ.get("CI_REQUIRES_BROWSER"):
        pytest.fail(f"CI promised a browser, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def runtime():
    """The browser's runtime, fetched when it is not here yet."""
    try:
        return assets.fetch_assets()
    except assets.AssetsMissing as error:
        missing(str(error))


@pytest.fixture(scope="session")
def chromium_here():
    pytest.importorskip("playwright")
    try:
        return browser.find_chromium()
    except browser.BrowserMissing as error:
        missing(str(error))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def others(tmp_path_factory):
    """By channels: a bundle of small pictures, other classes and no prices."""

    @cache
    def make(channels):
        rule = {"temperature": 0.5, "min_confidence": 0.6}
        root = tmp_path_factory.mktemp("others")
        return make_bundle(root, size=28, channels=channels, classes=("well", "ill"), thresholds=rule)

    return make


@pytest.fixture(scope="module")
def url(bundle, runtime):
    with running(create_app(bundle)) as (address, _):
        yield address


@pytest.fixture(scope="module")
def context(chromium_here):
    """One Chromium for all tests of a module."""
    with browser.chromium(viewport={"width": 1100, "height": 800}) as context:
        yield context


@pytest.fixture(scope="module")
def tab(context, url):
    """A tab with the page, its model loaded; console errors and broken rules fail the module's last test."""
    tab, troubles = context.new_page(), []
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    browser.open_page(tab, url)
    yield tab
    tab.close()
    assert not troubles


@pytest.fixture
def page(tab):
    """The same tab for test after test, since loading the runtime takes a second or two; answers are cleared."""
    tab.set_viewport_size({"width": 1100, "height": 800})
    tab.emulate_media(color_scheme="light")
    if tab.locator("#clear").is_visible():
        tab.click("#clear")
    return tab
