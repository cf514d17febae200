"""`make lab`: JupyterLab opens the launcher page and the first lesson, and the page's links open lessons."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from tools import launcher
from tools import lesson_format as fmt

LESSONS = fmt.lessons()


def test_the_page_lists_every_lesson_and_its_exercises() -> None:
    text = launcher.page(LESSONS)
    for lesson in LESSONS:
        assert text.count(f"[{lesson.slug}]({lesson.path.name})") == 1
    solved = {path.name for path in (fmt.NOTEBOOKS / "exercises").glob("*.ipynb")}
    assert {name for name in solved if f"(exercises/{name})" in text} == solved


@contextmanager
def lab(folder):
    """`make lab` without a browser, its settings and workspaces in `folder`; yields the address it serves at."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_WORKSPACES_DIR")}
    options = ["--no-browser", f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=secret"]
    command = [sys.executable, "-m", "tools.launcher", "--", *options, "--allow-root"]
    environment = os.environ | own | {"JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    log = (folder / "log").open("w")
    server = subprocess.Popen(command, cwd=fmt.ROOT, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{address}/api?token=secret", timeout=2)
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(60)  # it shuts its kernels down first
        with socket.socket() as door:  # nothing of it is left behind
            assert door.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_opens_at_the_page_and_the_first_lesson(tmp_path, context) -> None:
    with lab(tmp_path) as address:
        page = context.new_page()
        page.goto(f"{address}/?token=secret", wait_until="domcontentloaded")
        page.get_by_role("tab", name="00_start_here.ipynb").wait_for(timeout=60_000)
        page.get_by_role("heading", name="The Modelling Loop").wait_for(timeout=30_000)
        assert f"/lab/workspaces/{launcher.WORKSPACE}" in page.url
        page.get_by_role("link", name="01_define_the_problem").click()
        page.get_by_role("tab", name="01_define_the_problem.ipynb").wait_for(timeout=30_000)
        page.close()
