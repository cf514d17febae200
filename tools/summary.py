"""The page that `make run` leaves: one HTML file that needs nothing from elsewhere and reads well in light and dark."""

import html
import platform
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from course_utils.env import git_state
from tools.claims import Claim, claims_of
from tools.execute import Outcome
from tools.lesson_format import Lesson, has_image, tags

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "onnxruntime")
MARKS = {"holds": "✓", "fails": "✗", "not judged": "·"}
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #ffffff; --card: #f5f7f9; --line: #d5dbe1;
  --good: #11643a; --bad: #a4211b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebef; --soft: #a3adb7; --paper: #14181c; --card: #1d2329;
  --line: #39424b; --good: #6fd39b; --bad: #ff938a; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 0; } a { color: inherit; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.2rem;
  margin: 1rem 0; }
img { max-width: 100%; background: #ffffff; border-radius: .3rem; padding: .3rem; box-sizing: border-box; }
pre { overflow-x: auto; font-size: .8rem; white-space: pre-wrap; }
"""


def key_figures(path: Path, limit: int = 2) -> list[tuple[str, str]]:
    """(base64 PNG, alt text) of the cells tagged `key-figure`, or of the first cell with a picture."""
    if not path.exists():
        return []
    pictured = [cell for cell in Lesson(path).code if has_image(cell)]
    chosen = [cell for cell in pictured if "key-figure" in tags(cell)] or pictured[:1]
    figures = []
    for cell in chosen[:limit]:
        picture = next(out["data"]["image/png"] for out in cell["outputs"] if "image/png" in out.get("data", {}))
        alt = cell["metadata"].get("course", {}).get("alt", "A figure of this lesson.")
        figures.append(("".join(picture).replace("\n", ""), alt))
    return figures


def claims_table(claims: list[Claim]) -> str:
    """The claims of a lesson as an HTML table."""
    if not claims:
        return '<p class="soft">No claims.</p>'
    rows = "".join(
        f'<tr><td class="{"bad" if claim.verdict == "fails" else "good" if claim.verdict == "holds" else "soft"}">'
        f"{MARKS[claim.verdict]}&nbsp;{claim.verdict.replace(' ', '&nbsp;')}</td>"
        f"<td>{html.escape(claim.sentence)}</td><td>{html.escape(claim.measured)}</td></tr>"
        for claim in claims
    )
    return (
        '<div class="scroll"><table><thead><tr><th>Verdict</th><th>Claim</th><th>Measured</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def lesson_section(lesson: Lesson, outcome: Outcome, path: Path) -> str:
    """All there is to say about one lesson: question, time, error, claims, figures."""
    question = html.escape(lesson.course.get("question", lesson.slug))
    state = '<span class="good">ran</span>' if outcome.ok else '<span class="bad">failed</span>'
    error = "" if outcome.ok else f'<p class="bad">In {html.escape(outcome.cell)}<br>{html.escape(outcome.error)}</p>'
    if outcome.traceback:
        error += f"<details><summary>Traceback</summary><pre>{html.escape(outcome.traceback)}</pre></details>"
    figures = "".join(
        f'<p><img src="data:image/png;base64,{data}" alt="{html.escape(alt, quote=True)}"></p>'
        for data, alt in key_figures(path)
    )
    return f"""<section id="{lesson.slug}">
<h2>{lesson.slug} · {question}</h2>
<p class="soft">{state} · {outcome.seconds / 60:.1f} minutes · at most {outcome.peak_mb:.0f} MB of memory ·
<a href="notebooks/{lesson.slug}.ipynb">executed notebook</a></p>
{error}{claims_table(claims_of(path))}{figures}
</section>"""


def overview(lessons: list[Lesson], outcomes: list[Outcome], folder: Path) -> str:
    """The table at the top: a row a lesson, linked to its section."""
    rows = ""
    for lesson, outcome in zip(lessons, outcomes):
        verdicts = [claim.verdict for claim in claims_of(folder / f"{lesson.slug}.ipynb")]
        counts = " · ".join(f"{verdicts.count(name)} {name}" for name in MARKS if name in verdicts) or "none"
        bad = not outcome.ok or "fails" in verdicts
        rows += (
            f'<tr><td><a href="#{lesson.slug}">{lesson.slug}</a></td>'
            f'<td class="{"bad" if bad else "good"}">{"ran" if outcome.ok else "failed"}</td>'
            f'<td class="number">{outcome.seconds / 60:.1f}</td><td>{counts}</td></tr>'
        )
    head = "<tr><th>Lesson</th><th>Run</th><th>Minutes</th><th>Claims</th></tr>"
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def summary_page(
    parameters: dict[str, str], lessons: list[Lesson], outcomes: list[Outcome], folder: Path, seconds: float
) -> str:
    """The whole page. `folder` holds the executed notebooks, `outcomes` stand in the order of `lessons`."""
    commit = git_state()
    versions = " · ".join(f"{name} {version(name)}" for name in PACKAGES)
    chosen = " · ".join(f"{name.lower()} <b>{html.escape(value)}</b>" for name, value in parameters.items())
    simulated = "<p><b>The scans are simulated</b> (the course's own phantom), not for clinical use.</p>"
    sections = "\n".join(
        lesson_section(lesson, outcome, folder / f"{lesson.slug}.ipynb") for lesson, outcome in zip(lessons, outcomes)
    )
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>The Modelling Loop: summary of a run</title><style>{STYLE}</style></head>
<body>
<h1>The Modelling Loop</h1>
<p class="soft">Run of {datetime.now():%d %B %Y, %H:%M}, {seconds / 60:.1f} minutes · {chosen}<br>
commit {html.escape(str(commit["commit"])[:12])}{" with local changes" if commit["dirty"] is True else ""} ·
Python {platform.python_version()} · {versions} · {html.escape(platform.platform())}</p>
{simulated if parameters["DATASET"] == "oct-phantom" else ""}
{overview(lessons, outcomes, folder)}
{sections}
</body>
</html>
"""
