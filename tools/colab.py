"""`make colab [LESSONS="00 05"]`: run lessons as Colab would, each from its one file in an empty folder, smoke profile.

The imitation, in build/colab: a virtual environment with Colab's versions (tests/colab/freeze.txt) of the packages that
the lessons rest on, with Colab's Python where `uv` finds it; a stand-in for the package google.colab; and this working
tree, committed or not, as the repository at the address that the first cell clones. Takes 6 GB.
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

FREEZE = fmt.ROOT / "tests" / "colab" / "freeze.txt"
BUILD = fmt.ROOT / "build" / "colab"
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


def make_environment(folder: Path) -> Path:
    """A virtual environment with Colab's versions, kept from an earlier call if it had the same. Returns its Python."""
    versions = freeze()
    bounds = "\n".join(f"{name}=={version}" for name, version in versions.items() if not name.startswith("nvidia-"))
    python, kept = folder / "bin" / "python", folder / "constraints.txt"
    if kept.exists() and kept.read_text(encoding="utf-8") == bounds:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    if subprocess.run([*uv, "venv", "-q", "--python", "3.13", str(folder)], capture_output=True).returncode:
        print(f"no Python 3.13 to be had: the imitation has {sys.version.split()[0]}", flush=True)
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    constraints = folder.with_name("constraints.txt")
    fmt.save_text(constraints, bounds)
    wanted = [*NOTEBOOK, *(need.name for need in needs() if canonicalize_name(need.name) in versions)]
    install = [*uv, "pip", "install", "-q", "--python", str(python), "-c", str(constraints)]
    subprocess.run([*install, *wanted], check=True)
    constraints.replace(kept)
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


def lone_task(path: Path, variables: dict[str, str], build: Path) -> Task:
    """A lesson alone in an empty folder, to be run there."""
    content = build / "content" / path.stem
    shutil.rmtree(content, ignore_errors=True)
    content.mkdir(parents=True)
    lone = Path(shutil.copy(path, content))
    return Task(lone, build / "notebooks" / path.name, {"PROFILE": "smoke"}, variables, cwd=content)


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
    python = make_environment(BUILD / "venv")
    variables = environment(python, make_remote(BUILD / "remote"), BUILD)
    tasks = [lone_task(lesson.path, variables, BUILD) for lesson in lessons]
    outcomes = execute_all(tasks, options.jobs, on_done=show)
    failed = [outcome.slug for outcome in outcomes if not outcome.ok]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} lessons run in the imitation of Colab")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
