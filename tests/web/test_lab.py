"""`make lab`: JupyterLab opens the launcher page and the first lesson, and the page's links open lessons."""

import json
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
PATIENCE = 180  # seconds; where the disk is slow and another lesson runs, a kernel's first import takes over a minute


def test_the_page_lists_every_lesson_and_its_exercises() -> None:
    text = launcher.page(LESSONS)
    for lesson in LESSONS:
        assert text.count(f"| [{lesson.slug}]({lesson.path.name}) |") == 1
    solved = {path.name for path in (fmt.NOTEBOOKS / "exercises").glob("*.ipynb")}
    assert {name for name in solved if f"(exercises/{name})" in text} == solved


@pytest.fixture
def settings(tmp_path):
    """The environment of a JupyterLab with settings, workspaces and notes of running servers of its own.

    It saves nothing by itself: however long a test takes, the course's own pages stay as they are.
    """
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR")
    own = {name: str(tmp_path / name) for name in names}
    saving = tmp_path / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "docmanager-extension"
    saving.mkdir(parents=True)
    (saving / "plugin.jupyterlab-settings").write_text('{"autosave": false}')
    return os.environ | own | {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "BROWSER": "true"}


def wait_until(holds):
    """Ask until it holds; AssertionError when patience is at its end."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{holds.__doc__} did not come true within {PATIENCE} seconds"
        time.sleep(0.3)


@contextmanager
def lab(settings, log):
    """`make lab` without a browser; yields the address it serves at. Afterwards nothing of it is left behind."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=secret"]
    command = [sys.executable, "-m", "tools.launcher", "--", *options, "--allow-root"]
    with log.open("w") as messages:
        server = subprocess.Popen(command, cwd=fmt.ROOT, env=settings, stdout=messages, stderr=messages)
    address = f"http://127.0.0.1:{port}"

    def answers():
        """The server answers."""
        try:
            return ask(address, "status")
        except OSError:
            assert server.poll() is None, log.read_text()

    try:
        wait_until(answers)
        yield address
    finally:
        server.terminate()
        server.wait(60)  # it shuts its kernels down first
        with socket.socket() as door:
            assert door.connect_ex(("127.0.0.1", port)) != 0


def ask(address, what):
    """What the server's interface says of something."""
    with urllib.request.urlopen(f"{address}/api/{what}?token=secret", timeout=10) as said:
        return json.load(said)


@pytest.mark.slow
def test_opens_at_the_page_and_the_first_lesson(settings, tmp_path, context) -> None:
    with lab(settings, tmp_path / "log") as address:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{address}/?token=secret", wait_until="domcontentloaded")
        page.get_by_role("tab", name="00_start_here.ipynb").wait_for()
        page.get_by_role("heading", name="The Modelling Loop").wait_for()
        assert f"/lab/workspaces/{launcher.WORKSPACE}" in page.url
        page.get_by_role("link", name="01_define_the_problem").click()
        page.get_by_role("tab", name="01_define_the_problem.ipynb").wait_for()
        page.locator(".jp-NotebookPanel-toolbar").get_by_text("Python 3").first.wait_for()
        assert page.get_by_text("Validate", exact=True).count() == 0, (
            "nbgrader's button calls an empty answer a success"
        )
        assert page.get_by_text("Would you like to get notified", exact=False).count() == 0
        page.close()
        again = [sys.executable, "-m", "tools.launcher"]
        said = subprocess.run(again, cwd=fmt.ROOT, env=settings, capture_output=True, text=True, timeout=60)
        port = address.rpartition(":")[2]
        assert said.returncode == 0 and f"running here already: http://localhost:{port}/lab/work" in said.stdout


def code_cell(page, text):
    """The first code cell of the open notebook that holds `text`."""
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell").filter(has_text=text).first


def run_all(page):
    """Run → Run All Cells, by the menu."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@pytest.mark.slow
def test_the_first_exercise_is_answered_in_the_browser(settings, tmp_path, context) -> None:
    """As a newcomer does it: everything run untouched, then the answer written, and everything run again."""
    exercises, runs = fmt.NOTEBOOKS / "exercises" / LESSONS[0].path.name, tmp_path / "runs"
    solved = fmt.Lesson(fmt.NOTEBOOKS / "solutions" / LESSONS[0].path.name)
    answer = next(fmt.source(cell) for cell in solved.code if cell["id"] == "answer-00-1")
    before = exercises.read_bytes()
    with lab(settings | {"COURSE_RUNS": str(runs)}, tmp_path / "log") as address:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{address}/lab/tree/{exercises.relative_to(fmt.ROOT).as_posix()}?token=secret")
        check = code_cell(page, 'check("00.1"')
        check.wait_for()

        def kernel_waits():
            """The page is connected with a kernel that has nothing to do: JupyterLab forgets what it is told before."""
            return any(
                kernel["connections"] and kernel["execution_state"] == "idle" for kernel in ask(address, "kernels")
            )

        wait_until(kernel_waits)
        run_all(page)
        check.get_by_text("○ 00.1 not tried").wait_for()
        code_cell(page, "guesses = {").locator(".cm-content").click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(answer)
        run_all(page)
        check.get_by_text("✓ 00.1 right").wait_for()
        page.close()
    assert json.loads((runs / "exercises" / "00.1.json").read_text())["status"] == "right"
    assert exercises.read_bytes() == before, "nothing was saved, so nothing of the course has changed"


def test_later_the_tabs_stay_as_the_learner_left_them(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(tmp_path))
    launcher.lay_out()
    (file,) = tmp_path.iterdir()
    assert "00_start_here.ipynb" in file.read_text()
    changed = file.read_text().replace("00_start_here", "05_baseline")
    file.write_text(changed)
    launcher.lay_out()
    assert file.read_text() == changed
