"""MedMNIST v2: which sets there are, and their official files, fetched once and checked.

Names, counts, licences and MD5 sums are those of the `medmnist` package (github.com/MedMNIST/MedMNIST,
medmnist/info.py); the files lie on Zenodo, record 10519652. Yang et al., "MedMNIST v2", Scientific Data 10:41 (2023).
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

from course_utils.data.core import DataError
from course_utils.env import file_lock

RECORD = "https://zenodo.org/records/10519652/files/"
SIZES = (28, 64)
ATTEMPTS = 5
CHUNK = 2**15  # bytes: the most that a broken connection costs

ORGANS = (
    "bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left", "lung-right",
    "pancreas", "spleen",
)  # fmt: skip
OCT = ("CNV", "DME", "DRUSEN", "NORMAL")  # the usual abbreviations of OCTMNIST's long names


class MedMNISTSet(NamedTuple):
    """One set: channels, pictures in train, val and test, licence, MD5 by side in pixels, class names."""

    title: str
    channels: int
    counts: tuple[int, int, int]
    licence: str
    md5: dict[int, str]
    classes: tuple[str, ...]


CC = "CC BY 4.0"
SETS: dict[str, MedMNISTSet] = {
    "pathmnist": MedMNISTSet(
        "PathMNIST", 3, (89996, 10004, 7180), CC,
        {28: "a8b06965200029087d5bd730944a56c1", 64: "55aa9c1e0525abe5a6b9d8343a507616"},
        ("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
         "cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
    ),
    "dermamnist": MedMNISTSet(
        "DermaMNIST", 3, (7007, 1003, 2005), "CC BY-NC 4.0",
        {28: "0744692d530f8e62ec473284d019b0c7", 64: "b70a2f5635c6199aeaa28c31d7202e1f"},
        ("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions",
         "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"),
    ),
    "octmnist": MedMNISTSet(
        "OCTMNIST", 1, (97477, 10832, 1000), CC,
        {28: "c68d92d5b585d8d81f7112f81e2d0842", 64: "e229e9440236b774d9f0dfef9d07bdaf"}, OCT,
    ),
    "pneumoniamnist": MedMNISTSet(
        "PneumoniaMNIST", 1, (4708, 524, 624), CC,
        {28: "28209eda62fecd6e6a2d98b1501bb15f", 64: "8f4eceb4ccffa70c672198ea285246c6"}, ("normal", "pneumonia"),
    ),
    "retinamnist": MedMNISTSet(
        "RetinaMNIST", 3, (1080, 120, 400), CC,
        {28: "bd4c0672f1bba3e3a89f0e4e876791e4", 64: "afda852cc34dcda56f86ad2b2457dbcc"},
        ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
    ),
    "breastmnist": MedMNISTSet(
        "BreastMNIST", 1, (546, 78, 156), CC,
        {28: "750601b1f35ba3300ea97c75c52ff8f6", 64: "742edef2a1fd1524b2efff4bd7ba9364"},
        ("malignant", "normal, benign"),
    ),
    "bloodmnist": MedMNISTSet(
        "BloodMNIST", 3, (11959, 1712, 3421), CC,
        {28: "7053d0359d879ad8a5505303e11de1dc", 64: "2b94928a2ae4916078ca51e05b6b800b"},
        ("basophil", "eosinophil", "erythroblast", "immature granulocytes", "lymphocyte", "monocyte", "neutrophil",
         "platelet"),
    ),
    "tissuemnist": MedMNISTSet(
        "TissueMNIST", 1, (165466, 23640, 47280), CC,
        {28: "ebe78ee8b05294063de985d821c1c34b", 64: "123ece2eba09d0aa5d698fda57103344"},
        ("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells",
         "Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments",
         "Thick Ascending Limb"),
    ),
    "organamnist": MedMNISTSet(
        "OrganAMNIST", 1, (34561, 6491, 17778), CC,
        {28: "68e3f8846a6bd62f0c9bf841c0d9eacc", 64: "2dcccc29b88e6da5a01161ef20cda288"}, ORGANS,
    ),
    "organcmnist": MedMNISTSet(
        "OrganCMNIST", 1, (12975, 2392, 8216), CC,
        {28: "b9ceb9546e10131b32923c5bbeaea2b1", 64: "3ce34a8724ea6f548e6db4744d03b6a9"}, ORGANS,
    ),
    "organsmnist": MedMNISTSet(
        "OrganSMNIST", 1, (13932, 2452, 8827), CC,
        {28: "9ab87b696fb54e2a387ebe992d6ed5f1", 64: "53a6d115339d874c25e309a994ff46d3"}, ORGANS,
    ),
}  # fmt: skip
MULTI_LABEL = ("chestmnist",)
VOLUMES = ("organmnist3d", "nodulemnist3d", "adrenalmnist3d", "fracturemnist3d", "vesselmnist3d", "synapsemnist3d")


def medmnist_file(name: str, size: int, folder: Path) -> Path:
    """The official file of a set at 28 or 64 pixels, in `folder`: fetched when missing, its MD5 checked every time.

    Raises DataError when the set cannot be used here or fetched, or when the file is not the official one.
    """
    refuse_unusable(name)
    if size not in SIZES:
        raise DataError(
            f"{name} is offered here at {' or '.join(map(str, SIZES))} pixels, not at {size}; choose one of those"
        )
    info = SETS[name]
    path = folder / (f"{name}.npz" if size == 28 else f"{name}_{size}.npz")
    url = f"{RECORD}{path.name}?download=1"
    # No official byte count is published with the sums; pictures and labels unpacked are the most the file can have.
    max_bytes = sum(info.counts) * (size * size * info.channels + 8) + 2**20
    if not path.is_file():
        with file_lock(path.with_name(f".{path.name}.lock")):
            if not path.is_file():  # another process may have fetched it meanwhile
                download(url, path, md5=info.md5[size], max_bytes=max_bytes)
    if md5_of(path) != info.md5[size]:
        raise DataError(
            f"{path} is not the official file (its MD5 is not {info.md5[size]}); delete it to fetch it again, "
            "or move it elsewhere and give its path"
        )
    return path


def refuse_unusable(name: str) -> None:
    """Raise DataError for the MedMNIST sets that are no one-class-a-picture task."""
    usable = f"choose one of {', '.join(SETS)}"
    if name in MULTI_LABEL:
        raise DataError(
            f"{name} gives a picture several labels at once, and this course takes one class a picture; {usable}"
        )
    if name in VOLUMES:
        raise DataError(f"{name} holds volumes, and this course takes flat pictures; {usable}")


def download(url: str, path: Path, *, md5: str, max_bytes: int, timeout: float = 30.0, progress: bool = True) -> None:
    """Fetch `url` to `path`: goes on where an earlier try stopped, and shows at `path` only a file with the right MD5.

    Raises DataError when the server cannot be reached, sends more than `max_bytes`, or sends another file.
    """
    import requests

    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    by_hand = f"fetch {url.removesuffix('?download=1')} by hand and put it at {path}"
    for attempt in range(ATTEMPTS):
        before = _bytes_at(part)
        try:
            _fetch_rest(url, part, max_bytes, timeout, progress)
            break
        except requests.HTTPError as error:
            raise DataError(f"{path.name} could not be fetched ({error.response.status_code}): {by_hand}") from None
        except requests.RequestException as error:
            if attempt + 1 == ATTEMPTS or _bytes_at(part) == before:  # no byte came through: there is no network
                kept = f"; the {_bytes_at(part):,} bytes already here are kept" if _bytes_at(part) else ""
                reason = type(error).__name__
                raise DataError(
                    f"{path.name} could not be fetched ({reason}): with no network, {by_hand}{kept}"
                ) from None
            time.sleep(min(2**attempt, 8) * 0.25)
    if md5_of(part) != md5:
        part.unlink()
        raise DataError(f"what came for {path.name} is not the official file (MD5 not {md5}); try again, or {by_hand}")
    os.replace(part, path)


def _fetch_rest(url: str, part: Path, max_bytes: int, timeout: float, progress: bool) -> None:
    """Append to `part` what the server has beyond it; a server that knows no ranges starts again from the front."""
    import requests
    from tqdm import tqdm

    have = _bytes_at(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
        if answer.status_code == 416:  # nothing beyond: complete, or a stale piece, which the MD5 will tell
            return
        answer.raise_for_status()
        resumed = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        done = have if resumed else 0
        length = int(answer.headers.get("Content-Length") or 0)
        _check_cap(part, done + length, max_bytes)
        bar = tqdm(
            total=done + length or None, initial=done, unit="B", unit_scale=True, desc=part.stem, disable=not progress
        )
        with bar, part.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                done += len(chunk)
                _check_cap(part, done, max_bytes)
                file.write(chunk)
                bar.update(len(chunk))
    if length and done < (have if resumed else 0) + length:
        raise requests.ConnectionError("the server stopped early")


def _check_cap(part: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        part.unlink(missing_ok=True)
        raise DataError(
            f"{part.stem}: the server sends {size:,} bytes or more; the official file has at most {max_bytes:,}"
        )


def _bytes_at(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def md5_of(path: Path) -> str:
    """MD5 of a file, as MedMNIST publishes it: it finds damage, not malice."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
