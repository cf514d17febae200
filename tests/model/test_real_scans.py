"""Real scans, when they are here: the course's network learns from them what a linear model cannot."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import capstone
from benchmarks.studies import capstone as study
from course_utils.data import Batches, load_dataset
from course_utils.metrics import macro_recall
from course_utils.recipes import PLAIN, train_recipe
from course_utils.train import predict
from tools import lesson_format as fmt
from tools.prepare import REAL_FILE, real_scans

LESSON = fmt.ROOT / "notebooks" / "20_capstone_oct.ipynb"


@pytest.fixture(scope="module")
def data():
    path = real_scans()
    if path is None:
        pytest.skip(f"no real scans here: {REAL_FILE} is neither in $COURSE_REAL_DATA nor in ../shared/data")
    return load_dataset(path)


def test_no_patient_is_in_train_and_validation(data):
    assert not set(data.train.groups) & set(data.val.groups)


def test_a_short_training_beats_the_linear_model(data):
    """A third of lesson 20's training, judged on validation patients; the test set stays shut."""
    pixels, more = (part.images.flatten(1).numpy() / 255 for part in (data.train, data.val))
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=300)).fit(pixels, data.train.labels)
    model, _ = train_recipe(replace(capstone.capstone_recipe(data, megapixels=32), ema=0.95), data, seed=0)
    logits, targets = predict(model, Batches(data.val, 256, mean=data.mean, std=data.std))
    assert macro_recall(targets, logits.argmax(1)) > macro_recall(targets, linear.predict(more)) + 0.15


@pytest.mark.parametrize(
    ("module", "names"),
    [(capstone, ("capstone_recipe", "neutral", "together")), (study, ("some_scans", "fine_tuned"))],
    ids=["benchmark", "study"],
)
def test_the_stored_numbers_come_from_the_lessons_code(module, names):
    """The benchmark and the study measure what the lesson teaches: the shared functions have equal bodies."""
    lesson = "\n".join(fmt.source(cell) for cell in fmt.Lesson(LESSON).code)
    theirs, ours = (functions(text) for text in (lesson, Path(module.__file__).read_text(encoding="utf-8")))
    for name in names:
        assert theirs[name] == ours[name], f"{name} differs between lesson 20 and {module.__name__}"


def functions(text: str) -> dict[str, str]:
    """The bodies of the functions at the top of `text`, as syntax trees without docstrings."""
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {node.name: "\n".join(ast.dump(line) for line in node.body if not is_docstring(line)) for node in found}


def is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def test_class_frequencies_are_taken_out():
    """A model that only knows how frequent the classes are knows nothing once they are taken out."""
    labels = torch.tensor([0] * 90 + [1] * 10)
    model = torch.nn.Module()
    model.head = torch.nn.Linear(3, 2)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([0.9, 0.1]).log())
    probs = capstone.neutral(model, labels).head(torch.randn(5, 3)).softmax(1)
    assert np.allclose(probs.detach().numpy(), 0.5, atol=1e-6)


def test_a_missing_file_is_skipped_and_said_to_be(monkeypatch, capsys):
    monkeypatch.setattr(capstone, "FILES", ("nosuch",))
    table = capstone.summary(capstone.run())
    assert table[["data", "split"]].values.tolist() == [["nosuch", "skipped: file not there"]]
    assert "skipped: there is no nosuch.npz" in capsys.readouterr().out


def test_the_ensemble_stands_among_the_seeds(monkeypatch):
    """On a small simulated set: a row a seed and one for the ensemble on each split, and what they come to."""
    small = load_dataset("oct-phantom", size=28, n_train=200, n_val=100, n_test=100)
    monkeypatch.setattr(capstone, "load_dataset", lambda name: small)
    monkeypatch.setattr(capstone, "capstone_recipe", lambda data: replace(PLAIN, epochs=1))
    table = capstone.run(["small"], seeds=2)
    assert table["model"].tolist() == ["seed 0", "seed 1", "ensemble"] * 2
    test = table[table["split"] == "test"].set_index("model")
    row = capstone.summary(table).query("split == 'test' and score == 'log_loss'").iloc[0]
    assert row["mean"] == pytest.approx(test["log_loss"][:2].mean())
    assert row["ensemble"] == test.loc["ensemble", "log_loss"]


def test_a_study_refuses_other_scans_than_its_own(monkeypatch):
    monkeypatch.setattr(study, "real_file", lambda name: "oct-phantom")
    monkeypatch.setattr(study, "load_dataset", lambda name: load_dataset(name, size=28, n_train=50))
    with pytest.raises(ValueError, match="holds other scans"):
        study.real.__wrapped__("pneumoniamnist")


def test_few_labels_are_whole_patients_and_every_class():
    data = load_dataset("oct-phantom", size=28, n_train=400)
    few = study.some_scans(data.train, 60, seed=1)
    assert 45 <= len(few) <= 75 and len(few.labels.unique()) == len(data.classes)
    assert sum(np.isin(data.train.groups, few.groups)) == len(few)
    assert study.some_scans(data.train, 4000, seed=1) is data.train
