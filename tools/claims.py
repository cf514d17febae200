"""Read what the lessons' claims said from an executed notebook.

A claim prints one line: `✓ sentence: at least 0.03 (measured 0.0521, …)`, with `✗` when it does not hold and `·` when
it is not judged (smoke profile, or data the threshold was not made for).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tools.lesson_format import Lesson, text_of

VERDICTS = {"✓": "holds", "✗": "fails", "·": "not judged"}
LINE = re.compile(r"^([✓✗·]) (.+) \(measured (.+)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Claim:
    """One checked sentence of a lesson: what was promised, what was measured, and the verdict."""

    sentence: str
    measured: str
    verdict: str


def claims_in(text: str) -> list[Claim]:
    """The claims in printed text, in order."""
    return [Claim(sentence, measured, VERDICTS[mark]) for mark, sentence, measured in LINE.findall(text)]


def claims_of(path: Path) -> list[Claim]:
    """The claims in the outputs of an executed notebook, a failed one included; none when there is no such file."""
    if not path.exists():
        return []
    found = []
    for cell in Lesson(path).code:
        outputs = cell["outputs"]
        found += claims_in("\n".join(text_of(output) for output in outputs if output.get("name") == "stdout"))
        for output in outputs:
            if output["output_type"] == "error" and output["ename"] == "ClaimFailed":
                told = claims_in(output["evalue"]) or [Claim(output["evalue"], "", "fails")]
                found += [claim for claim in told if claim.sentence not in {known.sentence for known in found}]
    return found
