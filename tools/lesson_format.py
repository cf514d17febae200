"""What every lesson has in common: the cells that are stamped, the sections, the names of tags.

Nothing here imports torch, so that the tools that use it start at once.
"""

import ast
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

from course_utils.env import atomic_path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SECTIONS = ("Questions and objectives", "0 Setup", "Results so far", "Key points", "Exercises", "Read on")
PARAMETERS = ("PROFILE", "DATASET", "DEVICE", "SEED")
COURSE_FIELDS = ("part", "concepts", "minutes_teach", "minutes_practise", "minutes_cpu", "question")

# Of the package's dependencies, those Colab may lack: small wheels, named alike on the index and in `import`.
COLAB_INSTALLS = ("filelock", "onnx", "onnxruntime", "onnxscript", "optuna", "safetensors", "torchinfo")
# And what the lessons need that start a service (the extra `serve`, less npm, which Colab has).
COLAB_SERVES = ("fastapi", "httpx", "prometheus_client", "python_multipart", "uvicorn")


@dataclass(frozen=True)
class Lesson:
    """One notebook file of the course, read once. `path` is `…/NN_slug.ipynb`."""

    path: Path

    @property
    def slug(self) -> str:
        """`05_baseline` for `notebooks/05_baseline.ipynb`."""
        return self.path.stem

    @cached_property
    def notebook(self) -> dict:
        """The notebook as plain JSON (nbformat 4.5). Raises ValueError naming the file when it is not JSON."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.path.name} is not a notebook: {error}") from error

    @property
    def course(self) -> dict:
        """`metadata.course`: part, concepts, minutes, question."""
        return self.notebook["metadata"].get("course", {})

    @property
    def cells(self) -> list[dict]:
        """All cells, in order."""
        return self.notebook["cells"]

    @property
    def code(self) -> list[dict]:
        """Code cells, in order."""
        return [cell for cell in self.cells if cell["cell_type"] == "code"]

    @property
    def markdown(self) -> list[dict]:
        """Markdown cells, in order."""
        return [cell for cell in self.cells if cell["cell_type"] == "markdown"]

    def tagged(self, tag: str) -> list[dict]:
        """The cells that carry this tag."""
        return [cell for cell in self.cells if tag in tags(cell)]


def lessons(folder: Path = NOTEBOOKS) -> list[Lesson]:
    """The lessons of a folder in course order (files `NN_slug.ipynb`; anything else is left alone)."""
    return [Lesson(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]


def source(cell: dict) -> str:
    """A cell's text, however the file stores it (one string or a list of lines)."""
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def tags(cell: dict) -> list[str]:
    """A cell's tags; none when it has no metadata."""
    return cell.get("metadata", {}).get("tags", [])


def text_of(output: dict, mime: str = "text/plain") -> str:
    """What an output says in words: stream text, or its `mime` form; empty when it has none."""
    text = output.get("text", "") if output["output_type"] == "stream" else output.get("data", {}).get(mime, "")
    return text if isinstance(text, str) else "".join(text)


def has_image(cell: dict) -> bool:
    """Whether running this cell left a picture."""
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def code_fingerprint(cells: list[dict]) -> str:
    """Short hash of what the code cells do; comments, formatting and the stamped bootstrap cell do not count."""
    trees = "\n".join(ast.dump(ast.parse(source(cell))) for cell in cells if "bootstrap" not in tags(cell))
    return hashlib.sha256(trees.encode()).hexdigest()[:16]


def project() -> dict:
    """The `[project]` table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def github_url() -> str:
    """The repository's address, without a slash at the end: the one setting in pyproject.toml."""
    return project()["urls"]["Homepage"].rstrip("/")


def release_tag() -> str:
    """The git tag that badges and Colab cells point at: `v` and the package's version."""
    return f"v{project()['version']}"


def badge_markdown(slug: str) -> str:
    """The "Open in Colab" badge of a lesson, or of `exercises/` and a lesson, as markdown."""
    repository = github_url().removeprefix("https://github.com/")
    address = f"https://colab.research.google.com/github/{repository}/blob/{release_tag()}/notebooks/{slug}.ipynb"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"


def minutes_in_words(minutes: float) -> str:
    """Measured minutes, as coarse as they deserve: `under a minute`, `about a minute`, `about 2 minutes`."""
    if minutes <= 1:
        return "under a minute"
    return "about a minute" if round(minutes) == 1 else f"about {round(minutes)} minutes"


def badge_cell_source(slug: str, minutes_cpu: float) -> str:
    """The whole text of the cell tagged `badge`: the badge and the measured time."""
    return f"{badge_markdown(slug)} · runs in {minutes_in_words(minutes_cpu)} on a laptop CPU"


def exercise_badge(slug: str) -> str:
    """The whole text of the cell tagged `badge` in a lesson's exercises."""
    return f"{badge_markdown(f'exercises/{slug}')} · exercises of the lesson [{slug}](../{slug}.ipynb)"


def serves(lesson: Lesson) -> bool:
    """Whether the lesson starts a service."""
    return any("from course_utils.serve import" in source(cell) for cell in lesson.code)


def bootstrap_source(serving: bool = False) -> str:
    """The whole text of the cell tagged `bootstrap`, the same in every lesson, but for those that start a service.

    On your own machine it does nothing. In Colab it clones the release beside the notebook and installs the small
    packages that are missing, under constraints made from what is installed: torch, NumPy and pandas stay as they are.
    It says so when the helper is of another version than the lesson, and how to get a GPU when there is none.
    """
    url, tag = github_url(), release_tag()
    name = url.rsplit("/", 1)[1]
    light = f'light = "{" ".join(COLAB_INSTALLS)}"'
    light += f'\n    light += " {" ".join(COLAB_SERVES)}"' * serving
    return f"""\
# Does nothing on your own machine. In Colab: fetches the course and the few small packages that Colab lacks.
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if "google.colab" in sys.modules:
    tag, url = "{tag}", "{url}"
    folder = Path("{name}").absolute()
    if not folder.exists():
        clone = f"git clone -q -c advice.detachedHead=false --depth=1 --branch={{tag}} {{url}}"
        subprocess.run([*clone.split(), str(folder)], check=True)
    sys.path.insert(0, str(folder))
    {light}
    if missing := [name for name in light.split() if find_spec(name) is None]:
        pip, installed = [sys.executable, "-m", "pip"], Path("installed.txt")
        installed.write_bytes(subprocess.check_output([*pip, "list", "--format=freeze"]))
        subprocess.run([*pip, "install", "-q", "-c", str(installed), *missing], check=True)
    from course_utils import __version__, env

    if f"v{{__version__}}" != tag:
        print(f"This lesson is {{tag}}, but {{folder}} is v{{__version__}}: rename or delete that folder and restart.")
    if env.get_device().type == "cpu":
        print("There is no GPU here, and none is needed. To get one: Runtime → Change runtime type → T4 GPU.")"""


def headings(lesson: Lesson, level: int) -> list[str]:
    """The headings of one level in the markdown cells, in order, code fences left out."""
    marks = "#" * level
    prose = re.sub(r"```.*?```", "", "\n".join(source(cell) for cell in lesson.markdown), flags=re.DOTALL)
    return [line.removeprefix(marks).strip() for line in prose.splitlines() if re.match(rf"{marks} ", line)]


def concept_tags(lesson: Lesson) -> Iterator[str]:
    """The ids of the tags `concept:ID` on code cells, repeats included."""
    for cell in lesson.code:
        for tag in tags(cell):
            if tag.startswith("concept:"):
                yield tag.removeprefix("concept:")


def save_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def notebook_text(notebook: dict) -> str:
    """A notebook as text, in the one canonical layout: sorted keys, one space."""
    return nbformat.writes(nbformat.from_dict(notebook)).rstrip("\n") + "\n"


def save_notebook(path: Path, notebook: dict) -> None:
    """Write a notebook in the canonical layout, whole or not at all."""
    save_text(path, notebook_text(notebook))
