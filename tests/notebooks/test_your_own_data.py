"""Lesson 22 is a template: it walks the loop on a dozen pictures, classes and numbers, and stops on what is broken."""

import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import papermill
import pytest
from sklearn import datasets

from course_utils.artifacts import load_bundle
from course_utils.data import DataError
from course_utils.project import ask
from tools import lesson_format as fmt
from tools.lesson_format import source, tags
from tools.prepare import real_scans

LESSON = fmt.Lesson(fmt.NOTEBOOKS / "22_your_own_data.ipynb")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A runs folder of its own."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs" / "your_own_data"


def walk(**parameters) -> dict:
    """Run the lesson's cells in this process, in the smoke profile; returns its names."""
    matplotlib.use("Agg")
    names = {"__name__": "lesson"}
    for cell in LESSON.code:
        exec(compile(source(cell), cell["id"], "exec"), names)
        if "parameters" in tags(cell):
            names |= {"PROFILE": "smoke", "DEVICE": "cpu"} | parameters
    return names


def bundles_in(runs: Path) -> list:
    return [load_bundle(path) for path in (runs / "bundles").glob("model_v*")]


def test_a_dozen_real_pictures_go_through_and_the_report_says_that_they_prove_nothing(runs, tmp_path):
    """As a learner runs it: papermill, a kernel, the folder's name as the only parameter."""
    scans = real_scans()
    folder = scans and scans.parent / "kermany_oct_jpeg"
    if folder is None or not folder.is_dir():
        pytest.skip("no real JPEGs here: kermany_oct_jpeg is not beside the real scans")
    done = tmp_path / "done.ipynb"
    parameters = {"PROFILE": "smoke", "DATASET": str(folder), "DEVICE": "cpu"}
    papermill.execute_notebook(str(LESSON.path), str(done), parameters, kernel_name="python3", progress_bar=False)
    page = (runs / "report-yours.html").read_text(encoding="utf-8")
    assert "2 test cases prove nothing yet" in page and page.count("Not answered:") == 6
    assert "data:image/png;base64," in page and not re.search(r"(?:src|href)=\"(?!data:)", page)
    (bundle,) = bundles_in(runs)
    assert bundle.metadata["classes"] == ["CNV", "DME", "DRUSEN", "NORMAL"]
    assert not any(output["output_type"] == "error" for cell in fmt.Lesson(done).code for output in cell["outputs"])


def test_a_table_of_classes_with_hostile_names(runs, tmp_path):
    wine = datasets.load_wine(as_frame=True).frame
    evil = '<img src=x onerror="alert(1)">$x^{'
    wine = wine.rename(columns={"ash": evil}).assign(target=wine["target"].map({0: "<script>", 1: "$\\frac{", 2: "c"}))
    wine.to_csv(tmp_path / "wine $1.csv", index=False)
    names = walk(DATASET=str(tmp_path / "wine $1.csv"), TARGET="target", LEAVE_OUT="hue, proline")
    page = (runs / "report-yours.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page and "<script" not in page and "<img src=x" not in page
    (bundle,) = bundles_in(runs)
    test = names["tests"]["yours"]
    probs = ask(bundle, test.raw.to_dict("records"))
    assert np.allclose(probs, names["answers"]["yours"], atol=1e-4) and (probs.argmax(1) == test.y).mean() > 0.8
    assert {"hue", "proline"} & {column["name"] for column in bundle.metadata["prepared"]["columns"]} == set()


def test_a_table_of_numbers(runs, tmp_path):
    table = datasets.load_diabetes(as_frame=True, scaled=False).frame
    table = table.assign(doctor=[f"D{row % 60}" for row in range(len(table))])
    table.to_csv(tmp_path / "diabetes.csv", index=False, sep=";", decimal=",")
    names = walk(DATASET=str(tmp_path / "diabetes.csv"), TARGET="target", GROUPS="doctor")
    (bundle,) = bundles_in(runs)
    assert bundle.metadata["target"]["name"] == "target" and "classes" not in bundle.metadata
    test = names["tests"]["yours"]
    numbers = ask(bundle, test.raw.to_dict("records"))
    assert np.abs(numbers - test.y).mean() < 0.85 * np.abs(test.y - test.y.mean()).mean()
    assert not set(test.groups) & set(names["projects"]["yours"].data.train.groups)
    assert "of well-behaved errors" in (runs / "report-yours.html").read_text(encoding="utf-8")
    log = list((tmp_path / "runs" / "log").rglob("*.claim.*.json"))
    assert log and all(json.loads(path.read_text())["held"] is None for path in log)


def test_a_broken_file_ends_the_lesson_with_one_sentence(runs, tmp_path):
    rows = [f"{row},{row % 7},{'yes' if row % 2 else 'no'}" for row in range(40)]
    (tmp_path / "broken.csv").write_text("\n".join(["a,b,answer", *rows, "41,1"]))
    with pytest.raises(DataError, match=r"^line 42 of \S+broken.csv has 2 fields and the first line 3; each row needs"):
        walk(DATASET=str(tmp_path / "broken.csv"), TARGET="answer")
    assert not list(runs.glob("report-*"))
