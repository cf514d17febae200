"""`make refresh` stores clean outputs, and stores nothing of a lesson that is not clean."""

import base64
import io
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from tests.notebooks.small_lesson import CLAIM, FIGURE, small_lesson
from tools import lesson_format as fmt
from tools.prepare import prepare
from tools.refresh import Unclean, clean_outputs, refresh, smaller_png

pytestmark = pytest.mark.slow
BAR = "import sys\nprint('a')\nprint('50%|█████     | 1/2 [00:00<00:00, 9.1it/s]', file=sys.stderr)\nprint('b')"


def test_outputs_are_stored_and_clean(tmp_path: Path) -> None:
    lesson = small_lesson(tmp_path / "notebooks", "00_good", CLAIM, FIGURE, BAR, "DEVICE")
    before = [fmt.source(cell) for cell in lesson.cells]
    assert refresh([lesson], 1, fresh=True, folder=tmp_path / "build") == 0
    after = fmt.Lesson(lesson.path)
    nbformat.validate(nbformat.read(lesson.path, as_version=4))
    assert [fmt.source(cell) for cell in after.cells] == before, "the sources stay as they were"
    assert [cell["execution_count"] for cell in after.code] == [1, 2, 3, 4, 5]
    assert set(after.notebook["metadata"]) == {"course", "kernelspec", "language_info"}
    assert after.course["code"] == fmt.code_fingerprint(after.code)
    outputs = [cell["outputs"] for cell in after.code]
    assert outputs[2][0]["metadata"] == {"image/png": {"alt": "A line that rises from the left."}}
    assert [fmt.text_of(output) for output in outputs[3]] == ["a\nb\n"]
    assert outputs[4][0]["execution_count"] == 5 and fmt.text_of(outputs[4][0]) == "'cpu'"
    text = lesson.path.read_text(encoding="utf-8")
    assert "papermill" not in text and "2%" not in text
    assert refresh([fmt.Lesson(lesson.path)], 1, fresh=False, folder=tmp_path / "build") == 0
    assert lesson.path.read_text(encoding="utf-8") == text, "a second refresh changes nothing"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import sys\nprint('careful', file=sys.stderr)", "body-0 writes to stderr"),
        ("import os\nprint(os.getcwd())", "shows a path of this machine"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_an_unclean_lesson_is_left_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture, body: str, why: str
) -> None:
    lesson = small_lesson(tmp_path / "notebooks", "00_bad", body)
    text = lesson.path.read_text(encoding="utf-8")
    assert refresh([lesson], 1, fresh=True, folder=tmp_path / "build") == 1
    assert why in capsys.readouterr().out
    assert lesson.path.read_text(encoding="utf-8") == text


def test_a_widget_is_refused() -> None:
    widget = {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.jupyter.widget-view+json": {}}}
    with pytest.raises(Unclean, match="widget"):
        clean_outputs({"id": "x", "metadata": {}, "outputs": [widget]})


def test_prepared_copies_keep_outputs_or_drop_the_checks(tmp_path: Path) -> None:
    lesson = small_lesson(tmp_path, "00_a", "print(PROFILE)")
    lesson.code[1]["metadata"]["tags"] = ["nbval-check-output"]
    lesson.code[1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "fast\n"}]
    fmt.save_notebook(lesson.path, lesson.notebook)
    begin = time.monotonic()
    prepare(lesson, tmp_path / "fast", {"PROFILE": "fast"}, compare=True)
    prepare(lesson, tmp_path / "real", {"PROFILE": "smoke"}, compare=False)
    assert time.monotonic() - begin < 10, "preparing executes nothing"
    fast, real = (fmt.Lesson(tmp_path / name / "00_a.ipynb") for name in ("fast", "real"))
    assert 'PROFILE = "smoke"' in fmt.source(real.tagged("injected-parameters")[0])
    assert fast.tagged("nbval-check-output")[0]["outputs"] and not real.tagged("nbval-check-output")
    assert not any(cell["outputs"] for cell in real.code)


def encoded(pixels: np.ndarray) -> str:
    """An array of pixels as a notebook stores a picture."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def decoded(picture: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture)))


def test_a_picture_loses_only_what_nobody_sees() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (80, 300), dtype=np.uint8)
    curve = np.stack([grey] * 3 + [np.full_like(grey, 255)], axis=-1)  # a speckled scan, a line in colour, a margin
    curve[20:24, :, :3], curve[60:, :, :3] = (213, 94, 0), 255
    small = smaller_png(encoded(curve))
    shown = np.asarray(decoded(small).convert("RGB")).astype(int)
    assert decoded(small).mode == "P" and len(small) < len(encoded(curve))
    assert abs(shown - curve[..., :3]).max() <= 16 and (shown[60:] == 255).all()


def test_a_picture_of_many_colours_or_that_lets_the_page_through_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    glass = np.dstack([many, np.full((60, 60), 128, np.uint8)])
    for pixels in (many, glass):
        assert (np.asarray(decoded(smaller_png(encoded(pixels)))) == pixels).all()
