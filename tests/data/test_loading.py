"""`load_dataset` on every kind of source: the simulated set and its cache, files, folders, downloads, real scans."""

import functools
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from course_utils import phantom
from course_utils.data import DataError, LockedError, ScanDataset, load_dataset, medmnist
from course_utils.data import cache as cache_module
from course_utils.data.load import PHANTOM_COUNTS

CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")
REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = {"n_train": 60, "n_val": 30, "n_test": 30, "seed": 1, "size": 28}
rng = np.random.default_rng(0)


# --- the simulated set -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def simulated(folder):
    return load_dataset(cache=folder)


def test_the_simulated_set_says_what_it_is(simulated):
    assert simulated.simulated and simulated.has_table and "not for clinical use" in simulated.source
    assert (simulated.name, simulated.classes, simulated.channels, simulated.size) == ("oct-phantom", CLASSES, 1, 64)
    assert (len(simulated.train), len(simulated.val)) == (PHANTOM_COUNTS["train"], PHANTOM_COUNTS["val"])


def test_scans_labels_tables_and_keys_belong_together(simulated):
    for name, split in (("train", simulated.train), ("val", simulated.val)):
        assert split.images.dtype == torch.uint8 and split.images.shape[1:] == (1, 64, 64)
        assert np.array_equal(split.meta["label"], split.labels) and np.array_equal(
            split.meta["patient_id"], split.groups
        )
        assert list(simulated.answer_key(name)["scan_id"]) == list(split.meta["scan_id"])


def test_the_tests_answer_key_is_locked_with_it(simulated):
    with pytest.raises(LockedError):
        simulated.answer_key("test")
    with pytest.raises(DataError, match="no split"):
        simulated.answer_key("tset")


def test_no_patient_is_in_two_splits(simulated):
    owners = [set(split.groups) for split in (simulated.train, simulated.val, simulated._test)]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])


def test_mean_and_std_come_from_the_training_scans(simulated):
    pixels = simulated.train.images.double() / 255
    assert simulated.mean == pytest.approx(float(pixels.mean())) and simulated.std == pytest.approx(float(pixels.std()))


def test_the_second_load_is_quick_and_the_same(simulated, folder):
    start = time.perf_counter()
    again = load_dataset(cache=folder)
    assert time.perf_counter() - start < 1
    assert again.fingerprint == simulated.fingerprint
    pd.testing.assert_frame_equal(again.train.meta, simulated.train.meta)
    pd.testing.assert_frame_equal(again.answer_key("val"), simulated.answer_key("val"))


def test_fewer_scans_are_whole_patients_of_the_same_set(simulated, folder):
    few = load_dataset(cache=folder, n_train=400, n_val=100, n_test=100)
    assert 380 <= len(few.train) <= 400 and len(few.answer_key("train")) == len(few.train)
    counts = pd.Series(simulated.train.groups).value_counts()
    assert all(counts[patient] == n for patient, n in pd.Series(few.train.groups).value_counts().items())
    assert few.fingerprint != simulated.fingerprint
    assert len(list(folder.glob("*.npz"))) == 1


def test_tables_survive_the_cache_unchanged():
    made = phantom.make_dataset(**SMALL)
    kept = cache_module._unpack(cache_module._pack(made))
    for name, split in made.items():
        pd.testing.assert_frame_equal(kept[name].meta, split.meta)
        pd.testing.assert_frame_equal(kept[name].key, split.key)
        assert np.array_equal(kept[name].images, split.images)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text"])
def test_a_damaged_cache_is_noticed_and_made_again(tmp_path, damage):
    made = cache_module.cached_phantom(SMALL, tmp_path)
    (path,) = tmp_path.glob("*.npz")
    whole = path.read_bytes()
    flipped = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    path.write_bytes({"cut": whole[: len(whole) // 2], "flipped": flipped, "text": b"hello"}[damage])
    with pytest.warns(UserWarning, match="was damaged"):
        again = cache_module.cached_phantom(SMALL, tmp_path)
    assert np.array_equal(again["train"].images, made["train"].images)
    assert path.read_bytes() == whole


def test_a_change_of_the_simulator_or_its_parameters_makes_a_new_file(tmp_path, monkeypatch):
    before = cache_module._key(SMALL)
    assert cache_module._key(SMALL | {"seed": 2}) != before
    (tmp_path / "__init__.py").write_text("# another simulator\n")
    monkeypatch.setattr(phantom, "__file__", str(tmp_path / "__init__.py"))
    assert cache_module._key(SMALL) != before


def test_a_folder_that_cannot_be_written_only_costs_the_time(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="is not kept"):
        made = cache_module.cached_phantom(SMALL, tmp_path / "file")
    assert set(made) == {"train", "val", "test"}


def test_a_failed_making_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module.np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache_module.cached_phantom(SMALL, tmp_path)
    assert not [file for file in tmp_path.iterdir() if file.suffix != ".lock"]


@pytest.mark.slow
def test_two_lessons_at_once_share_one_making(tmp_path):
    """Two processes ask for the same set at the same moment; both get it, and one file is left."""
    code = (
        "from course_utils.data.cache import cached_phantom; from pathlib import Path; import hashlib\n"
        f"made = cached_phantom({SMALL}, Path({str(tmp_path)!r}))\n"
        "print(hashlib.sha256(made['train'].images.tobytes()).hexdigest())"
    )
    lessons = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    digests = [lesson.communicate(timeout=120)[0].strip() for lesson in lessons]
    assert [lesson.returncode for lesson in lessons] == [0, 0]
    assert digests[0] == digests[1] != ""
    assert len(list(tmp_path.glob("*.npz"))) == 1 and not list(tmp_path.glob("*.tmp*"))


# --- files -----------------------------------------------------------------------------------------------------------
def medmnist_file(
    path: Path, size: int = 28, colour: bool = False, classes: int = 4, column: bool = True, **more
) -> Path:
    arrays = dict(more)
    for split, n in (("train", 40), ("val", 12), ("test", 16)):
        shape = (n, size, size, 3) if colour else (n, size, size)
        arrays[f"{split}_images"] = rng.integers(0, 256, shape, dtype=np.uint8)
        labels = (np.arange(n) % classes).astype(np.uint8)
        arrays[f"{split}_labels"] = labels[:, None] if column else labels
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("column", [True, False])
@pytest.mark.parametrize("colour", [True, False])
def test_a_file_loads_as_it_is(tmp_path, colour, column):
    path = medmnist_file(tmp_path / "mine.npz", colour=colour, column=column)
    data = load_dataset(path)
    with np.load(path) as arrays:
        pixels = arrays["train_images"].transpose(0, 3, 1, 2) if colour else arrays["train_images"][:, None]
        assert np.array_equal(data.train.images, pixels)
        assert np.array_equal(data.train.labels, arrays["train_labels"].ravel())
    assert (data.channels, data.size, data.name) == (3 if colour else 1, 28, "mine")
    assert not data.simulated and not data.has_table and data.benchmark is None
    assert isinstance(data.mean, tuple if colour else float)


def test_larger_pictures_are_shrunk_and_smaller_ones_stay(tmp_path):
    path = medmnist_file(tmp_path / "mine.npz", size=40)
    assert load_dataset(path, size=28).train.images.shape == (40, 1, 28, 28)
    assert load_dataset(path, size=64).size == 40


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [
        ("mine.npz", 3, ("class 0", "class 1", "class 2")),
        ("my_oct_scans.npz", 4, CLASSES),
        ("my_oct_scans.npz", 3, ("class 0", "class 1", "class 2")),
        ("octmnist_64.npz", 4, CLASSES),
        ("breastmnist.npz", 2, ("malignant", "normal, benign")),
    ],
)
def test_classes_get_the_names_that_fit(tmp_path, name, classes, expected):
    assert load_dataset(medmnist_file(tmp_path / name, classes=classes)).classes == expected


def test_class_names_and_patients_in_the_file_are_used(tmp_path):
    patients = {f"{split}_patients": np.array([f"{split}{i // 2}" for i in range(n)]) for split, n in
                (("train", 40), ("val", 12), ("test", 16))}  # fmt: skip
    data = load_dataset(
        medmnist_file(tmp_path / "mine.npz", class_names=np.array(list("abcd")), **patients), n_train=11
    )
    assert data.classes == tuple("abcd")
    assert len(data.train) == 10 and set(pd.Series(data.train.groups).value_counts()) == {2}
    assert data.summary().loc["val", "patients"] == 6


def test_a_cut_is_drawn_by_the_seed(tmp_path):
    path = medmnist_file(tmp_path / "mine.npz")
    first, again, other = (load_dataset(path, n_train=20, seed=seed).fingerprint for seed in (0, 0, 1))
    assert first == again != other


def test_official_counts_make_a_benchmark(tmp_path, monkeypatch):
    info = medmnist.SETS["octmnist"]._replace(counts=(40, 12, 16))
    monkeypatch.setitem(medmnist.SETS, "octmnist", info)
    path = medmnist_file(tmp_path / "octmnist.npz")
    assert load_dataset(path).benchmark == "octmnist"
    assert load_dataset(path, n_train=20).benchmark == "octmnist"
    assert load_dataset(path, n_test=8).benchmark is None


def test_paths_are_found_from_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    medmnist_file(tmp_path / "data" / "mine.npz")
    medmnist_file(tmp_path / "beside.npz")
    assert load_dataset("mine.npz").name == "mine" and load_dataset("beside.npz").name == "beside"


# --- folders ---------------------------------------------------------------------------------------------------------
def pictures(root: Path, n: int = 20, colour: bool = False, suffix: str = ".png") -> Path:
    for label, name in enumerate(("healthy", "ill")):
        (root / name).mkdir(parents=True)
        for number in range(n):
            width, height = rng.integers(20, 80, 2)
            pixels = np.full((height, width, 3), 60 + 120 * label, dtype=np.uint8)
            if colour:
                pixels[..., 0] = 250
            Image.fromarray(pixels).save(root / name / f"{number}{suffix}")
    return root


@pytest.mark.parametrize(("colour", "channels"), [(True, 3), (False, 1)])
def test_a_folder_a_class(tmp_path, colour, channels):
    data = load_dataset(pictures(tmp_path / "set", colour=colour), size=32)
    assert data.classes == ("healthy", "ill") and (data.channels, data.size) == (channels, 32)
    assert [len(data.train), len(data.val)] == [28, 6] and "at random" in data.source
    assert torch.bincount(data.train.labels).tolist() == [14, 14]
    assert data.train.images[data.train.labels == 1, -1].unique().tolist() == [180]
    files = [set(split.meta["file"]) for split in (data.train, data.val, data._test)]
    assert len(files[0] | files[1] | files[2]) == 40


def test_the_random_split_of_a_folder_follows_the_seed(tmp_path):
    folder = pictures(tmp_path / "set")
    first, again, other = (list(load_dataset(folder, seed=seed).train.meta["file"]) for seed in (0, 0, 1))
    assert first == again != other


def test_a_folder_that_is_split_already(tmp_path):
    for split, n in (("train", 10), ("val", 4), ("test", 5)):
        pictures(tmp_path / "set" / split, n)
    data = load_dataset(tmp_path / "set")
    assert [len(data.train), len(data.val), len(data._test)] == [20, 8, 10] and "as its folders say" in data.source


def test_a_folder_without_validation_takes_it_from_training(tmp_path):
    for split, n in (("train", 20), ("test", 5)):
        pictures(tmp_path / "set" / split, n, suffix=".jpg")
    data = load_dataset(tmp_path / "set")
    assert [len(data.train), len(data.val), len(data._test)] == [34, 6, 10] and "validation" in data.source


def test_the_crop_is_the_central_square(tmp_path):
    pixels = np.zeros((40, 100), dtype=np.uint8)
    pixels[:, 30:70] = 200
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{number}.png")
    assert load_dataset(tmp_path / "set", size=20).train.images.unique().tolist() == [200]


# --- downloads -------------------------------------------------------------------------------------------------------
CONTENT = rng.integers(0, 256, 300_000, dtype=np.uint8).tobytes()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Sends CONTENT; knows ranges or not, and can break off in the middle of the first answers."""

    def __init__(self, state: dict, *arguments) -> None:
        self.state = state
        super().__init__(*arguments)

    def do_GET(self) -> None:
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.state["asked"].append(self.headers.get("Range"))
        if self.state.get("status"):
            return self.send_error(self.state["status"])
        start = int(wanted[1]) if wanted and self.state.get("ranges", True) else 0
        if start >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.state["breaks"] -= 1
        end = start + 100_000 if self.state["breaks"] >= 0 else len(CONTENT)
        self.wfile.write(self.state.get("content", CONTENT)[start:end])

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    """A real HTTP server on this machine: (its address, its state)."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = {"asked": [], "breaks": 0}
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, state))
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.server_port}/set.npz", state
    listener.shutdown()
    listener.server_close()
    thread.join()


def fetch(url: str, path: Path, **options) -> None:
    medmnist.download(url, path, **({"md5": MD5, "max_bytes": 10**6, "progress": False} | options))


def test_a_download_is_checked_and_put_in_place(server, tmp_path):
    url, _ = server
    fetch(url, tmp_path / "new" / "set.npz")
    assert (tmp_path / "new" / "set.npz").read_bytes() == CONTENT
    assert os.listdir(tmp_path / "new") == ["set.npz"]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    url, state = server
    state["breaks"] = 2
    fetch(url, tmp_path / "set.npz")
    assert (tmp_path / "set.npz").read_bytes() == CONTENT
    first, second, third = state["asked"]
    assert first is None and 0 < int(second[6:-1]) <= 100_000 < int(third[6:-1]) <= 200_000


def test_a_piece_from_an_earlier_run_is_used(server, tmp_path):
    url, state = server
    (tmp_path / "set.npz.part").write_bytes(CONTENT[:123_456])
    fetch(url, tmp_path / "set.npz")
    assert (tmp_path / "set.npz").read_bytes() == CONTENT and state["asked"] == ["bytes=123456-"]


def test_a_complete_piece_needs_nothing_more(server, tmp_path):
    url, _ = server
    (tmp_path / "set.npz.part").write_bytes(CONTENT)
    fetch(url, tmp_path / "set.npz")
    assert (tmp_path / "set.npz").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server, tmp_path):
    url, state = server
    state["ranges"] = False
    (tmp_path / "set.npz.part").write_bytes(b"x" * 1000)
    fetch(url, tmp_path / "set.npz")
    assert (tmp_path / "set.npz").read_bytes() == CONTENT


def test_a_wrong_file_is_thrown_away(server, tmp_path):
    url, state = server
    state["content"] = bytes(len(CONTENT))
    with pytest.raises(DataError, match="set.npz is not the official file"):
        fetch(url, tmp_path / "set.npz")
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_too_large_is_not_taken(server, tmp_path):
    url, _ = server
    with pytest.raises(DataError, match="has at most 200,000"):
        fetch(url, tmp_path / "set.npz", max_bytes=200_000)
    assert os.listdir(tmp_path) == []


def test_a_servers_refusal_says_what_to_do(server, tmp_path):
    url, state = server
    state["status"] = 404
    with pytest.raises(DataError, match=r"could not be fetched \(404\): fetch .* by hand and put it at .*set\.npz"):
        fetch(url, tmp_path / "set.npz")
    assert os.listdir(tmp_path) == []


def test_without_a_network_the_message_names_file_source_and_place(tmp_path, monkeypatch):
    """Nobody listens at that port, as nobody answers without a network."""
    monkeypatch.setattr(medmnist, "RECORD", "http://127.0.0.1:9/files/")
    start = time.perf_counter()
    with pytest.raises(DataError) as caught:
        load_dataset("bloodmnist", size=28, cache=tmp_path)
    message = str(caught.value)
    assert "http://127.0.0.1:9/files/bloodmnist.npz" in message and str(tmp_path / "bloodmnist.npz") in message
    assert "\n" not in message and time.perf_counter() - start < 10


def test_a_file_put_there_by_hand_is_used_when_it_is_the_official_one(tmp_path, monkeypatch):
    path = medmnist_file(tmp_path / "octmnist_64.npz", size=64)
    with pytest.raises(DataError, match="not the official file"):
        load_dataset("octmnist", cache=tmp_path)
    md5 = {64: hashlib.md5(path.read_bytes()).hexdigest()}
    monkeypatch.setitem(medmnist.SETS, "octmnist", medmnist.SETS["octmnist"]._replace(md5=md5))
    data = load_dataset("octmnist", cache=tmp_path)
    assert data.classes == CLASSES and data.size == 64 and "official" in data.source


def test_medmnist_comes_in_two_sizes(tmp_path):
    with pytest.raises(DataError, match="28 or 64 pixels, not at 100"):
        load_dataset("octmnist", size=100, cache=tmp_path)


def test_the_table_of_sets_is_whole():
    for name, info in medmnist.SETS.items():
        assert info.title.lower() == name and set(info.md5) == {28, 64} and len(info.counts) == 3
        assert all(re.fullmatch(r"[0-9a-f]{32}", md5) for md5 in info.md5.values())
        assert len(set(info.classes)) == len(info.classes) >= 2


# --- real scans ------------------------------------------------------------------------------------------------------
def real(name: str) -> Path:
    """A file of real scans; the test is skipped, with the reason, where it is not."""
    folder = Path(os.environ.get("COURSE_REAL_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / name).exists():
        pytest.skip(f"no real scans: {name} is not in COURSE_REAL_DATA or ../shared/data")
    return folder / name


def test_real_oct_scans():
    data = load_dataset(real("kermany_oct_real.npz"))
    assert data.classes == CLASSES and (data.channels, data.size) == (1, 64) and data.benchmark is None
    summary = data.summary()
    assert summary["scans"].tolist() == [640, 160, 200] and summary["patients"].tolist()[:2] == [368, 124]
    assert summary.loc["train", list(CLASSES)].tolist() == [160] * 4


def test_real_chest_pictures_have_the_official_split():
    data = load_dataset(real("pneumoniamnist.npz"))
    assert data.classes == ("normal", "pneumonia") and data.size == 28 and data.benchmark == "pneumoniamnist"
    assert data.summary()["scans"].tolist() == [4708, 524, 624]


def test_a_folder_of_real_jpegs():
    data = load_dataset(real("kermany_oct_jpeg"))
    assert data.classes == CLASSES and data.channels == 1
    assert len(data.train) + len(data.val) + len(data._test) == 12


def test_a_real_jpeg_is_cropped_as_the_real_file_was():
    """The file's scans were made by the same crop and resize: the folder route gives nearly the same pixels."""
    with np.load(real("kermany_oct_real.npz"), allow_pickle=False) as arrays:
        pixels = {Path(str(name)).stem: image for split in ("train", "val", "test")
                  for name, image in zip(arrays[f"{split}_files"], arrays[f"{split}_images"], strict=True)}  # fmt: skip
    data = load_dataset(real("kermany_oct_jpeg"))
    for split in (data.train, data.val, data._test):
        for name, image in zip(split.meta["file"], split.images, strict=True):
            known = pixels[Path(name).stem].astype(int)
            assert np.abs(known - image[0].numpy()).max() <= 2


def test_loading_writes_no_warnings(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_dataset(cache=folder)
        assert isinstance(data.train.head(3), ScanDataset) and data.fingerprint and data.mean
