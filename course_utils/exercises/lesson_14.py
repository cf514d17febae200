"""Exercises of lesson 14: what strangers are told, a client that asks again, bytes counted, a promise held against."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from course_utils.exercises.answers import entries
from course_utils.exercises.core import Exercise, NotTried, NotYet, ask, choice, number

LESSON = "14_serve"

STATUS = {
    "a good scan": 200,
    "grey stripes, saved as PNG": 200,
    "half a scan": 422,
    "a picture of 13000 × 13000 pixels in 164 kB": 422,
    "a body of one gigabyte": 413,
    "a client that connects and says nothing": 408,
    "one request more than may wait": 429,
}
REASONS = {
    "a good scan": "nothing is wrong here: which hundred says so?",
    "grey stripes, saved as PNG": "is it a picture of a kind that is read? The service looks at no more than that",
    "half a scan": "it is small and came in time; it simply is nothing we can use",
    "a picture of 13000 × 13000 pixels in 164 kB": "the body is small; it is the content that we cannot use",
    "a body of one gigabyte": "one request that would fill the memory: which row of the table of limits is that?",
    "a client that connects and says nothing": "somebody holds a line and is too slow: which row of the table is that?",
    "one request more than may wait": "nothing is wrong with it; it should come back later",
}


def judge_statuses(guesses) -> str:
    """14.1: which status each visitor gets from the service with its limits."""
    entries(guesses, STATUS, "guesses")
    for name, status in STATUS.items():
        said = number(guesses[name], name)
        if 500 <= said < 600:
            raise NotYet(f"{name}: {said:g} means a bug of ours; the limits are there so that nobody can cause one")
        if said != status:
            raise NotYet(f"{name}: not {said:g}. Think: {REASONS[name]}")
    return "each mistake has its number and wakes nobody up; the stripes are let in, and lesson 15 watches for such"


class Line:
    """A line to a service that says what it was told to, and remembers when it was asked."""

    def __init__(self, *says: Any):
        self.says, self.calls, self.waits = list(says), 0, []

    def send(self) -> int:
        """The next answer: a status, or an exception such as a broken connection."""
        self.calls += 1
        said = self.says[min(self.calls, len(self.says)) - 1]
        if self.calls > 50:
            raise RuntimeError("it was asked fifty times and there is no end")
        if isinstance(said, type):
            raise said("the worker died")
        return said

    def sleep(self, seconds: float) -> None:
        """Waits, on paper."""
        self.waits.append(number(seconds, "the seconds to sleep"))


def asked(patient, *says: Any) -> tuple[Any, Line]:
    """What the learner's client returns, and what it did on the way."""
    line = Line(*says)
    try:
        answer = ask(patient, line.send, line.sleep)
    except NotTried:  # nothing came back; was anything done?
        if not line.calls:
            raise
        answer = None
    if not line.calls:
        raise NotYet("send was never called")
    return answer, line


def judge_patient(patient) -> str:
    """14.2: asking again, with patience, and only when it can help."""
    for first in (ConnectionError, 429):
        answer, line = asked(patient, first, first, 200)
        what = "a 429" if first == 429 else "a broken connection"
        if line.calls < 3:
            raise NotYet(f"after {what} it was not asked again until the answer came ({line.calls} calls, {answer!r})")
        if answer != 200:
            raise NotYet(f"the third call was answered with 200, and {answer!r} came back")
        if line.calls > 3:
            raise NotYet(f"the scan was answered at the third call, and sent {line.calls} times all the same")
        if not line.waits:
            raise NotYet("no wait between two tries: eight such clients keep a service down that tries to come back")
        if line.waits != [1, 2]:
            raise NotYet(f"the waits before the second and third try were {line.waits}, and should be 1 and 2 seconds")
    for status, why in ((422, "the picture is bad, and will be bad next time"), (500, "only 429 asks to come back")):
        answer, line = asked(patient, status, 200)
        if line.calls > 1 or answer != status:
            raise NotYet(f"answered with {status}, it sent {line.calls} times in all and returned {answer!r}: {why}")
    line = Line(TypeError, 200)
    with suppress(Exception):
        patient(line.send, line.sleep)
    if line.calls > 1:
        raise NotYet("a TypeError, a bug of the client's own, was taken for a broken line: catch ConnectionError only")
    answer, line = asked(patient, ConnectionError)
    if line.calls != 5:
        raise NotYet(f"a service that is gone was asked {line.calls} times, not five")
    if line.waits != [1, 2, 4, 8]:
        raise NotYet(f"the waits were {line.waits}: twice as long each time, and none after the last try")
    if answer is not False:
        raise NotYet(f"after five tries in vain the result should be False, and is {answer!r}")
    answer, line = asked(patient, *[429, ConnectionError] * 10)
    if (line.calls, line.waits, answer) != (5, [1, 2, 4, 8], False):
        told = f"{line.calls} calls, waits {line.waits}, and {answer!r} in the end"
        raise NotYet(f"429 and broken lines by turns: {told}; the five calls are for both together")
    return "asking twice is safe here since it changes nothing: an appointment would be booked twice"


def taken(read, sizes: list[int], most: int) -> tuple[str, Any, int]:
    """The verdict, "read" or "refused" (a ValueError), what the reader returned, and how many pieces it took."""
    count = 0

    def pieces():
        nonlocal count
        for place, size in enumerate(sizes):
            count += 1
            yield bytes([65 + place % 26]) * size

    try:
        return "read", read(pieces(), most), count
    except ValueError:
        return "refused", b"", count
    except NotImplementedError:
        raise NotTried from None
    except Exception as error:  # the learner's code may raise anything, and should hear what
        what = f"pieces of {sizes[0]} bytes, {most} allowed: ValueError is asked" if sizes else "a body of no bytes"
        raise NotYet(f"{type(error).__name__} at {what}") from error


def judge_reader(read) -> str:
    """14.3: count what arrives."""
    if not callable(read):
        ask(read)
    verdict, body, _ = taken(read, [4, 0, 4, 2], 10)
    if body is None or body is ...:
        raise NotTried
    if verdict == "refused":
        raise NotYet("ten bytes were refused where ten are allowed")
    if bytes(body if isinstance(body, bytes | bytearray) else b"") != b"AAAACCCCDD":
        raise NotYet(f"pieces of 4, 0, 4 and 2 bytes should come back joined, as bytes; {body!r:.60} came")
    verdict, body, count = taken(read, [6] * 1000, 10)
    if verdict != "refused":
        size = f"{len(body)} bytes" if isinstance(body, bytes | bytearray) else repr(body)[:40]
        raise NotYet(f"6000 bytes arrived where ten are allowed, and were answered with {size}: raise ValueError")
    if count > 2:
        raise NotYet(f"refused, but only after {count} pieces of 6 bytes, ten allowed: who never ends would have won")
    if taken(read, [4, 4, 3], 10)[0] != "refused":
        raise NotYet("eleven bytes passed where ten are allowed")
    if taken(read, [5, 5, 1], 10)[0] != "refused":
        raise NotYet("after ten bytes an eleventh was under way, and the ten were returned as if they were all")
    verdict, body, _ = taken(read, [], 10)
    if verdict != "read" or body != b"":
        raise NotYet("an empty body is no error: it is zero bytes long")
    return "what is announced need not be true; what has been counted is"


ALONE, TOGETHER = np.array([600, 640, 580, 560]), np.array([760, 720, 790, 700])


def judge_promise(pick, ratio) -> str:
    """14.4: a promise that was made for every repeat."""
    choice(pick, ("on", "off"), "pick")
    ratio = number(ratio, "ratio")
    ratios = TOGETHER / ALONE
    if abs(ratio - ratios.min()) < 0.006:
        if pick == "on":
            raise NotYet(f"a ratio of {ratio:.3f} in one of the repeats: is that a fifth more?")
        return "the mean keeps the promise and one repeat does not: who made it for every repeat has to say no"
    if not 0.5 < ratio < 2:
        raise NotYet(f"{ratio:.3f} is far from one: the answers together, divided by those alone, and nothing else")
    if abs(ratio - TOGETHER.min() / ALONE.max()) < 0.002:
        raise NotYet(
            f"{ratio:.3f} sets one repeat's worst beside another's best: the computer was busier in one of the two"
        )
    if min(abs(ratio - ratios.mean()), abs(ratio - TOGETHER.sum() / ALONE.sum())) < 0.006:
        raise NotYet(f"{ratio:.3f} is an average over the repeats: what exactly was promised?")
    if ratio < 1:
        raise NotYet(f"{ratio:.3f}: divide the answers together by those alone, not the other way round")
    raise NotYet(f"{ratio:.3f} does not decide: one ratio a repeat, and which of the four does the promise fear?")


EXERCISES = {
    "14.1": Exercise(
        "What each visitor hears",
        "predict",
        judge_statuses,
        (
            "The table of limits in section 3 has a row for most of them. Is it the body, the content, or the time?",
            "Body too large 413, content of no use 422, too slow 408, come back later 429, anything readable 200.",
        ),
    ),
    "14.2": Exercise(
        "A client that asks again",
        "repair",
        judge_patient,
        (
            "A broken line and a 429 may pass; a 422 never will. How many waits lie between five tries?",
            "for wait in (1, 2, 4, 8, None): try send(); return any status but 429; sleep(wait) unless None.",
        ),
    ),
    "14.3": Exercise(
        "Count what arrives",
        "write",
        judge_reader,
        (
            "Add up the lengths as the pieces come, and look at the sum before you take the next one.",
            "A bytearray grows by each piece; raise as soon as it is longer than max_bytes; bytes(…) at the end.",
        ),
    ),
    "14.4": Exercise(
        "A promise held against four repeats",
        "decide",
        judge_promise,
        (
            "Each repeat ran both ways in turn, so each gives one ratio.",
            "The promise speaks of every repeat: the smallest of the four ratios decides.",
        ),
    ),
}
