"""Files that are broken, or made to do harm: each refused with one sentence, nothing run, nothing half-written."""

import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course_utils.data import DataError, load_dataset
from course_utils.data import npz as npz_module

SPLITS = {"train": 24, "val": 8, "test": 8}
rng = np.random.default_rng(0)


def good(size: int = 16, channels: int = 1) -> dict[str, np.ndarray]:
    shape = (size, size) if channels == 1 else (size, size, channels)
    arrays = {}
    for split, n in SPLITS.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n) % 3).astype(np.uint8)[:, None]
    return arrays


def written(folder: Path, **changes) -> Path:
    path = folder / "mine.npz"
    arrays = {name: array for name, array in (good() | changes).items() if array is not None}
    np.savez_compressed(path, **arrays)
    return path


def refused(path: Path | str, *words: str, **options) -> str:
    """Load `path`, expect one sentence that names the file and says `words`, and that nothing was written."""
    place = Path(path).parent
    before = sorted(os.listdir(place)) if place.is_dir() else None
    with pytest.raises(DataError) as caught:
        load_dataset(path, **options)
    message = str(caught.value)
    assert Path(path).name in message, message
    assert "\n" not in message and len(message) < 400, message
    assert all(word in message for word in words), message
    assert before is None or sorted(os.listdir(place)) == before
    return message


# --- arrays that are no data set -------------------------------------------------------------------------------------
@pytest.mark.parametrize("missing", ["train_images", "val_labels", "test_images"])
def test_a_missing_key_is_named(tmp_path, missing):
    refused(written(tmp_path, **{missing: None}), "lacks", missing)


def images(**options):
    return good(**options)["train_images"]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (images().astype(np.float32), ["float32", "uint8"]),
        (np.where(images() > 250, np.nan, images().astype(float)), ["NaN", "uint8"]),
        (images().astype(np.int16), ["int16", "uint8"]),
        (images()[:, :, :8], ["(24, 16, 8)", "square"]),
        (images()[:, 0], ["(24, 16)", "(N, S, S)"]),
        (images(size=16, channels=4), ["(24, 16, 16, 4)"]),
        (rng.integers(0, 256, (24, 16, 16, 16), dtype=np.uint8), ["volumes"]),
        (rng.integers(0, 256, (24, 16, 16, 16, 1), dtype=np.uint8), ["volumes"]),
        (images(size=4), ["8 to 1024"]),
        (images(size=20), ["differ in shape"]),
        (images()[:0], ["empty"]),
        (images()[:20], ["24 labels for 20 pictures"]),
    ],
)
def test_images_of_the_wrong_kind_are_refused(tmp_path, array, words):
    refused(written(tmp_path, train_images=array), *words)


labels = np.arange(24) % 3


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (labels.astype(np.float64), ["float64", "whole numbers"]),
        (np.where(labels == 1, np.nan, labels), ["NaN"]),
        (labels - 1, ["from -1 to 1"]),
        (labels * 10**9, ["labels must be 0 to"]),
        (np.array(["a", "b", "c"] * 8), ["whole numbers"]),
        (np.eye(3, dtype=np.uint8)[labels], ["multi-label"]),
        (labels[:20], ["20 labels for 24 pictures"]),
        (labels.reshape(2, 12, 1), ["(N,) or (N, 1)"]),
        (labels * 0, ["but 1 classes are in the training labels"]),
        (np.where(labels == 1, 2, labels), ["class 1 has no picture in train"]),
        (labels % 2, ["val_labels holds 2"]),
    ],
)
def test_labels_of_the_wrong_kind_are_refused(tmp_path, array, words):
    refused(written(tmp_path, train_labels=array), *words)


def test_one_class_is_refused(tmp_path):
    refused(written(tmp_path, **{f"{split}_labels": np.zeros(n, int) for split, n in SPLITS.items()}), "one class only")


@pytest.mark.parametrize("names", [["a", "b", "b"], [1, 2, 3], ["a"]])
def test_class_names_that_name_nothing_are_refused(tmp_path, names):
    refused(written(tmp_path, class_names=np.array(names)), "class_names")


def test_labels_beyond_the_named_classes_are_refused(tmp_path):
    refused(written(tmp_path, class_names=np.array(["a", "b"])), "holds 2, but 2 classes are named")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_patients": np.arange(24)}, ["val_patients is missing"]),
        ({split + "_patients": np.arange(n) + 0.5 for split, n in SPLITS.items()}, ["float64", "whole number"]),
        ({split + "_patients": np.arange(n + 1) for split, n in SPLITS.items()}, ["(25,)"]),
        ({split + "_patients": np.arange(n) for split, n in SPLITS.items()}, ["patient 0 is in both train and val"]),
    ],
)
def test_patients_that_do_not_fit_are_refused(tmp_path, changes, words):
    refused(written(tmp_path, **changes), *words)


# --- files that are no archive ---------------------------------------------------------------------------------------
def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "nothing.npz", "no file or folder at")


@pytest.mark.parametrize(
    "content", [b"", b"train_images,train_labels\n1,2\n", b"PK\x03\x04" + bytes(100), b"\x80\x04."]
)
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "text.npz"
    path.write_bytes(content)
    refused(path, "not a readable .npz file")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
def test_a_file_cut_short_is_refused(tmp_path, share):
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "not a readable .npz file")


def test_a_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **good())
    content = bytearray(path.read_bytes())
    content[3000] ^= 1  # inside the pixels of train
    path.write_bytes(content)
    refused(path, "CRC")


def test_a_folder_called_npz_is_read_as_a_folder(tmp_path):
    (tmp_path / "mine.npz").mkdir()
    refused(tmp_path / "mine.npz", "0 class folders")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    refused(tmp_path / "pipe.npz", "no file at")


# --- archives made to do harm ----------------------------------------------------------------------------------------
class Trap:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_the_trap_works_where_pickles_are_trusted(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("key", ["train_images", "train_labels", "class_names", "test_patients"])
def test_object_arrays_are_never_unpickled(tmp_path, key):
    trap = np.array([Trap(tmp_path / "sprung")] * 24, dtype=object)
    refused(written(tmp_path, **{key: trap}), "Python objects")
    assert not (tmp_path / "sprung").exists()


def test_object_arrays_beside_the_data_are_not_touched(tmp_path):
    path = written(tmp_path, notes=np.array([Trap(tmp_path / "sprung")], dtype=object))
    assert len(load_dataset(path).train) == 24
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_dressed_as_npz_is_not_loaded(tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refused(path, "not a readable .npz file")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "name", ["../outside.npy", "/tmp/outside.npy", "a/../../outside.npy", "..\\outside.npy", "notes.txt"]
)
def test_members_that_point_elsewhere_are_refused(tmp_path, name):
    path = written(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    refused(path, "member called")
    assert not (tmp_path.parent / "outside.npy").exists()


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def with_member(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def test_an_archive_bomb_is_refused_before_it_unpacks(tmp_path, monkeypatch):
    """Sixteen megabytes of zeros in a few kilobytes, against a cap of one; no array may be made."""
    monkeypatch.setattr(npz_module.read_arrays, "__defaults__", (None, 2**20))
    monkeypatch.setattr(npz_module, "_load", lambda *_: pytest.fail("an array was unpacked"))
    path = with_member(
        written(tmp_path, train_images=None), "train_images.npy", header((1024, 128, 128)) + bytes(2**24)
    )
    assert path.stat().st_size < 50_000
    refused(path, "unpacks to", "the most that is loaded is 1 MB")


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path):
    path = with_member(written(tmp_path, train_images=None), "train_images.npy", header((10**9, 64, 64)) + bytes(100))
    refused(path, "but its size differs")


@pytest.mark.parametrize("shape", [(-24, 16, 16), (24, 16, 2**62), (2**40, 2**40, 2**40)])
def test_impossible_shapes_are_refused(tmp_path, shape):
    refused(
        with_member(written(tmp_path, train_images=None), "train_images.npy", header(shape) + bytes(100)), "mine.npz"
    )


def test_a_member_that_unpacks_to_more_than_it_declares_is_refused(tmp_path):
    """The directory of the archive lies about a member's size: reading stops at what was declared."""
    content = header((24, 16, 16)) + bytes(24 * 256)
    path = with_member(written(tmp_path, train_images=None), "train_images.npy", content + bytes(10**7))
    raw = bytearray(path.read_bytes())
    true_size, lie = struct.pack("<I", len(content) + 10**7), struct.pack("<I", len(content))
    path.write_bytes(raw.replace(true_size, lie))
    refused(path, "mine.npz")


def test_a_structured_array_is_refused(tmp_path):
    refused(written(tmp_path, train_images=np.zeros(24, dtype=[("a", "u1"), ("b", "u1")])), "mine.npz")


def test_a_header_with_code_is_not_run(tmp_path):
    text = f"{{'descr': __import__('os').mkdir({str(tmp_path / 'sprung')!r}), 'fortran_order': False, 'shape': (1,)}}\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    refused(with_member(written(tmp_path, train_images=None), "train_images.npy", member), "mine.npz")
    assert not (tmp_path / "sprung").exists()


def test_many_members_are_refused(tmp_path):
    path = written(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(300):
            archive.writestr(f"m{number}.npy", b"")
    refused(path, "at most 256")


def test_a_member_twice_is_refused(tmp_path):
    path = written(tmp_path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("val_labels.npy", b"")
    refused(path, "val_labels twice")


# --- folders ---------------------------------------------------------------------------------------------------------
def class_folders(root: Path, classes: str = "ab", n: int = 12, size: tuple[int, int] = (30, 20)) -> Path:
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(n):
            pixels = rng.integers(0, 256, size[::-1], dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def test_a_folder_with_one_class_is_refused(tmp_path):
    refused(class_folders(tmp_path / "set", "a"), "1 class folders", "at least two")


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    refused(tmp_path / "set", "0 class folders")


def test_a_class_without_pictures_is_refused(tmp_path):
    folder = class_folders(tmp_path / "set")
    (folder / "c").mkdir()
    (folder / "c" / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match="holds no picture"):
        load_dataset(folder)


def test_too_few_pictures_for_three_splits_are_refused(tmp_path):
    refused(class_folders(tmp_path / "set", n=1), "too few")


def test_half_a_split_is_refused(tmp_path):
    class_folders(tmp_path / "set" / "train")
    class_folders(tmp_path / "set" / "val")
    refused(tmp_path / "set", "train, val and test")


def test_a_class_unknown_to_training_is_refused(tmp_path):
    class_folders(tmp_path / "set" / "train")
    class_folders(tmp_path / "set" / "test", "abc")
    with pytest.raises(DataError, match="c is a class that the training folder does not have"):
        load_dataset(tmp_path / "set")


def broken_picture(tmp_path: Path, content: bytes, name: str = "0.png") -> str:
    folder = class_folders(tmp_path / "set")
    (folder / "a" / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    message = str(caught.value)
    assert name in message and "\n" not in message, message
    return message


def png(width: int, height: int, body: bytes = b"", depth: int = 8, colour: int = 0) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_a_text_called_png_is_refused(tmp_path):
    assert "no picture" in broken_picture(tmp_path, b"hello")


def test_an_empty_picture_is_refused(tmp_path):
    assert "no picture" in broken_picture(tmp_path, b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_cut_short_is_refused(tmp_path, kind):
    whole = saved(Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8)), kind)
    assert "cannot be read" in broken_picture(tmp_path, whole[: len(whole) // 2], f"0.{kind.lower()}")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path, side):
    message = broken_picture(tmp_path, png(side, side, zlib.compress(bytes(1000))))
    assert f"{side}×{side}" in message or "cannot be read" in message


def test_sixteen_bits_are_refused(tmp_path):
    deep = saved(Image.fromarray(rng.integers(0, 2**16, (20, 20), dtype=np.uint16)), "PNG")
    assert "8 bits" in broken_picture(tmp_path, deep)


def test_a_tiny_picture_is_refused(tmp_path):
    assert "at least 8" in broken_picture(tmp_path, saved(Image.new("L", (30, 4)), "PNG"))


def test_a_stack_of_pictures_is_refused(tmp_path):
    page = Image.new("L", (20, 20))
    stack = saved(page, "TIFF", save_all=True, append_images=[page, page])
    assert "holds 3 pictures" in broken_picture(tmp_path, stack, "0.tiff")


def test_another_format_under_a_known_suffix_is_refused(tmp_path):
    """Only the listed formats are tried, whatever else Pillow could open: fewer decoders, fewer holes."""
    assert "no picture" in broken_picture(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


@pytest.mark.parametrize("target", ["file", "folder"])
def test_links_that_leave_the_folder_are_refused(tmp_path, target):
    outside = class_folders(tmp_path / "outside", "z")
    folder = class_folders(tmp_path / "set")
    link, to = (folder / "a" / "x.png", outside / "z" / "0.png") if target == "file" else (folder / "c", outside / "z")
    try:
        link.symlink_to(to)
    except OSError:
        pytest.skip("this system does not let us make links")
    with pytest.raises(DataError, match="leaves the data folder"):
        load_dataset(folder)


def test_a_dangling_link_is_refused(tmp_path):
    folder = class_folders(tmp_path / "set")
    try:
        (folder / "a" / "x.png").symlink_to(folder / "a" / "gone.png")
    except OSError:
        pytest.skip("this system does not let us make links")
    with pytest.raises(DataError, match="x.png is not a file"):
        load_dataset(folder)


# --- names and numbers -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("octmnits", "did you mean octmnist"),
        ("zzz", "choose oct-phantom"),
        ("chestmnist", "several labels"),
        ("organmnist3d", "volumes"),
        ("", "no data set was named"),
    ],
)
def test_names_that_cannot_be_used_are_explained(name, words, tmp_path):
    with pytest.raises(DataError, match=words):
        load_dataset(name, cache=tmp_path)


@pytest.mark.parametrize("size", [0, -3, 7, 100_000])
def test_impossible_sizes_are_refused(size, tmp_path):
    with pytest.raises(DataError, match="8 to 512"):
        load_dataset(written(tmp_path), size=size)


def test_asking_for_no_scans_is_refused(tmp_path):
    with pytest.raises(DataError, match="at least 1"):
        load_dataset(written(tmp_path), n_train=0)
