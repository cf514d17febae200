"""ONNX export and parity, latency, bundles (whole and hostile), cached models."""

import ast
import json
import os
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from course_utils import artifacts, models
from course_utils.artifacts import (
    BUNDLE_FILES,
    MANIFEST,
    BundleError,
    cached_model,
    export_onnx,
    find_bundle,
    latency,
    load_bundle,
    onnx_session,
    parity,
    parity_table,
    quantize_int8,
    save_bundle,
    sealed,
    time_in_turns,
)  # fmt: skip
from course_utils.artifacts import bundle as bundles

PACKAGE = Path(artifacts.__file__).parents[1]
METADATA = {
    "name": "OCT triage", "dataset": "oct-phantom", "simulated": True, "fingerprint": "abc123", "size": 32,
    "classes": ("CNV", "DME", "DRUSEN", "NORMAL"), "mean": 0.3, "std": 0.2, "split_seed": 0, "seed": 0,
}  # fmt: skip
METRICS = {"macro_f1": (0.89, 0.87, 0.91), "accuracy": np.float64(0.92)}


def make_model(seed=0, name="small_cnn", **kwargs):
    torch.manual_seed(seed)
    model = models.build(name, size=32, **kwargs)
    model(torch.rand(16, 1, 32, 32))  # BatchNorm statistics that differ from their defaults
    return model


def save(root, model=None, **changes):
    arguments = {"metadata": METADATA, "metrics": METRICS, "thresholds": {"abstain": 0.4}, "today": date(2026, 3, 9)}
    model = model if model is not None else make_model()
    return save_bundle(model, root=root, example=torch.rand(8, 1, 32, 32), **(arguments | changes))


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    return save(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def bundle(master, tmp_path):
    """A fresh copy to tamper with."""
    import shutil

    return Path(shutil.copytree(master, tmp_path / master.name))


def rewrite_manifest(folder):
    """What a forger does: make the manifest agree with the tampered files."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}
    listed = {name: {"bytes": len(content), "sha256": sealed.sha256(content)} for name, content in files.items()}
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "files": listed}))


# --- ONNX ---
@pytest.mark.parametrize("name", ["logistic", "small_cnn"])
def test_export_agrees_at_any_batch_size(tmp_path, capfd, name):
    model = make_model(name=name).train()
    path = export_onnx(model, tmp_path / "m.onnx", torch.rand(1, 1, 32, 32))
    output = capfd.readouterr()
    assert output.out == "" and output.err == ""
    assert model.training  # the caller's model is left as it was
    assert list(tmp_path.iterdir()) == [path]
    for count in (1, 3, 300):
        result = parity(model, path, torch.rand(count, 1, 32, 32))
        assert result["max_difference"] < 1e-5 and result["equal_decisions"] == 1.0


def test_exported_file_holds_no_path_of_this_machine(bundle):
    content = (bundle / "model.onnx").read_bytes()
    assert str(PACKAGE).encode() not in content and b"site-packages" not in content
    onnx.checker.check_model(onnx.load_model_from_string(content))


def test_parity_sees_a_difference(tmp_path):
    path = export_onnx(make_model(0), tmp_path / "m.onnx", torch.rand(2, 1, 32, 32))
    images = torch.rand(40, 1, 32, 32)
    assert parity(make_model(1), path, images)["max_difference"] > 1e-3
    broken = make_model(0)
    torch.nn.init.constant_(broken.head.weight, float("nan"))
    assert np.isnan(parity(broken, path, images)["max_difference"])


def test_the_largest_value_of_each_map_can_be_exported(tmp_path):
    """PyTorch 2.11, Colab's in August 2026, translates no AdaptiveMaxPool2d; the model itself keeps it."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()), nn.Linear(3, 2))
    images = torch.randn(5, 1, 9, 7)
    session = onnx_session(export_onnx(model, tmp_path / "m.onnx", images))
    np.testing.assert_allclose(session.run(None, {"x": images.numpy()})[0], model(images).detach(), atol=1e-6)
    assert isinstance(model[1][0], nn.AdaptiveMaxPool2d)


def test_onnx_session_refuses_what_is_no_model(tmp_path):
    bad = tmp_path / "bad.onnx"
    for content in (b"", b"not a model", os.urandom(500)):
        bad.write_bytes(content)
        with pytest.raises(BundleError, match=r"bad\.onnx cannot be read as an ONNX model"):
            onnx_session(bad)


def test_onnx_session_refuses_weights_in_other_files(bundle):
    proto = onnx.load(bundle / "model.onnx")
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    with pytest.raises(BundleError, match="keeps its weights in other files"):
        onnx_session(proto.SerializeToString())


def test_latency():
    result = latency(lambda batch: time.sleep(0.002), np.zeros((5, 3)), repeats=20, warmup=1)
    assert 2 <= result["p50_ms"] <= result["p99_ms"] < 200
    assert result["batch"] == 5 and 25 < result["throughput"] <= 2500
    with pytest.raises(ValueError, match="repeats is 0"):
        latency(len, [1], repeats=0)


def test_latency_does_not_count_the_warm_up():
    calls = []

    def slow_at_first(batch):
        calls.append(batch)
        time.sleep(0.2 if len(calls) <= 2 else 0)

    assert latency(slow_at_first, [1], repeats=5, warmup=2)["p99_ms"] < 150
    assert len(calls) == 7


# --- bundle ---
def test_bundle_round_trip(bundle):
    assert bundle.name.startswith("model_v20260309-") and len(bundle.name) == len("model_v20260309-") + 8
    assert {path.name for path in bundle.iterdir()} == {MANIFEST, *BUNDLE_FILES}
    loaded, images = load_bundle(bundle), torch.rand(20, 1, 32, 32)
    with torch.inference_mode():
        logits = make_model().eval()(images)
        assert torch.equal(loaded.model(images), logits)  # bit for bit
    (served,) = loaded.session().run(None, {"x": images.numpy()})
    assert np.allclose(served, logits.numpy(), atol=1e-5)
    assert loaded.version == bundle.name and not loaded.model.training
    assert loaded.metadata["metrics"] == {"macro_f1": [0.89, 0.87, 0.91], "accuracy": 0.92}
    assert loaded.metadata["model"]["name"] == "small_cnn"
    assert {"created", "course_utils", "torch", "git", "environment", "parameters"} <= loaded.metadata.keys()


def test_loading_leaves_the_random_state_alone(bundle):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_bundle(bundle)
    assert torch.equal(torch.rand(3), expected)


def test_model_card(bundle):
    card = (bundle / "MODEL_CARD.md").read_text()
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Model Details", "Intended Use", "Factors", "Metrics", "Evaluation Data", "Training Data",
        "Quantitative Analyses", "Ethical Considerations", "Caveats and Recommendations",
    ]  # fmt: skip
    assert "Not for clinical use" in card and "simulated" in card
    assert "macro_f1: 0.89 (0.87 to 0.91)" in card and bundle.name in card


def test_card_texts_can_be_replaced_and_real_data_is_not_called_simulated(tmp_path):
    metadata = METADATA | {"simulated": False, "card": {"Factors": "Two devices."}}
    card = (save(tmp_path, metadata=metadata) / "MODEL_CARD.md").read_text()
    assert "Two devices." in card and "simulated" not in card


def test_same_content_is_the_same_bundle_and_other_content_another(tmp_path):
    first = save(tmp_path)
    stamp = (first / "metadata.json").stat().st_mtime_ns
    assert save(tmp_path) == first and (first / "metadata.json").stat().st_mtime_ns == stamp
    assert save(tmp_path, thresholds={"abstain": 0.5}) != first
    assert save(tmp_path, make_model(1)) != first
    (first / "model.onnx").write_bytes(b"damaged")
    assert load_bundle(save(tmp_path)).path == first  # a damaged copy is written again
    assert not [path for path in tmp_path.iterdir() if ".tmp" in path.name]


@pytest.mark.parametrize("name", artifacts.REQUIRED)
def test_save_refuses_missing_metadata(tmp_path, name):
    with pytest.raises(BundleError, match=f"lacks {name}"):
        save(tmp_path, metadata={key: value for key, value in METADATA.items() if key != name})
    assert list(tmp_path.iterdir()) == []


def test_save_refuses_a_model_that_onnx_cannot_follow(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "parity", lambda *arguments: {"max_difference": float("nan")})
    with pytest.raises(BundleError, match="differs from the model by nan"):
        save(tmp_path)
    assert not list(tmp_path.glob("*model_v*"))


def test_save_refuses_a_model_without_config(tmp_path):
    with pytest.raises(ValueError, match=r"Linear has no \.config"):
        save(tmp_path, torch.nn.Linear(2, 2))


# --- hostile bundles: each is refused before a model is built or a weight is read ---
@pytest.fixture
def nothing_loads(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("something was loaded before the checks were over")

    for name in ("model_from", "onnx_session"):
        monkeypatch.setattr(bundles, name, refuse)


def refused(bundle, message):
    with pytest.raises(BundleError, match=message) as caught:
        load_bundle(bundle)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_tampered(bundle, nothing_loads, name):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    refused(bundle, f"{name} is not as it was written")


@pytest.mark.parametrize("name", BUNDLE_FILES)
@pytest.mark.parametrize("keep", [0, -1])
def test_truncated(bundle, nothing_loads, name, keep):
    (bundle / name).write_bytes((bundle / name).read_bytes()[:keep])
    refused(bundle, f"{name} is not as it was written")


@pytest.mark.parametrize("name", [MANIFEST, *BUNDLE_FILES])
def test_missing(bundle, nothing_loads, name):
    (bundle / name).unlink()
    refused(bundle, f"lacks {name}")


@pytest.mark.parametrize("name", ["extra.py", ".hidden", "weights.pkl"])
def test_extra_file(bundle, nothing_loads, name):
    (bundle / name).write_text("x")
    refused(bundle, f"holds {name}, which is no part")


def test_extra_folder(bundle, nothing_loads):
    (bundle / "inner").mkdir()
    refused(bundle, "holds inner")


@pytest.mark.parametrize("name", [MANIFEST, *BUNDLE_FILES])
def test_symlink(bundle, nothing_loads, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (bundle / name).rename(elsewhere)
    try:
        (bundle / name).symlink_to(elsewhere)
    except OSError:
        pytest.skip("this system makes no symbolic links")
    refused(bundle, f"{name} in .* is a link or a folder")


def test_folder_in_place_of_a_file(bundle, nothing_loads):
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").mkdir()
    refused(bundle, "model.onnx in .* is a link or a folder")


@pytest.mark.parametrize("name", ["../weights.safetensors", "/etc/passwd", "..\\x", "C:\\x", "inner/x", "model.onnx\0"])
def test_path_tricks_in_the_manifest(bundle, nothing_loads, name):
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"][name] = manifest["files"]["model.onnx"]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    refused(bundle, "lists .*a bundle's manifest lists exactly")


def test_manifest_that_leaves_a_file_out(bundle, nothing_loads):
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["files"]["model.onnx"]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    refused(bundle, "does not list 'model.onnx'")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"files": []}', '{"files": {"a": 1}}', "[" * 100_000])
def test_manifest_that_is_none(bundle, nothing_loads, text):
    (bundle / MANIFEST).write_text(text)
    refused(bundle, "is not a manifest")


def test_manifest_that_is_not_text(bundle, nothing_loads):
    (bundle / MANIFEST).write_bytes(b"\xff\xfe\x00")
    refused(bundle, "is not a manifest")


def test_oversize(bundle, nothing_loads, monkeypatch):
    monkeypatch.setattr(sealed, "MAX_BYTES", 100)
    refused(bundle, "is larger than")


def test_no_bundle(tmp_path, nothing_loads):
    refused(tmp_path / "nothing", "no bundle at")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "no bundle at")


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"name": "x"}'])
def test_forged_metadata(bundle, nothing_loads, text):
    (bundle / "metadata.json").write_text(text)
    rewrite_manifest(bundle)
    refused(bundle, r"metadata\.json in")


def test_forged_metadata_of_another_model(bundle):
    metadata = json.loads((bundle / "metadata.json").read_text())
    metadata["model"]["classes"] = 7
    (bundle / "metadata.json").write_text(json.dumps(metadata))
    rewrite_manifest(bundle)
    refused(bundle, "describe different models")


def forge_weights(bundle, config, change=lambda tensors: tensors):
    path = bundle / "weights.safetensors"
    tensors = change(load_tensors(path.read_bytes()))
    path.write_bytes(save_tensors(tensors, metadata=None if config is None else {"config": config}))
    rewrite_manifest(bundle)


@pytest.mark.parametrize(
    "config",
    [
        None,
        "no json",
        "[]",
        '{"name": "no_such_model"}',
        '{"name": "small_cnn", "__class__": 1}',
        '{"name": "small_cnn", "widths": "abc"}',
        '{"name": "mlp", "size": 64, "hidden": [1' + "0" * 30 + "]}",
        "[" * 100_000,
    ],
)
def test_forged_config(bundle, config):
    forge_weights(bundle, config)
    refused(bundle, "does not rebuild a model")


@pytest.mark.parametrize(
    "config",
    [
        '{"name": "small_cnn", "size": 32, "classes": 5}',
        '{"name": "mlp", "size": 4096, "hidden": [1000000, 1000000]}',  # 70 terabytes, were it allocated
    ],
)
def test_forged_config_of_another_size(bundle, config):
    forge_weights(bundle, config)
    refused(bundle, "holds other weights than its config")


def test_forged_weights_of_another_shape(bundle):
    config = json.dumps(make_model().config)
    forge_weights(bundle, config, lambda tensors: tensors | {"head.bias": torch.zeros(9)})
    refused(bundle, "holds other weights than its config")


def test_forged_weights_that_are_no_safetensors(bundle):
    torch.save(make_model().state_dict(), bundle / "weights.safetensors")
    rewrite_manifest(bundle)
    refused(bundle, "does not rebuild a model")


def test_a_pickle_that_calls_a_function_is_never_opened(bundle, tmp_path):
    """The hashes are right, the file is a real PyTorch file: still nothing of it is run."""
    trap = tmp_path / "somebody-was-here"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(trap),)

    for name in ("weights.safetensors", "model.onnx", "metadata.json"):
        content = (bundle / name).read_bytes()
        torch.save({"weights": make_model().state_dict(), "notes": Trap()}, bundle / name)
        rewrite_manifest(bundle)
        with pytest.raises(BundleError):
            load_bundle(bundle).session()
        (bundle / name).write_bytes(content)
    assert not trap.exists()
    torch.load(_gift(tmp_path, Trap), weights_only=False)  # the trap is a real one
    assert trap.exists()


def _gift(folder, trap):
    torch.save(trap(), folder / "gift.pt")
    return folder / "gift.pt"


UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "pandas.io.pickle"}


def unpickles(tree):
    """What in a module could open a pickle, in words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        else:
            names = set()
        yield from names & {*UNPICKLERS, "torch.load", "torch.jit.load", "pandas.read_pickle", "numpy.load"}
        if isinstance(node, ast.Call):
            name, said = ast.unparse(node.func), {word.arg: getattr(word.value, "value", "?") for word in node.keywords}
            if said.get("allow_pickle", False) is not False or (name == "np.load" and None in said):
                yield f"{name} with allow_pickle or **"
            if name == "torch.load" and said.get("weights_only") is not True:
                yield "torch.load without weights_only"
            if name.endswith(("read_pickle", "jit.load", "hub.load", "load_state_dict_from_url")):
                yield name


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_pickle_anywhere(path):
    assert not list(unpickles(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "from torch import load",
        "import torch\ntorch.load('x')",
        "torch.load('x', weights_only=False)",
        "torch.load('x', weights_only=wanted)",
        "np.load('x', allow_pickle=True)",
        "np.load('x', allow_pickle=wanted)",
        "np.load('x', **options)",
        "pd.read_pickle('x')",
        "torch.jit.load('x')",
    ],
)
def test_the_reader_of_our_code_finds_each_way_to_unpickle(code):
    assert list(unpickles(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["np.load('x')", "np.load('x', allow_pickle=False)", "torch.load(f, weights_only=True)"]
)
def test_and_lets_the_safe_ones_pass(code):
    assert not list(unpickles(ast.parse(code)))


# --- one bundle among others ---
def test_find_bundle_takes_the_newest_that_fits_and_passes_over_damage(tmp_path):
    assert find_bundle(tmp_path / "nothing", {"seed": 0}) is None
    old, new = (save(tmp_path, today=date(2026, 3, day)) for day in (1, 9))
    other = save(tmp_path, metadata=METADATA | {"seed": 1, "recipe": {"epochs": 3, "widths": (1, 2)}})
    assert find_bundle(tmp_path, {"seed": 0}).path == new
    assert find_bundle(tmp_path, {"recipe": {"epochs": 3, "widths": (1, 2)}}).path == other  # tuples are JSON's lists
    assert find_bundle(tmp_path, {"recipe": {"epochs": 4, "widths": (1, 2)}}) is None
    assert find_bundle(tmp_path, {"no_such": None, "seed": 0}) is None
    (new / "model.onnx").write_bytes(b"damaged")
    assert find_bundle(tmp_path, {"seed": 0}).path == old


# --- parity, turns, int8 ---
def test_parity_table():
    reference = np.array([[2.0, 1.0], [0.0, 1.0], [0.3, 0.2], [5.0, 0.0]], np.float32)
    moved = reference + np.array([[0, 0], [0, 0], [0, 0.25], [0, 0]], np.float32)
    table = parity_table({"same": reference, "moved": moved}, reference)
    assert table.loc["same"].tolist() == [0, 0, 1]
    assert table.loc["moved"].tolist() == pytest.approx([0.25, 1, 0.75])
    by_first = parity_table({"moved": moved}, reference, decide=lambda scores: scores[:, 0] > 1)
    assert by_first.different.tolist() == [0]
    assert np.isnan(parity_table({"broken": reference * np.nan}, reference).max_difference.item())
    with pytest.raises(ValueError, match=r"short gave \(3, 2\) numbers, the reference \(4, 2\)"):
        parity_table({"short": reference[:3]}, reference)


def test_time_in_turns():
    order = []
    runners = {"slow": lambda x: (order.append("slow"), time.sleep(0.004)), "quick": lambda x: order.append("quick")}
    table = time_in_turns(runners, None, rounds=3, calls=4)
    assert order == (["slow"] * 5 + ["quick"] * 5) * 3  # in turns, the first call of a turn not counted
    assert table.groupby(["runner", "round"]).size().tolist() == [4] * 6
    assert 4 <= table[table.runner == "slow"].ms.median() < 100 > table[table.runner == "quick"].ms.median()


@pytest.fixture(scope="module")
def quantized(master):
    """The ONNX bytes of a bundle, images to calibrate on, and the int8 bytes."""
    images = torch.rand(100, 1, 32, 32)
    content = (master / "model.onnx").read_bytes()
    return content, images, quantize_int8(content, images)


def test_int8_is_small_and_close(quantized, capfd):
    content, images, small = quantized
    assert len(content) > 2.9 * len(small)
    wide, narrow = (onnx_session(file).run(None, {"x": images.numpy()})[0] for file in (content, small))
    assert 0 < np.abs(wide - narrow).max() < 0.1 * np.ptp(wide)
    assert {"QLinearConv", "QGemm"} <= {node.op_type for node in onnx.load_model_from_string(small).graph.node}


def test_int8_weights_are_the_rounded_ones(quantized):
    """Each stored integer is the weight over its channel's scale, rounded: the formula of the lesson."""
    content, _, small = quantized
    proto = onnx.load_model_from_string(small)
    stored = {item.name: onnx.numpy_helper.to_array(item) for item in proto.graph.initializer}
    given = {item.name: item for item in onnx.load_model_from_string(content).graph.initializer}
    checked = 0
    for name, integers in stored.items():
        if name.endswith("_quantized") and integers.dtype == np.int8 and integers.ndim == 4:
            weight = onnx.numpy_helper.to_array(given[name.removesuffix("_quantized")])
            scale = np.abs(weight).max((1, 2, 3), keepdims=True) / 127
            assert np.abs(integers - weight / scale).max() <= 0.51
            checked += 1
    assert checked == 3


def test_int8_says_what_does_not_fit(quantized):
    content, images, _ = quantized
    for wrong in (images[:0], images.repeat(1, 3, 1, 1), images[..., :16]):
        with pytest.raises(ValueError, match="cannot calibrate a model that needs"):
            quantize_int8(content, wrong)
    with pytest.raises(BundleError, match="cannot be read as an ONNX model"):
        quantize_int8(b"no model", images)


# --- devices ---
def test_device_says_which_extra_is_missing(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("executorch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "executorch", None)
    images = torch.rand(2, 1, 32, 32)
    for call in (lambda: artifacts.export_executorch(make_model(), images), lambda: artifacts.executorch_runner(b"")):
        with pytest.raises(
            ImportError, match=r'executorch.* is not installed; get it with: pip install "course-utils\[device'
        ):
            call()


def test_executorch_agrees_with_the_model(capfd):
    pytest.importorskip("executorch", reason="the optional extra `device` is not installed")
    model, images = make_model().train(), torch.rand(20, 1, 32, 32)
    wide, small = (artifacts.export_executorch(model, images, scans) for scans in (None, images))
    assert model.training and len(wide) > 2 * len(small)
    with torch.inference_mode():
        logits = model.eval()(images).numpy()
    table = parity_table({"wide": artifacts.executorch_runner(wide)(images)}, logits)
    assert table.max_difference.item() < 1e-4 and table.different.item() == 0
    assert np.abs(artifacts.executorch_runner(small)(images.numpy()) - logits).max() < 0.1 * np.ptp(logits)
    assert capfd.readouterr() == ("", "")


# --- cached models ---
HISTORY = pd.DataFrame({"epoch": [0, 1], "val_loss": [0.1 + 0.2, 1 / 3], "val_accuracy": [0.5, float("nan")]})


def counting_make(made, seed=0):
    def make():
        made.append(seed)
        np.random.seed(123)
        return make_model(seed), HISTORY

    return make


def test_cached_model_is_made_once(tmp_path, capsys):
    made, config = [], {"lr": 1e-3, "widths": (16, 32), "data": "abc"}
    model, first = cached_model("small", config, counting_make(made), root=tmp_path)
    assert not first["loaded"] and capsys.readouterr().out.startswith("small: made in 0 s and kept in small-")
    again, info = cached_model("small", config, counting_make(made), root=tmp_path)
    assert info["loaded"] and capsys.readouterr().out == f"small: loaded from {info['path'].name}\n"
    assert len(made) == 1 and not model.training and not again.training
    pd.testing.assert_frame_equal(info["history"], HISTORY)
    pd.testing.assert_frame_equal(info["history"], first["history"], check_exact=True)
    images = torch.rand(4, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model(images), again(images))
    assert str(tmp_path) not in capsys.readouterr().out


def test_another_config_is_another_model(tmp_path):
    made = []
    for config in ({"lr": 1e-3}, {"lr": 2e-3}, {"lr": 1e-3, "seed": 1}):
        cached_model("small", config, counting_make(made), root=tmp_path)
    assert len(made) == 3


def test_cached_model_leaves_random_states_alone(tmp_path):
    after = []
    for _ in range(2):  # made, then loaded
        torch.manual_seed(1), np.random.seed(1)
        cached_model("small", {}, counting_make([]), root=tmp_path)
        after.append((torch.rand(2).tolist(), np.random.rand(2).tolist()))
    torch.manual_seed(1), np.random.seed(1)
    assert after == [(torch.rand(2).tolist(), np.random.rand(2).tolist())] * 2


@pytest.mark.parametrize("name", [MANIFEST, *artifacts.CACHE_FILES])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-3])])
def test_damaged_cache_is_made_again(tmp_path, capsys, name, damage):
    made = []
    _, info = cached_model("small", {}, counting_make(made), root=tmp_path)
    damage(info["path"] / name)
    _, info = cached_model("small", {}, counting_make(made), root=tmp_path)
    assert not info["loaded"] and len(made) == 2
    assert capsys.readouterr().out.endswith(", in place of a damaged copy\n")
    assert cached_model("small", {}, counting_make(made), root=tmp_path)[1]["loaded"]


def test_failing_make_leaves_nothing(tmp_path):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_model("small", {}, fail, root=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert not cached_model("small", {}, counting_make([]), root=tmp_path)[1]["loaded"]


def test_cached_model_without_history(tmp_path):
    make = lambda: (make_model(), None)  # noqa: E731
    for _ in range(2):
        _, info = cached_model("small", {}, make, root=tmp_path)
        assert info["history"].empty


def test_default_root_is_the_runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    _, info = cached_model("small", {}, counting_make([]))
    assert info["path"].parent == tmp_path / "models"
