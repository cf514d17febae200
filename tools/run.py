"""`make run`: execute the lessons in order and leave executed notebooks and one summary page in build/.

    make run [PROFILE=fast] [DATASET=oct-phantom] [DEVICE=auto] [LESSONS="05 12"] [JOBS=2]

A lesson that fails is named with its cell and error, the others go on, and the exit status is 1. A run that was stopped
half-way and is started again with the same settings keeps the lessons it had finished.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from course_utils.env import PROFILES, file_lock
from tools import lesson_format as fmt
from tools.claims import Claim, claims_of
from tools.execute import Outcome, Task, execute_all
from tools.lesson_format import Lesson
from tools.summary import summary_page

BUILD = fmt.ROOT / "build"
DEVICES = ("auto", "cpu", "cuda", "mps")


class UsageError(ValueError):
    """An argument that cannot be used, said in one sentence."""


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do, checked."""

    profile: str
    dataset: str
    device: str
    lessons: list[Lesson]
    jobs: int
    build: Path

    @property
    def folder(self) -> Path:
        """Where the executed notebooks go."""
        return self.build / "notebooks"

    @property
    def parameters(self) -> dict[str, str]:
        """What goes into each lesson's parameters cell."""
        return {"PROFILE": self.profile, "DATASET": self.dataset, "DEVICE": self.device}


def checked_dataset(name: str) -> str:
    """A data set's name as it is, a path made absolute (lessons run in another folder). Raises UsageError."""
    if name == "oct-phantom" or re.fullmatch(r"[a-z]+mnist(_?\d+)?", name):
        return name
    path = Path(name).expanduser()
    if path.exists():
        if path.suffix == ".csv":
            raise UsageError(f"DATASET={name} is a table: name it in lesson 22, with the column to predict as TARGET.")
        if not (path.is_dir() or path.suffix == ".npz"):
            raise UsageError(f"DATASET={name} is neither a .npz file nor a folder of images.")
        return str(path.resolve())
    if "/" in name or "\\" in name or path.suffix:
        raise UsageError(f"DATASET={name}: there is no file or folder at {path.absolute()}.")
    raise UsageError(
        f"DATASET={name} is not known: give oct-phantom, a MedMNIST name such as octmnist, or the path of a .npz file "
        "or image folder."
    )


def checked_device(name: str) -> str:
    """A device's name, if this machine has it. Raises UsageError."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UsageError(f"DEVICE={name} is not known: give one of {', '.join(DEVICES)}.")
    if name.startswith(("cuda", "mps")):
        import torch

        available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}[name.split(":")[0]]()
        if not available:
            raise UsageError(f"DEVICE={name}: PyTorch finds no such device here; DEVICE=auto takes the best there is.")
    return name


def chosen_lessons(text: str, lessons: list[Lesson]) -> list[Lesson]:
    """The lessons that `05 12`, `05,12`, `05-08` or full names stand for, in course order; all for an empty text.

    Raises UsageError for a word that fits no lesson.
    """
    if not lessons:
        raise UsageError("there are no lessons (NN_name.ipynb) in the folder of lessons.")
    numbers = {lesson.slug: int(lesson.slug[:2]) for lesson in lessons}
    chosen: set[str] = set()
    for word in re.split(r"[,\s]+", text.strip()):
        span = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", word)
        low, high = (int(span[1]), int(span[2] or span[1])) if span else (1, 0)
        name = Path(word).stem
        found = {slug for slug, number in numbers.items() if not word or slug == name or low <= number <= high}
        if not found:
            raise UsageError(f"LESSONS={word} fits no lesson; there are {', '.join(numbers)}.")
        chosen |= found
    return [lesson for lesson in lessons if lesson.slug in chosen]


def checked_jobs(text: str) -> int:
    """How many lessons run at a time: a whole number from 1. Raises UsageError."""
    if not re.fullmatch(r"[1-9]\d?", text):
        raise UsageError(f"JOBS={text} is not a whole number from 1 to 99.")
    return int(text)


def settings_from(arguments: list[str] | None) -> Settings:
    """Read and check the command line. Raises UsageError."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="fast")
    parser.add_argument("--dataset", default="oct-phantom")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--lessons", default="")
    parser.add_argument("--jobs", default=str(min(2, os.cpu_count() or 1)))
    parser.add_argument("--notebooks", type=Path, default=fmt.NOTEBOOKS, help="the folder with the lessons")
    parser.add_argument("--build", type=Path, default=BUILD, help="the folder that is written")
    options = parser.parse_args(arguments)
    if options.profile not in PROFILES:
        raise UsageError(f"PROFILE={options.profile} is not known: give one of {', '.join(PROFILES)}.")
    return Settings(
        options.profile,
        checked_dataset(options.dataset),
        checked_device(options.device),
        chosen_lessons(options.lessons, fmt.lessons(options.notebooks)),
        checked_jobs(options.jobs),
        options.build.resolve(),
    )


def fingerprint(settings: Settings, lesson: Lesson) -> str:
    """Hash of all that decides what a lesson shows: settings, its source, the package, the installed versions."""
    data = Path(settings.dataset)
    files = [lesson.path, fmt.ROOT / "requirements.txt", *sorted((fmt.ROOT / "course_utils").rglob("*.py"))]
    digest = hashlib.sha256(json.dumps(settings.parameters, sort_keys=True).encode())
    for path in files:
        digest.update(path.read_bytes())
    if data.is_file():
        digest.update(str(data.stat().st_mtime_ns).encode())
    return digest.hexdigest()


class Progress:
    """Prints a line when a lesson starts and when it ends, and keeps on disk what an interrupted run had finished."""

    def __init__(self, settings: Settings):
        self.settings, self.state = settings, settings.build / "unfinished.json"
        self.keys = {lesson.slug: fingerprint(settings, lesson) for lesson in settings.lessons}
        self.finished: dict[str, Outcome] = {}
        self.start = time.perf_counter()

    def resume(self) -> dict[str, Outcome]:
        """What an interrupted run with the same settings had finished, and whose executed notebook is still there."""
        if self.state.exists():
            entries = json.loads(self.state.read_text(encoding="utf-8"))
            for slug, entry in entries.items():
                there = (self.settings.folder / f"{slug}.ipynb").exists()
                if self.keys.get(slug) == entry["key"] and entry["outcome"]["ok"] and there:
                    self.finished[slug] = Outcome(**entry["outcome"])
                    print(f"  {slug:24} kept from the run that was interrupted", flush=True)
        self._save()
        return self.finished

    def on_start(self, task: Task) -> None:
        """A lesson starts."""
        print(f"  {task.slug:24} started", flush=True)

    def on_done(self, task: Task, outcome: Outcome) -> None:
        """A lesson ended, well or not."""
        self.finished[task.slug] = outcome
        self._save()
        done = f"[{len(self.finished)}/{len(self.settings.lessons)}]"
        words = in_words(claims_of(task.target))
        verdict = "done  " if outcome.ok else "FAILED"
        print(f"  {task.slug:24} {verdict} {outcome.seconds:5.0f} s   {words}  {done}", flush=True)
        if not outcome.ok:
            print(f"      in {outcome.cell}\n      {outcome.error}", flush=True)

    def close(self) -> None:
        """The run came to its end: nothing is left to resume."""
        self.state.unlink(missing_ok=True)

    def _save(self) -> None:
        entries = {slug: {"key": self.keys[slug], "outcome": asdict(done)} for slug, done in self.finished.items()}
        fmt.save_text(self.state, json.dumps(entries))


def in_words(claims: list[Claim]) -> str:
    """`12 claims hold`, `11 claims hold, 1 does not`, `3 claims not judged`."""
    counts = {
        verdict: sum(claim.verdict == verdict for claim in claims) for verdict in ("holds", "fails", "not judged")
    }
    if not claims:
        return "no claims"
    said = f"{counts['holds']} claim{'s' * (counts['holds'] != 1)} hold{'s' * (counts['holds'] == 1)}"
    if counts["fails"]:
        said += f", {counts['fails']} FAILED"
    return said + (f", {counts['not judged']} not judged" if counts["not judged"] else "")


def run(settings: Settings) -> int:
    """Execute the chosen lessons and write the summary page. Returns the exit status."""
    folder, progress = settings.folder, Progress(settings)
    kept = progress.resume()
    tasks = [
        Task(
            lesson.path,
            folder / f"{lesson.slug}.ipynb",
            dict(settings.parameters),
            cwd=lesson.path.parent,
            after=lesson.course.get("loads_from", ""),
        )
        for lesson in settings.lessons
        if lesson.slug not in kept
    ]
    execute_all(tasks, settings.jobs, progress.on_start, progress.on_done)
    progress.close()
    seconds = time.perf_counter() - progress.start
    outcomes = [progress.finished[lesson.slug] for lesson in settings.lessons]
    page = summary_page(settings.parameters, settings.lessons, outcomes, folder, seconds)
    fmt.save_text(settings.build / "summary.html", page)
    failed = [outcome.slug for outcome in outcomes if not outcome.ok]
    ended = f"{len(failed)} of {len(outcomes)} lessons FAILED: {', '.join(failed)}" if failed else "every lesson ran"
    where = os.path.relpath(settings.build)
    print(f"\n{ended}, in {seconds / 60:.1f} minutes. See {where}/summary.html and {where}/notebooks.")
    return int(bool(failed))


def stop_like_ctrl_c() -> None:
    """Let `kill` and a closed terminal stop a command as Ctrl-C does (in the background, too), so that it cleans up."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)


def main(arguments: list[str] | None = None) -> int:
    """Command line. Returns the exit status: 0, 1 when a lesson failed, 2 for a wrong argument, 130 when stopped."""
    try:
        settings = settings_from(arguments)
    except UsageError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2
    stop_like_ctrl_c()
    told = " · ".join(f"{name.lower()} {value}" for name, value in settings.parameters.items())
    print(f"The Modelling Loop · {len(settings.lessons)} lessons, {settings.jobs} at a time · {told}", flush=True)
    try:
        with file_lock(settings.build / "run.lock"):
            return run(settings)
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left half-written; the same command goes on where this run stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
