"""Make .venv and install the course in it. Run by make with whatever Python it found; standard library only.

Two at once: the second waits, then finds the work done. Stopped half-way: the next start begins a fresh .venv.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP, UNFINISHED = VENV / ".installed", VENV / ".installing"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
INPUTS = (ROOT / "requirements.txt", ROOT / "pyproject.toml")


@contextmanager
def only_one():
    """Let one process at a time pass. The operating system frees the lock when its holder dies, however it dies."""
    with open(ROOT / ".venv.lock", "w") as handle:
        if os.name != "nt":
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print("another make is setting up .venv: waiting for it …", flush=True)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def wanted():
    """Hash of the two files that say what is to be installed."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in INPUTS)).hexdigest()


def usable():
    """Whether .venv has a Python that starts, of a version the course runs on, with pip, and was not left half-made."""
    if UNFINISHED.exists() or not PYTHON.exists():
        return False
    check = "import pip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
    return subprocess.run([str(PYTHON), "-c", check], capture_output=True).returncode == 0


def up_to_date():
    """Whether what is wanted is installed, and the course is imported from this folder (it may have been moved)."""
    if not (usable() and STAMP.exists() and STAMP.read_text() == wanted()):
        return False
    command = [str(PYTHON), "-c", "import course_utils; print(course_utils.__file__)"]
    done = subprocess.run(command, cwd=ROOT.anchor, capture_output=True, text=True)
    return done.returncode == 0 and Path(done.stdout.strip()).resolve().is_relative_to(ROOT)


def make_venv():
    """A new, empty .venv in place of whatever was there. SystemExit where this Python cannot make one."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = "{}.{}".format(*sys.version_info)
        sys.exit(
            f"This Python ({sys.executable}) cannot make virtual environments. On Debian or Ubuntu, run\n"
            f"    sudo apt-get install python{version}-venv\nand then the same make command again."
        )
    if VENV.is_symlink():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    print(f"making .venv with Python {sys.version.split()[0]} …", flush=True)
    VENV.mkdir()
    UNFINISHED.touch()
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"This Python ({sys.executable}) could not make .venv:\n{done.stdout}{done.stderr}")


def install():
    """Install the pinned versions with uv (itself from pip), then the course itself, editable."""
    text = INPUTS[0].read_text(encoding="utf-8")
    uv = re.search(r"^uv==[\w.]+", text, re.MULTILINE)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", uv.group() if uv else "uv"], check=True)
    print("installing the pinned packages (the first time a download of some 3 GB on Linux) …", flush=True)
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    with_uv = [str(PYTHON), "-m", "uv", "pip", "install", *quiet, "--python", str(PYTHON)]
    for what in (["-r", "requirements.txt"], ["--no-deps", "-e", "."]):
        if subprocess.run([*with_uv, *what], cwd=ROOT).returncode != 0:
            print(
                "uv could not install that; trying again with pip, which knows this machine's own settings …",
                flush=True,
            )
            subprocess.run([*pip, "install", "--quiet", *what], cwd=ROOT, check=True)


def main():
    """Bring .venv up to date. Returns the exit status."""
    with only_one():
        if up_to_date():
            STAMP.touch()
            return 0
        if not usable():
            make_venv()
        STAMP.unlink(missing_ok=True)
        UNFINISHED.touch()
        install()
        UNFINISHED.unlink()
        STAMP.write_text(wanted())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nStopped while setting up .venv; the same command starts over.")
    except subprocess.CalledProcessError as error:
        print(f"Setting up .venv failed at: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        sys.exit("The lines above say why (no network? disk full?). The same make command starts over.")
