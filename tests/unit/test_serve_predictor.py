"""From bytes to decision: the bare session's numbers, the agreed rule, and bundles that do not fit refused."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from course_utils.artifacts import BundleError
from course_utils.data import DataError
from course_utils.data.pictures import MAX_SCANS, decode_image, read_image
from course_utils.serve import REFER, Predictor
from tests.unit.serve_kit import CLASSES, PRICES, as_file, make_bundle, scans, shared_bundle


@pytest.fixture(scope="module")
def bundle():
    return shared_bundle()


@pytest.fixture(scope="module")
def predictor(bundle):
    return Predictor(bundle)


def changed(bundle, **thresholds):
    return replace(bundle, metadata=bundle.metadata | {"thresholds": thresholds})


def test_logits_are_those_of_the_bare_session(bundle, predictor):
    images = scans(40)
    x = ((images[:, None] / 255 - 0.3) / 0.2).astype(np.float32)
    bare = bundle.session().run(None, {"x": x})[0]
    np.testing.assert_array_equal(predictor.logits(images), bare)
    bits = np.concatenate([predictor.logits(images[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(bits, bare, atol=1e-4)


def test_answers_follow_the_prices(predictor):
    images, cost = scans(60), np.array(PRICES["cost"])
    logits = predictor.logits(images).astype(float)
    exps = np.exp(logits / 0.8 - (logits / 0.8).max(1, keepdims=True))
    probs = exps / exps.sum(1, keepdims=True)
    answers, seen = predictor.predict(images), set()
    for p, row, answer in zip(probs, logits, answers):
        prices = dict(zip(PRICES["decisions"], (p[:, None] * cost).sum(0))) | {REFER: 0.7}
        assert answer["decision"] == min(prices, key=prices.get)
        assert answer["label"] == CLASSES[p.argmax()]
        np.testing.assert_allclose(list(answer["probabilities"].values()), p, atol=1e-6)
        assert list(answer["probabilities"]) == list(CLASSES) and answer["logits"] == pytest.approx(list(row))
        seen.add(answer["decision"])
    assert REFER in seen and len(seen) > 1, "a test that sees one decision proves little"


def test_without_prices_confidence_decides(bundle):
    images = scans(60)
    shy = Predictor(changed(bundle, temperature=1.0, min_confidence=0.6))
    tops = [max(answer["probabilities"].values()) for answer in shy.predict(images)]
    assert min(tops) < 0.6 < max(tops)
    for answer, top in zip(shy.predict(images), tops):
        assert answer["decision"] == (answer["label"] if top >= 0.6 else REFER)
    bold = Predictor(changed(bundle, temperature=1.0))
    assert REFER not in bold.decisions and all(a["decision"] == a["label"] for a in bold.predict(images))


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"temperature": 0}, "temperature"),
        ({"temperature": "warm"}, "numbers"),
        ({"temperature": float("nan")}, "temperature"),
        ({"cost": [[0, 1], [1, 0]]}, "shape"),
        ({"cost": [[0, 1], [1]]}, "numbers"),
        (PRICES | {"cost": [[float("inf")] * 3] * 4}, "finite"),
        (PRICES | {"decisions": ["a", "b"]}, "shape"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(bundle, thresholds, words):
    with pytest.raises(BundleError, match=words):
        Predictor(changed(bundle, **thresholds))


@pytest.mark.parametrize("said", [{"mean": [0.1, 0.2]}, {"std": 0}, {"mean": "grey"}, {"classes": ["one", "two"]}])
def test_metadata_that_does_not_fit_is_refused(bundle, said):
    with pytest.raises(BundleError):
        Predictor(replace(bundle, metadata=bundle.metadata | said | {"thresholds": {}}))


@pytest.mark.parametrize("images", [scans(2, 31), scans(2).astype(float), scans(2)[0], scans(2, channels=3), scans(0)])
def test_other_arrays_are_refused(predictor, images):
    with pytest.raises(ValueError, match="uint8 \\(N, 32, 32"):
        predictor.predict(images)


def test_a_colour_model_sees_colours(tmp_path):
    colour = Predictor(make_bundle(tmp_path, channels=3, mean=[0.3, 0.4, 0.5], std=[0.2, 0.2, 0.3]))
    images = scans(5, channels=3)
    decoded = np.stack([colour.decode(as_file(image), "x.png") for image in images])
    np.testing.assert_array_equal(decoded, images)
    x = ((images / 255 - [0.3, 0.4, 0.5]) / [0.2, 0.2, 0.3]).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_array_equal(colour.logits(images), colour.session.run(None, {"x": np.ascontiguousarray(x)})[0])


def test_decoding_is_what_the_folder_reader_does(predictor, tmp_path):
    for n, kind in enumerate(("PNG", "JPEG", "BMP", "TIFF")):
        pixels = scans(1, 80, seed=n)[0, :, :60]
        file = tmp_path / f"x.{kind.lower()}"
        file.write_bytes(as_file(pixels, kind))
        theirs = read_image(file, 32)
        assert (theirs == theirs[..., :1]).all()
        np.testing.assert_array_equal(predictor.read(file), theirs[..., 0])
        np.testing.assert_array_equal(predictor.decode(file.read_bytes(), "x"), theirs[..., 0])


def test_colour_becomes_grey_before_it_is_resized(predictor):
    pixels = scans(1, 90, channels=3)[0]
    grey = Image.fromarray(pixels).convert("L").resize((32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(predictor.decode(as_file(pixels), "x"), np.asarray(grey))


def test_what_cannot_be_decoded_is_refused_in_a_sentence(predictor):
    jpeg = as_file(scans(1, 64)[0], "JPEG")
    start = jpeg.index(b"\xff\xda")
    passes = jpeg[:start] + jpeg[start:-2] * (MAX_SCANS + 1) + jpeg[-2:]
    bad = {
        "text": b"hello", "nothing": b"", "passes": passes, "cut": jpeg[: len(jpeg) // 2],
        "wide": as_file(np.zeros((4, 900), np.uint8)), "deep": as_file(np.zeros((20, 20), np.uint16)),
    }  # fmt: skip
    for name, content in bad.items():
        with pytest.raises(DataError, match=f"^{name} ") as caught:
            predictor.decode(content, name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 250
    with pytest.raises(DataError, match="at most|the most that is read"):
        decode_image(as_file(np.zeros((100, 101), np.uint8)), "large", 32, max_pixels=10_000)
    with pytest.raises(DataError, match="BMP, PNG"):
        decode_image(jpeg, "a jpeg", 32, formats=("BMP", "PNG"))


def test_broken_files_of_every_kind_end_in_data_errors():
    """Bytes flipped and cut at random: a picture or a DataError, nothing else, whatever Pillow raises inside."""
    rng, outcomes = np.random.default_rng(0), set()
    files = [as_file(scans(1, 24)[0], kind) for kind in ("PNG", "JPEG", "BMP", "TIFF")]
    for n in range(1200):
        content = bytearray(files[n % 4])
        for _ in range(int(rng.integers(1, 6))):
            content[int(rng.integers(min(len(content), 120) if n % 3 else len(content)))] = int(rng.integers(256))
        try:
            cut = int(rng.integers(20, len(content))) if n % 5 == 0 else None
            decoded = decode_image(bytes(content[:cut]), "x", 16)
            assert decoded.shape == (16, 16, 3)
            outcomes.add("picture")
        except DataError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert outcomes == {"picture", "refused"}
