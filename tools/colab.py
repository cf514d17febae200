"""`make colab [LESSONS="00 05"]`: run lessons as Colab would, each from its one file in an empty folder, smoke profile.

The imitation, in build/colab: a virtual environment with Colab's versions (tests/colab/freeze.txt) of the packages that
the lessons rest on, with Colab's Python where `uv` finds it; a stand-in for the package google.colab; and this working
tree, committed or not, as the repository at the address that the first cell clones. Every lesson gets a machine of its
own: what its first cell installs goes into a thin layer above that environment, empty at the start. Takes 6 GB.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lesson_format as fmt
from tools.execute import Outcome, Task, execute_all
from tools.run import UsageError, chosen_lessons

PYTHON = "3.13"  # Colab's
FREEZE = fmt.ROOT / "tests" / "colab" / "freeze.txt"
BUILD = fmt.ROOT / "build" / "colab"
UV = (sys.executable, "-m", "uv")
NOTEBOOK = ("ipykernel", "ipython", "ipywidgets", "pip", "psutil", "setuptools")  # what runs the cells


def freeze() -> dict[str, str]:
    """Colab's packages: canonical name → version (of a wheel's address, the version in its file name)."""
    versions = {}
    for line in FREEZE.read_text(encoding="utf-8").splitlines():
        found = re.match(r"([\w.-]+)==([^;\s]+)", line) or re.match(r"([\w.-]+) @ .*/[^/]+?-(\d+(?:\.\d+)*)", line)
        if found and not line.startswith("#"):
            versions[canonicalize_name(found[1])] = found[2]
    return versions


def needs() -> list[Requirement]:
    """What the lessons may rest on: the dependencies and the extra `serve`."""
    project = fmt.project()
    return [Requirement(need) for need in project["dependencies"] + project["optional-dependencies"]["serve"]]


def bounds() -> dict[str, str]:
    """The versions that stay: all but NVIDIA's, since Colab's PyTorch comes from elsewhere, with others than PyPI's."""
    return {name: version for name, version in freeze().items() if not name.startswith("nvidia-")}


def write_constraints(path: Path) -> Path:
    """The versions that stay, as a file for an installer."""
    fmt.save_text(path, "\n".join(f"{name}=={version}" for name, version in bounds().items()))
    return path


def resolved(version: str, constraints: Path) -> dict[str, str]:
    """Everything the lessons need where Colab's versions stay, for this version of Python: name → version.

    Raises subprocess.CalledProcessError when no set of versions fits (what fits nothing is on stderr).
    """
    light = [name.replace("_", "-") for name in (*fmt.COLAB_INSTALLS, *fmt.COLAB_SERVES)]
    wanted = "\n".join([*NOTEBOOK, *light, *(need.name for need in needs())])
    compile = [*UV, "pip", "compile", "-q", "--no-annotate", "--no-header", "--python-version", version, "-"]
    done = subprocess.run(
        [*compile, "-c", str(constraints)], input=wanted, text=True, stdout=subprocess.PIPE, check=True
    )
    pins = (re.match(r"([\w.-]+)==([^;\s]+)", line) for line in done.stdout.splitlines())
    return {canonicalize_name(pin[1]): pin[2] for pin in filter(None, pins)}


def make_environment(folder: Path) -> Path:
    """A virtual environment with Colab's versions, kept from an earlier call if it had the same. Returns its Python.

    It has what the lessons need and Colab has; what Colab lacks is left for the first cell to install.
    """
    versions, constraints = freeze(), write_constraints(folder.with_name("constraints.txt"))
    python, kept = folder / "bin" / "python", folder / "installed.txt"
    if kept.exists() and kept.read_text(encoding="utf-8") == constraints.read_text(encoding="utf-8"):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    if subprocess.run([*UV, "venv", "-q", "--python", PYTHON, str(folder)], capture_output=True).returncode:
        print(f"no Python {PYTHON} to be had: the imitation has {sys.version.split()[0]}", flush=True)
        subprocess.run([*UV, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    asked = [str(python), "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
    pins = resolved(subprocess.check_output(asked, text=True).strip(), constraints)
    there = [f"{name}=={version}" for name, version in pins.items() if name in versions]
    subprocess.run([*UV, "pip", "install", "-q", "--python", str(python), *there, "-c", str(constraints)], check=True)
    shutil.copy(constraints, kept)
    return python


def make_remote(folder: Path) -> Path:
    """The working tree as a repository of one commit, with the release's tag on it."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=fmt.ROOT, text=True
    )
    for name in filter(None, listed.split("\0")):
        if (fmt.ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(fmt.ROOT / name, folder / name)
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "as it is"], ["tag", fmt.release_tag()]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def make_layer(base: Path, folder: Path) -> Path:
    """An empty environment that sees the packages of the Python `base`, and never changes them. Returns its Python."""
    subprocess.run([*UV, "venv", "-q", "--clear", "--python", str(base), str(folder)], check=True)
    python = folder / "bin" / "python"
    above, below = site_packages(python), site_packages(base)
    fmt.save_text(above / "below.pth", f"{below}\n")
    return python


def site_packages(python: Path) -> Path:
    """Where a Python's environment keeps its packages."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.check_output([str(python), "-c", ask], text=True).strip())


def environment(python: Path, remote: Path, build: Path) -> dict[str, str]:
    """The variables under which the kernel "python3" is `python` in Colab, and the address leads to `remote`."""
    kernel = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Colab"}
    fmt.save_text(
        build / "jupyter" / "kernels" / "python3" / "kernel.json", json.dumps(kernel | {"language": "python"})
    )
    fmt.save_text(build / "ipython" / "profile_default" / "startup" / "colab.py", "import google.colab\n")
    stand_in = build / "stand-in" / "google" / "colab" / "__init__.py"
    fmt.save_text(stand_in, '"""Says, by being there, that this is Colab."""\n')
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_VALUE_0": fmt.github_url()}
    git["GIT_CONFIG_KEY_0"] = f"url.{remote.as_uri()}.insteadOf"
    paths = {"JUPYTER_PATH": build / "jupyter", "IPYTHONDIR": build / "ipython", "PYTHONPATH": build / "stand-in"}
    ours = {"COURSE_DATA": "", "COURSE_RUNS": ""}  # as if unset: everything is made anew, beside the lesson
    return git | ours | {name: str(path) for name, path in paths.items()}


def lone_copy(path: Path, folder: Path) -> Path:
    """A copy of a lesson, alone in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Path(shutil.copy(path, folder))


def lone_task(path: Path, python: Path, remote: Path, build: Path) -> Task:
    """A lesson alone in an empty folder, to be run there by this Python. All it writes lies in `build`."""
    lone = lone_copy(path, build / "content")
    return Task(lone, build / path.name, {"PROFILE": "smoke"}, environment(python, remote, build), cwd=lone.parent)


def fresh_task(path: Path, base: Path, remote: Path, build: Path) -> Task:
    """The same on a machine of its own, whose first cell has everything to install."""
    return lone_task(path, make_layer(base, build / "layer"), remote, build)


def show(task: Task, outcome: Outcome) -> None:
    """A line a lesson."""
    print(f"  {task.slug:28} {'done  ' if outcome.ok else 'FAILED'} {outcome.seconds:5.0f} s", flush=True)
    if not outcome.ok:
        print(f"      in {outcome.cell}\n      {outcome.error}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make colab", description=__doc__.splitlines()[0])
    parser.add_argument("--lessons", default="")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        lessons = chosen_lessons(options.lessons, fmt.lessons())
    except UsageError as error:
        print(f"make colab: {error}", file=sys.stderr)
        return 2
    base, remote = make_environment(BUILD / "venv"), make_remote(BUILD / "remote")
    shutil.rmtree(BUILD / "lessons", ignore_errors=True)
    tasks = [fresh_task(lesson.path, base, remote, BUILD / "lessons" / lesson.slug) for lesson in lessons]
    outcomes = execute_all(tasks, options.jobs, on_done=show)
    failed = [outcome.slug for outcome in outcomes if not outcome.ok]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} lessons run in the imitation of Colab")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
