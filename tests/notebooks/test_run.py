"""`make run`: arguments are checked first, failures are named, Ctrl-C leaves things whole, a new start goes on."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from tests.notebooks.small_lesson import CLAIM, FIGURE, small_lesson
from tools import lesson_format as fmt
from tools.claims import claims_in, claims_of
from tools.execute import Task, next_up
from tools.run import UsageError, checked_dataset, chosen_lessons, main, settings_from

pytestmark = pytest.mark.slow


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """`make run` on the lessons in folder/notebooks, writing folder/build."""
    command = [sys.executable, "-m", "tools.run", "--notebooks", str(folder / "notebooks"), "--build"]
    return subprocess.Popen(
        [*command, str(folder / "build"), *arguments],
        cwd=fmt.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_failing_lesson_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    small_lesson(tmp_path / "notebooks", "00_good", CLAIM, FIGURE, "print(PROFILE, DATASET)")
    small_lesson(tmp_path / "notebooks", "01_bad", "x = 1\n1 / 0", "print('never')")
    small_lesson(tmp_path / "notebooks", "02_dead", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    small_lesson(tmp_path / "notebooks", "03_claim", CLAIM, "class ClaimFailed(AssertionError): ...",
                 "raise ClaimFailed('✗ two is three: at least 3 does not hold (measured 2)')")  # fmt: skip
    run = start(tmp_path, "--profile", "smoke")
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 1
    assert re.search(r"01_bad +FAILED", said) and "code cell 2 (id body-0): x = 1" in said
    assert "ZeroDivisionError: division by zero" in said and "3 of 4 lessons FAILED: 01_bad, 02_dead, 03_claim" in said
    assert re.search(r"02_dead +FAILED.*\n +in code cell 2 .*\n.*kernel died", said)
    good = fmt.Lesson(tmp_path / "build" / "notebooks" / "00_good.ipynb")
    assert "smoke oct-phantom\n" in [fmt.text_of(output) for cell in good.code for output in cell["outputs"]]
    assert [claim.verdict for claim in claims_of(good.path)] == ["holds", "not judged"]
    page = (tmp_path / "build" / "summary.html").read_text(encoding="utf-8")
    assert page.count("<section") == 4 and "data:image/png;base64," in page and "two is three" in page
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page), "the page asks for something from elsewhere"
    assert 'alt="A line that rises from the left."' in page


def wait_for(path: Path, seconds: float = 60) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not appear"
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_stopped_at_any_moment_nothing_is_left_running_and_a_new_start_goes_on(tmp_path: Path, how: int) -> None:
    sign, again = tmp_path / "sleeping", tmp_path / "again"
    small_lesson(tmp_path / "notebooks", "00_quick", CLAIM)
    wait = f"Path({str(sign)!r}).touch()\nPath({str(again)!r}).exists() or time.sleep(99)"
    small_lesson(tmp_path / "notebooks", "01_slow", f"import time\nfrom pathlib import Path\n{wait}")
    run = start(tmp_path, "--jobs", "1")
    wait_for(sign)
    below = psutil.Process(run.pid).children(recursive=True)
    assert len(below) >= 2, "a worker and a kernel"
    run.send_signal(how)
    run.communicate(timeout=30)
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive, "workers or kernels outlived the run"
    assert run.returncode == (-9 if how == signal.SIGKILL else 130)
    for path in (tmp_path / "build").rglob("*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))
    again.touch()
    second = start(tmp_path, "--jobs", "1")
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 0 and re.search(r"00_quick +kept", said) and "every lesson ran" in said
    assert not (tmp_path / "build" / "unfinished.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--profile", "quick"], "PROFILE=quick"),
        (["--device", "tpu"], "DEVICE=tpu"),
        (["--device", "cuda:99x"], "DEVICE=cuda:99x"),
        (["--dataset", "nowhere/scans.npz"], "no file or folder"),
        (["--dataset", "imagenet"], "is not known"),
        (["--dataset", "benchmarks/studies/radar.csv"], "is a table"),
        (["--dataset", "README.md"], "neither a .npz file nor a folder"),
        (["--jobs", "0"], "JOBS=0"),
        (["--jobs", "two"], "JOBS=two"),
        (["--lessons", "77"], "LESSONS=77"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], told: str
) -> None:
    small_lesson(tmp_path / "notebooks", "00_good", "1")
    places = ["--notebooks", str(tmp_path / "notebooks"), "--build", str(tmp_path / "build")]
    assert main([*places, *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "build").exists()


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scans.npz").touch()
    monkeypatch.chdir(tmp_path)
    assert checked_dataset("scans.npz") == str((tmp_path / "scans.npz").resolve())
    assert checked_dataset("octmnist") == "octmnist"


def test_lessons_are_chosen_by_number_range_and_name(tmp_path: Path) -> None:
    lessons = [small_lesson(tmp_path, slug, "1") for slug in ("00_a", "01_b", "05_c")]
    for text, slugs in {"": "00 01 05", "5": "05", "0-1": "00 01", "05_c,00": "00 05", "01_b.ipynb": "01"}.items():
        assert [lesson.slug[:2] for lesson in chosen_lessons(text, lessons)] == slugs.split()
    with pytest.raises(UsageError, match="LESSONS=c"):
        chosen_lessons("c", lessons)


def test_a_lesson_that_could_only_wait_lets_others_go_first() -> None:
    waiting = [Task(Path("12_b.ipynb"), Path("b"), after="08_a"), Task(Path("20_c.ipynb"), Path("c"))]
    assert next_up(waiting, {"08_a": None}) == 1
    assert next_up(waiting[:1], {"08_a": None}) == 0, "with nothing else to do it may as well wait there"
    assert next_up(waiting, {"06_z": None}) == next_up(waiting, {}) == 0


def test_lessons_load_from_lessons_that_exist() -> None:
    before = {lesson.slug: lesson.course.get("loads_from") for lesson in fmt.lessons()}
    assert {name for name in before.values() if name} <= before.keys()
    assert all(name < slug for slug, name in before.items() if name)


def test_a_run_is_resumed_only_with_the_same_settings(tmp_path: Path) -> None:
    lesson = small_lesson(tmp_path / "notebooks", "00_a", "1")
    places = ["--notebooks", str(tmp_path / "notebooks"), "--build", str(tmp_path / "build")]
    from tools.run import fingerprint

    fast = fingerprint(settings_from(places), lesson)
    assert fast == fingerprint(settings_from(places), lesson)
    assert fast != fingerprint(settings_from([*places, "--profile", "smoke"]), lesson)
    book = json.loads(lesson.path.read_text())
    book["cells"][1]["source"] = "PROFILE = 1"
    lesson.path.write_text(json.dumps(book))
    assert fast != fingerprint(settings_from(places), lesson)


def test_only_claim_lines_are_claims() -> None:
    text = "✓ a: b: at least 1 (measured 2, 3 seeds)\n· just a dot\nmeasured ✓ no (measured 1)\n✗ c (measured (1, 2))"
    assert [(claim.sentence, claim.measured, claim.verdict) for claim in claims_in(text)] == [
        ("a: b: at least 1", "2, 3 seeds", "holds"),
        ("c", "(1, 2)", "fails"),
    ]
