"""`make refresh`: execute the lessons in the fast profile and store their outputs back into notebooks/.

    make refresh [LESSONS="05 12"] [JOBS=1]

Lessons run one after another on the CPU with a runs folder of their own (build/refresh/runs), so that the experiment
log each one shows holds what the lessons before it wrote. Refreshing everything starts with an empty folder; refreshing
some lessons keeps it. A lesson that fails, writes to stderr or prints a path of this machine is named and left as it
was.
"""

import argparse
import base64
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from course_utils.env import file_lock
from tools import lesson_format as fmt
from tools.execute import Outcome, Task, execute_all
from tools.lesson_format import Lesson, text_of
from tools.run import BUILD, UsageError, checked_jobs, chosen_lessons, stop_like_ctrl_c
from tools.stamp import stamp

FOLDER = BUILD / "refresh"
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What may pass over stderr and is not kept: progress bars, and word that another lesson is making the same thing.
PASSING = re.compile(r"\d+%\|.*\||\d+(it|batch|step|epoch)?s? \[\d+:\d+|process \d+ waits for another process")
KEPT_CELL_METADATA = ("tags", "course")


class Unclean(ValueError):
    """An output that must not be stored; names the cell and the reason."""


def machine_paths() -> list[str]:
    """Folders of this machine that must not be seen in an output."""
    return [str(folder) for folder in (fmt.ROOT, Path.home(), tempfile.gettempdir())]


def clean_outputs(cell: dict) -> list[dict]:
    """The outputs of one executed cell as they are stored. Raises `Unclean` naming the cell."""
    merged: list[dict] = []
    for output in cell["outputs"]:
        if output.get("name") == "stderr":
            said = text_of(output).strip()  # a progress bar wipes itself out with blanks
            if said and not PASSING.search(said):
                raise Unclean(f"cell {cell['id']} writes to stderr: {said[:200]!r}")
        elif merged and output["output_type"] == "stream" == merged[-1]["output_type"]:
            merged[-1]["text"] += text_of(output)
        else:
            merged.append(cleaned(output, cell))
    shown = "\n".join(text_of(out, mime) for out in merged for mime in ("text/plain", "text/html"))
    for path in machine_paths():
        if re.search(rf"(?<![\w.]){re.escape(path)}(?![\w-])", shown):
            raise Unclean(f"cell {cell['id']} shows a path of this machine ({path}): print a relative path or its name")
    return merged


def cleaned(output: dict, cell: dict) -> dict:
    """One output without anything that changes from run to run; a picture gets the cell's alt text."""
    output = {key: value for key, value in output.items() if key != "execution_count"}
    if output["output_type"] == "stream":
        return {**output, "text": text_of(output)}
    if any("widget" in mime for mime in output.get("data", {})):
        raise Unclean(f"cell {cell['id']} shows a widget, which a stored page cannot: use plain tqdm or print")
    if "image/png" in output.get("data", {}):
        output["data"] = {**output["data"], "image/png": smaller_png(output["data"]["image/png"])}
    alt = cell["metadata"].get("course", {}).get("alt")
    output["metadata"] = {"image/png": {"alt": alt}} if alt and "image/png" in output.get("data", {}) else {}
    return output


def smaller_png(encoded: str) -> str:
    """A picture in fewer bytes: without an alpha channel that shows nothing, and with 256 colours if nobody can tell.

    Nobody can where no channel is off by more than 16 of 255, nor by more than 1 on the mean: curves and letters with
    their soft edges, grey scans. Other pictures stay as they are, pixel for pixel.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
        picture = picture.convert("RGB")
    if picture.mode == "RGB":
        few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        off = ImageStat.Stat(ImageChops.difference(picture, few.convert("RGB")))
        if max(most for _, most in off.extrema) <= 16 and max(off.mean) <= 1:
            picture = few
    packed = io.BytesIO()
    picture.save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


def stored(lesson: Lesson, executed: Lesson, minutes: float) -> dict:
    """The lesson's source with the outputs of its executed copy, counted in order and with clean metadata."""
    notebook, outputs = dict(lesson.notebook), {cell["id"]: cell for cell in executed.code}
    course = {**lesson.course, "code": fmt.code_fingerprint(lesson.code)}
    if abs(minutes - course.get("minutes_cpu", 0)) > max(0.2, 0.25 * minutes):
        course["minutes_cpu"] = round(max(minutes, 0.1), 1)
    notebook["metadata"] = {"course": course, "kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    for count, cell in enumerate(lesson.code, start=1):
        cell["outputs"] = clean_outputs({**outputs[cell["id"]], "metadata": cell["metadata"]})
        cell["execution_count"] = count
        for output in cell["outputs"]:
            if output["output_type"] == "execute_result":
                output["execution_count"] = count
    for cell in lesson.cells:
        kept = (*KEPT_CELL_METADATA, "jupyter") if "bootstrap" in fmt.tags(cell) else KEPT_CELL_METADATA  # it is folded
        cell["metadata"] = {key: cell["metadata"][key] for key in kept if key in cell["metadata"]}
    return notebook


def store(task: Task, outcome: Outcome) -> bool:
    """Put the outputs of an executed lesson into its source, and say how it went."""
    if not outcome.ok:
        print(f"  {task.slug:24} FAILED in {outcome.cell}\n      {outcome.error}", flush=True)
        return False
    lesson = Lesson(task.source)
    try:
        notebook = stored(lesson, Lesson(task.target), outcome.seconds / 60)
    except Unclean as error:
        print(f"  {task.slug:24} NOT STORED: {error}", flush=True)
        return False
    fmt.save_notebook(task.source, notebook)
    size = task.source.stat().st_size / 1000
    print(f"  {task.slug:24} stored, {outcome.seconds:.0f} s, {size:.0f} kB, {outcome.peak_mb:.0f} MB", flush=True)
    return True


def refresh(lessons: list[Lesson], jobs: int, fresh: bool, folder: Path = FOLDER) -> int:
    """Execute and store the lessons. `fresh` empties the runs folder first. Returns the exit status."""
    runs, kept = folder / "runs", []
    if fresh:
        shutil.rmtree(runs, ignore_errors=True)
    tasks = [
        Task(
            lesson.path,
            folder / f"{lesson.slug}.ipynb",
            {"DEVICE": "cpu"},
            {"COURSE_RUNS": str(runs)},
            cwd=lesson.path.parent,
        )
        for lesson in lessons
    ]
    execute_all(tasks, jobs, on_done=lambda task, outcome: kept.append(store(task, outcome)))
    return int(not all(kept))


def main(arguments: list[str] | None = None) -> int:
    """Command line. Returns the exit status: 0, 1 when a lesson was not stored, 2 for a wrong argument, 130 stopped."""
    parser = argparse.ArgumentParser(prog="make refresh", description=__doc__.splitlines()[0])
    parser.add_argument("--lessons", default="")
    parser.add_argument("--jobs", default="1")
    options = parser.parse_args(arguments)
    try:
        lessons, jobs = chosen_lessons(options.lessons, fmt.lessons()), checked_jobs(options.jobs)
    except UsageError as error:
        print(f"make refresh: {error}", file=sys.stderr)
        return 2
    stop_like_ctrl_c()
    try:
        with file_lock(BUILD / "refresh.lock"):
            status = refresh(lessons, jobs, fresh=not options.lessons)
            stamp()
            return status
    except KeyboardInterrupt:
        print("\nStopped. Lessons already stored stay stored, the others are as they were.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
