"""A project of one's own: what is opened, its models, the bundle of a number, and the page that is written."""

import json
import re
from datetime import date

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from course_utils import models, project
from course_utils.artifacts import BundleError, Picture, Warn, load_bundle, parity, save_bundle, write_report
from course_utils.artifacts.report import PNG
from course_utils.data import DataError
from course_utils.recipes import PLAIN
from course_utils.serve.predictor import Predictor

PNG_BYTES = PNG + b"and so on"


def table(n=120, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {"size": rng.normal(50, 20, n), "age": rng.integers(20, 80, n), "sex": rng.choice(["f", "m"], n)}
    )
    rows["price"] = 3 * rows["size"] + 10 * (rows["sex"] == "f") + rng.normal(0, 5, n)
    rows["kind"] = np.select([rows["size"] > 60, rows["size"] > 40], ["large", "medium"], "small")
    return rows.assign(yes=np.where(rows["size"] > 50, "yes", "no")).round(3)


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    table().to_csv(path, index=False)
    return path


TARGETS = {"price": ["kind", "yes"], "kind": ["price", "yes"], "yes": ["price", "kind"]}


@pytest.fixture(params=TARGETS)
def own(request, csv):
    return project.open_project(csv, target=request.param, leave_out=TARGETS[request.param])


# --- opening ----------------------------------------------------------------------------------------------------------
def folder_of_pictures(folder, n=12, classes=("cat", "dog"), size=20):
    rng = np.random.default_rng(0)
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 100, (size, size)) + 100 * place
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_a_folder_of_pictures_is_a_project_of_classes(tmp_path):
    own = project.open_project(folder_of_pictures(tmp_path / "pets"), size=16)
    assert own.pictures and own.classes == ("cat", "dog") and own.metric == "macro recall"
    assert project.plain(own.data.train).shape == (len(own.data.train), 16 * 16)
    model, history = project.train_network(own, seed=0, epochs=1, recipe=PLAIN)
    probs = project.as_answers(own, project.network_outputs(model, own, own.data.val))
    assert probs.shape == (len(own.data.val), 2) and len(history) == 1
    line = project.baselines("classification")["linear"].fit(
        project.plain(own.data.train), project.truth(own.data.train)
    )
    assert own.score(project.truth(own.data.val), project.baseline_answers(line, own, own.data.val)) == 1


def one_class(folder):
    return folder_of_pictures(folder, classes=("cat",))


def torn_picture(folder):
    folder_of_pictures(folder)
    (folder / "cat" / "3.png").write_bytes(b"no picture")
    return folder


def empty_class(folder):
    folder_of_pictures(folder)
    (folder / "empty").mkdir()
    return folder


def nothing(folder):
    return folder / "nowhere"


def letter(folder):
    folder.mkdir()
    (folder / "letter.docx").write_bytes(b"PK")
    return folder / "letter.docx"


REFUSED = {
    one_class: "1 class folders",
    torn_picture: "no picture of a kind that is read",
    empty_class: "holds no picture",
    nothing: "no file or folder",
    letter: "neither a table",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_is_no_project_is_refused_in_one_sentence(tmp_path, make):
    with pytest.raises(DataError, match=REFUSED[make]) as caught:
        project.open_project(make(tmp_path / "there"))
    assert "\n" not in str(caught.value)


def test_columns_belong_to_tables_and_tables_need_a_target(tmp_path, csv):
    with pytest.raises(DataError, match="TARGET"):
        project.open_project(csv)
    with pytest.raises(DataError, match="belong to a CSV"):
        project.open_project(folder_of_pictures(tmp_path / "pets"), target="kind")


# --- models -----------------------------------------------------------------------------------------------------------
def test_the_network_standardises_by_itself():
    x = torch.randn(200, 3) * torch.tensor([1.0, 1000.0, 0.0]) + torch.tensor([5.0, -3.0, 2.0])
    model = models.build("table_mlp", in_channels=3, classes=1).standardize(x).eval()
    inside = model.features[0](x)
    assert torch.allclose(inside.mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(inside.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-3)
    twin = models.build(**model.config).eval()
    twin.load_state_dict(model.state_dict())
    assert model(x).shape == (200, 1) and torch.equal(twin(x), model(x))


def test_a_straight_line_is_a_network_without_hidden_layers(own):
    """Equal to scikit-learn for a number, two classes and three."""
    line = project.baselines(own.task)["linear"].fit(project.plain(own.data.train), project.truth(own.data.train))
    model = project.linear_network(line, own)
    answers = project.as_answers(own, project.network_outputs(model, own, own.data.val))
    assert np.allclose(answers, project.baseline_answers(line, own, own.data.val), rtol=1e-4, atol=1e-4)


def test_the_network_learns_and_repeats(own):
    runs = [project.train_network(own, seed=3, epochs=25, recipe=PLAIN)[0] for _ in range(2)]
    first, second = (project.as_answers(own, project.network_outputs(model, own, own.data.val)) for model in runs)
    assert np.array_equal(first, second)
    nothing = project.baselines(own.task)["nothing learned"]
    nothing.fit(project.plain(own.data.train), project.truth(own.data.train))
    y = project.truth(own.data.val)
    lead = own.score(y, first) - own.score(y, project.baseline_answers(nothing, own, own.data.val))
    assert own.better * lead > (0.2 if own.classes else 20)


def test_less_training_data_is_whole_groups_and_changes_nothing_else(tmp_path):
    rows = table().assign(patient=[f"P{i // 4}" for i in range(120)])
    rows.to_csv(tmp_path / "t.csv", index=False)
    own = project.open_project(tmp_path / "t.csv", target="kind", groups="patient", leave_out=["price", "yes"])
    before = len(own.data.train), own.data.fingerprint
    less = own.with_train(project.some(own.data.train, 0.5, seed=1))
    assert len(less.data.train) < before[0] == len(own.data.train) and less.data.fingerprint != before[1]
    assert (pd.Series(less.data.train.groups).value_counts() == 4).all() and less.data.val is own.data.val


def test_a_dozen_pictures_prove_nothing_and_the_sentence_says_so(own):
    few, many = project.what_it_proves(own, 2), project.what_it_proves(own, 400)
    assert few.startswith("2 test cases prove nothing yet") and many.startswith("There are 400 test cases")
    assert ("0.34" in few and "0.99" in many) if own.classes else ("±105 %" in few and "±7 %" in many)


def test_answers_that_are_all_right_still_leave_room(own):
    y = project.truth(own.data.val)
    if own.task == "regression":
        assert own.interval(own.data.val, y) == (0, 0, 0)
        return
    perfect = np.eye(len(own.classes))[y]
    found = own.interval(own.data.val, perfect, draws=20)
    assert found.value == found.high == 1 and 0.7 < found.low < 0.9
    some = perfect.copy()
    some[0] = perfect[0][::-1] if y[0] != 1 or len(own.classes) == 2 else np.roll(perfect[0], 1)
    assert own.interval(own.data.val, some, draws=20).value < 1


# --- the bundle -------------------------------------------------------------------------------------------------------
def bundle_of(own, root, **changes):
    model, _ = project.train_network(own, seed=0, epochs=2, recipe=PLAIN)
    said = {"name": "own", "dataset": own.name, "simulated": False, "fingerprint": own.data.fingerprint}
    said |= {"mean": 0.0, "std": 1.0, "split_seed": 0, "seed": 0, "prepared": own.data.prepared.to_dict()}
    mean, std = project.target_scale(own) if own.task == "regression" else (0.0, 1.0)
    target = {"target": {"name": own.data.target, "unit": "€", "mean": mean, "std": std}}
    said |= {"classes": own.classes} if own.classes else target
    told = {"thresholds": {"temperature": 1.0}, "metrics": {}, "today": date(2026, 3, 9), "metadata": said | changes}
    return model, save_bundle(model, root=root, example=torch.from_numpy(own.data.val.x), **told)


def test_a_bundle_answers_to_raw_rows_what_the_model_answers(own, tmp_path):
    model, path = bundle_of(own, tmp_path)
    bundle = load_bundle(path)
    assert parity(bundle.model, bundle.onnx, torch.from_numpy(own.data.val.x))["max_difference"] < 1e-4
    raw = own.data.val.raw[["size", "age", "sex"]].to_dict("records")
    expected = project.as_answers(own, project.network_outputs(model, own, own.data.val))
    assert np.allclose(project.ask(bundle, raw), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(DataError, match="lack 'size'"):
        project.ask(bundle, [{"age": 3, "sex": "f"}])


def number_project(csv):
    return project.open_project(csv, target="price", leave_out=TARGETS["price"])


def test_the_service_refuses_a_model_of_a_number_and_one_of_rows(csv, tmp_path):
    _, path = bundle_of(number_project(csv), tmp_path)
    with pytest.raises(BundleError, match=r"answers with a number \(price\), not with classes"):
        Predictor(load_bundle(path))
    card = (path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- target: " in card and "- classes: " not in card
    _, path = bundle_of(project.open_project(csv, target="kind", leave_out=TARGETS["kind"]), tmp_path)
    with pytest.raises(BundleError, match="takes inputs of shape"):
        Predictor(load_bundle(path))


BAD_TARGETS = [None, "price", {"name": "p"}, {"name": "p", "unit": "", "mean": 0, "std": 0}]
BAD_TARGETS += [
    {"name": "p", "unit": "", "mean": float("nan"), "std": 1},
    {"name": "p", "unit": "", "mean": 1, "std": "x"},
]


@pytest.mark.parametrize("target", BAD_TARGETS)
def test_a_target_that_turns_no_answer_into_a_number_is_refused(csv, tmp_path, target):
    with pytest.raises(BundleError, match="the metadata's target is"):
        bundle_of(number_project(csv), tmp_path, target=target)
    assert not list(tmp_path.glob("model_v*"))


def test_target_and_classes_together_are_refused_and_so_is_neither(csv, tmp_path):
    own = number_project(csv)
    with pytest.raises(BundleError, match="in the place of classes"):
        bundle_of(own, tmp_path, classes=("a", "b"))
    _, path = bundle_of(own, tmp_path)
    metadata = json.loads((path / "metadata.json").read_text())
    wanted = {key: metadata[key] for key in metadata.keys() - {"target", "classes"}}
    model = load_bundle(path).model
    with pytest.raises(BundleError, match="lacks classes"):
        save_bundle(model, root=tmp_path, metadata=wanted, metrics={}, thresholds={}, example=torch.zeros(2, 4))


# --- the report -------------------------------------------------------------------------------------------------------
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def test_every_text_of_a_report_stays_text(tmp_path):
    rows = pd.DataFrame({HOSTILE: [HOSTILE]}, index=pd.Index([HOSTILE], name=HOSTILE))
    items = [HOSTILE, [HOSTILE], Warn(HOSTILE), rows, Picture(PNG_BYTES, HOSTILE)]
    page = write_report(tmp_path / "r.html", HOSTILE, [(HOSTILE, items)]).read_text(encoding="utf-8")
    assert "<script" not in page and page.count("&lt;script&gt;") == 11
    assert re.findall(r"<img [^>]*>", page) == re.findall(
        r'<img alt="&quot;&gt;[^"<>]*" src="data:image/png;[^"<>]*">', page
    )
    assert "default-src 'none'" in page and not re.search(r"(?:src|href)=\"(?!data:)", page)


def test_a_report_shows_numbers_short_and_says_what_it_left_out(tmp_path):
    rows = pd.DataFrame({"score": [0.123456789, float("nan")] + [1.0] * 300})
    page = write_report(tmp_path / "r.html", "t", [("rows", [rows])]).read_text(encoding="utf-8")
    assert "<td>0.1235</td>" in page and "<td>–</td>" in page and "102 more rows" in page


def test_lone_surrogates_do_not_stop_a_report(tmp_path):
    assert write_report(tmp_path / "r.html", "odd \ud800 name", []).exists()


@pytest.mark.parametrize(
    ("item", "error"),
    [(7, TypeError), (Picture(b"GIF89a", "a picture"), ValueError), (Picture(PNG_BYTES, " "), ValueError)],
)
def test_what_a_report_cannot_show_is_refused_and_leaves_the_old_page(tmp_path, item, error):
    old = write_report(tmp_path / "r.html", "old", [])
    before = old.read_text()
    with pytest.raises(error, match="report"):
        write_report(tmp_path / "r.html", "new", [("x", [item])])
    assert old.read_text() == before and [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_a_figure_becomes_a_picture():
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(1, 1))
    assert Picture.of(figure, "an empty figure").png.startswith(PNG)
