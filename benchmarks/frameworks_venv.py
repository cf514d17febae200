"""build/frameworks-venv: the trainers we compare with, beside the pinned packages of .venv and never among them.

The environment holds only what .venv lacks and imports everything else from there; `uv` resolves against the very
versions that are installed. Which frameworks: the extra `frameworks` of pyproject.toml.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / "build" / "frameworks-venv"
PATIENCE = 300  # seconds for one command: a network that hangs must not hold the benchmark up
LIST = (
    "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions() if d.name}))"
)


def frameworks_python() -> str:
    """The Python of the frameworks' environment, which is made, or completed, first.

    What cannot be installed is said in a line. Where no environment can be made, it is the Python that runs this.
    """
    python = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    try:
        if not _works(python):
            _make(python)
    except RuntimeError as error:
        print(f"  {VENV} cannot be made: {error}", flush=True)
        return sys.executable
    for requirement in wanted():
        try:
            install(requirement, str(python))
        except RuntimeError as error:
            print(f"  {requirement} could not be installed: {error}", flush=True)
    return str(python)


def wanted() -> list[str]:
    """The requirements of the extra `frameworks`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["optional-dependencies"]["frameworks"]


def install(requirement: str, python: str) -> None:
    """Add a framework, and what it needs beyond the packages `python` has; nothing when it is there.

    RuntimeError with the installer's last line when it cannot be had for these versions, or there is no network.
    """
    have = {plain(name): version for name, version in json.loads(_run(python, "-c", LIST)).items()}
    if plain(requirement) in have:
        return
    uv = (sys.executable, "-m", "uv", "pip")
    given = VENV / "constraints.txt"
    # Without the local part (2.15.0+cpu): the index knows no such version.
    given.write_text("".join(f"{name}=={version.split('+')[0]}\n" for name, version in have.items()), encoding="utf-8")
    options = ("--quiet", "--no-header", "--no-annotate", "--python", python, "--constraint", str(given))
    resolved = _run(*uv, "compile", *options, "-", text=requirement)
    missing = [line for line in resolved.splitlines() if line.strip() and plain(line) not in have]
    _run(*uv, "install", "--quiet", "--no-deps", "--python", python, "-r", "-", text="\n".join(missing))


def plain(requirement: str) -> str:
    """The name in a requirement, spelt as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement.strip())[0]).lower()


def _works(python: Path) -> bool:
    """Whether that Python starts and finds the packages of this one."""
    if not python.exists():
        return False
    command = [str(python), "-c", "import course_utils, numpy; print(numpy.__file__)"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return found.startswith(sysconfig.get_path("purelib"))


def _make(python: Path) -> None:
    """An environment that looks for a package in its own folder first, then in this Python's."""
    shutil.rmtree(VENV, ignore_errors=True)
    _run(sys.executable, "-m", "venv", "--without-pip", str(VENV))
    ours = sysconfig.get_path("purelib")
    own = _run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(own, "borrowed.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")


def _run(*command: str, text: str | None = None) -> str:
    """What a command prints; RuntimeError with the last line it complained with."""
    try:
        done = subprocess.run(
            command, input=text, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(str(error)) from error
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(said[-1] if said else f"status {done.returncode}")
    return done.stdout
