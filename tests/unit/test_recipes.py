"""The triage bundle: made once, found again, and holding what the service, the page and the monitor rely on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from course_utils import recipes
from course_utils.data import CourseData, ScanDataset, test_openings
from course_utils.recipes import triage_bundle
from course_utils.tracking import TRIAGE


def small_data(classes=TRIAGE.classes, seed=0, channels=1):
    """Noise, brighter for later classes; two scans a patient."""
    random = np.random.default_rng(seed)
    splits = {}
    for split, n in (("train", 96), ("val", 40), ("test", 60)):
        labels = np.arange(n) % len(classes)
        images = random.integers(0, 120, (n, channels, 16, 16)) + 30 * labels[:, None, None, None]
        splits[split] = ScanDataset(images.astype(np.uint8), labels, classes, groups=np.arange(n) // 2)
    return CourseData("noise", splits, source="noise", simulated=True)


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return tmp_path


def test_made_once_then_found(runs, capsys):
    first = triage_bundle(small_data(), profile="smoke")
    assert f"bundle made: {first.version}" in capsys.readouterr().out
    again = triage_bundle(small_data(), profile="smoke")
    assert capsys.readouterr().out == f"bundle loaded: {first.version}\n"
    assert again.path == first.path == runs / "bundles" / first.version
    for other in ({"seed": 1}, {"profile": "fast"}):
        identity = recipes.triage_identity(small_data(), **{"profile": "smoke"} | other)
        assert identity != recipes.triage_identity(small_data(), profile="smoke")
    assert recipes.triage_identity(small_data(seed=1))["fingerprint"] != first.metadata["fingerprint"]
    assert test_openings()["reason"].tolist() == ["scores for the model card"]  # looking for it opened nothing


def test_what_the_bundle_says():
    bundle = triage_bundle(small_data(), profile="smoke")
    said = bundle.metadata
    assert said["classes"] == list(TRIAGE.classes) and said["size"] == 16 and said["simulated"] is True
    assert said["thresholds"] == {
        "temperature": pytest.approx(said["thresholds"]["temperature"]),
        "decisions": list(TRIAGE.decisions),
        "cost": [list(row) for row in TRIAGE.cost],
        "review_cost": TRIAGE.review_cost,
    }
    assert said["thresholds"]["temperature"] > 0
    for name in ("test accuracy", "test macro-F1"):
        value, low, high = said["metrics"][name]
        assert 0 <= low <= value <= high <= 1
    wanted = {"fingerprint", "split_seed", "git", "course_utils", "environment", "created", "version", "recipe"}
    assert wanted <= said.keys()
    images = (torch.rand(5, 1, 16, 16) - said["mean"]) / said["std"]
    with torch.inference_mode():
        ours = bundle.model(images).numpy()
    assert np.allclose(bundle.session().run(None, {"x": images.numpy()})[0], ours, atol=1e-4)
    assert "review_cost" in Path(bundle.path / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_without_agreed_prices_the_least_sure_tenth_goes_to_a_person():
    data = small_data(("no", "yes"), channels=3)
    bundle = triage_bundle(data, profile="smoke")
    said = json.loads((bundle.path / "metadata.json").read_text(encoding="utf-8"))
    assert said["thresholds"].keys() == {"temperature", "min_confidence"} and len(said["mean"]) == 3
    mean, std = (torch.tensor(said[name]).view(-1, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        logits = bundle.model((data.val.images / 255 - mean) / std) / said["thresholds"]["temperature"]
    sure = logits.softmax(1).amax(1).numpy()
    assert (sure < said["thresholds"]["min_confidence"]).mean() == pytest.approx(0.1, abs=0.03)
