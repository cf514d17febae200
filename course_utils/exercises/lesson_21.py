"""Exercises of lesson 21: what turns a phase, a circle's centre, intervals that keep a promise, who is called."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import entries, floats
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number

LESSON = "21_capstone_radar"

WAVELENGTH = 5.0  # mm, at 60 GHz
LIMITS = {"chest moves 10 mm/s": 8.0, "chest moves 25 mm/s": 20.0}


def judge_frames(guesses) -> str:
    """21.1: the fewest frames a second that a phase can be followed with."""
    names = (*LIMITS, "what decides")
    entries(guesses, names, "guesses")
    decides = choice(guesses["what decides"], ("breaths a minute", "speed of the chest"), "what decides")
    if decides != "speed of the chest":
        raise NotYet("five frames hold every breathing frequency, and fail all the same: what turns once every 2.5 mm?")
    for name, frames in LIMITS.items():
        guess, speed = number(guesses[name], name), frames * WAVELENGTH / 4
        if abs(guess - frames) < 0.01:
            continue
        if guess <= 0:
            raise NotYet(f"{name}: {guess:g} frames a second would see nothing")
        step, turn = speed / guess, speed / guess / (WAVELENGTH / 2)
        if abs(guess - frames / 4) < 0.01:
            raise NotYet(f"{name}: {guess:g} frames allow a whole wavelength a frame; the way is there and back")
        if guess > frames:
            raise NotYet(f"{name}: with {guess:g} frames the phase turns by {turn:.2f} turns a frame. Would fewer do?")
        raise NotYet(f"{name}: with {guess:g} frames it moves {step:.3g} mm a frame, and the phase by {turn:.2f} turns")
    return "twice as quick a chest wants twice the frames, however slowly it breathes: sample what turns"


def judge_displacement(displacement) -> str:
    """21.2: the angle around the circle's own centre."""
    time = np.arange(200) / 20.0
    moved = 2.0 * np.sin(2 * np.pi * 0.3 * time) + 0.3 * np.sin(2 * np.pi * 1.1 * time)
    for radius, centre, wavelength in ((1.0, 0.0, WAVELENGTH), (0.7, 3.0 - 1.5j, 4.0)):
        z = radius * np.exp(1j * (1.0 - 4 * np.pi * moved / wavelength)) + centre
        got = floats(ask(displacement, z.copy(), complex(centre), wavelength), (200,), "the displacement")
        got, wanted = got - got.mean(), moved - moved.mean()
        if np.allclose(got, wanted, atol=1e-6):
            continue
        raw = -np.unwrap(np.angle(z)) * wavelength / (4 * np.pi)
        around = -np.angle(z - centre) * wavelength / (4 * np.pi)
        for value, help in (
            (raw, "the angle is taken from the origin, where no chest is: the arc has a centre of its own"),
            (around, "the angle jumps by a whole turn where it passes ±π: unwrap it along time"),
            (2 * wanted, "twice too deep: the echo travels there and back, so the phase turns by 4π a wavelength"),
            (-wanted, "the sign is turned round: when the chest comes nearer, the angle falls"),
            (wanted * 4 * np.pi / wavelength, "those are radians; divide by 4π and multiply by the wavelength"),
            (wanted * (4 * np.pi / wavelength) ** 2, "multiplied by 4π / wavelength where it should be divided"),
            (np.degrees(wanted) * 4 * np.pi / wavelength, "those are degrees; np.angle in radians, then millimetres"),
        ):
            if np.allclose(got, value - value.mean(), atol=1e-6):
                raise NotYet(help)
        raise NotYet(
            f"a chest that moves {np.ptp(moved):.2f} mm comes out as {np.ptp(got):.2f} mm, before a radar with a "
            f"wavelength of {wavelength:g} mm"
        )
    return "around its own centre the angle is the chest; around the origin it is the furniture"


def judge_margin(margin) -> str:
    """21.3: how much wider, so that nine in ten are held."""
    rng = np.random.default_rng(0)
    truth = 16 + 4 * rng.standard_normal(200)
    low, high = truth - 1 + rng.standard_normal(200), truth + 1 + rng.standard_normal(200)
    # Each finds another slip: rounding down, n for n + 1, one more than rounding down, margins cut off at zero.
    for n, share, wider in ((53, 0.85, 0.0), (200, 0.9, 0.0), (49, 0.8, 0.0), (47, 0.8, 3.0)):
        lower, upper = low[:n] - wider, high[:n] + wider
        outside = np.maximum(lower - truth[:n], truth[:n] - upper)
        got = number(ask(margin, lower.copy(), upper.copy(), truth[:n].copy(), share), "the margin")
        ranked, place = np.sort(outside), (n + 1) * share
        rank = int(np.ceil(place))
        if abs(ranked[rank - 1] - got) < 1e-5:  # float32 will do
            continue
        middle = np.sort(np.abs(truth[:n] - (lower + upper) / 2))
        for value, help in (
            (np.sort(np.abs(outside))[rank - 1], "truths well inside count as outside: keep their minus"),
            (max(ranked[rank - 1], 0), "cut off at zero: intervals that hold too much want a margin below zero"),
            (ranked[rank], "one rank high: the first of the sorted is rank 1, and np.quantile may go one further, too"),
            (
                ranked[rank - 2],
                f"one rank low: the new truth may take any of n + 1 = {n + 1} places; round up {place:g}",
            ),
            (ranked[n - rank], f"held by {1 - share:.0%}, not by {share:.0%}: that is the other end of the order"),
            (np.sort(truth[:n] - upper)[rank - 1], "truths below their interval are outside as well as those above"),
            (-ranked[rank - 1], "the sign is turned round: above zero is outside, and widens the interval"),
            (middle[rank - 1], "measured from the middle of the interval; its ends are already there"),
        ):
            if abs(got - value) < 1e-5:
                raise NotYet(help)
        held = (outside <= got).mean()
        if abs(held - share) < 0.02:
            raise NotYet(f"close: {held:.1%} of {n} are held. Take the truth of rank (n + 1) · {share:g}, rounded up")
        raise NotYet(
            f"widened by {got:.3f} on both sides, {held:.0%} of {n} truths are held where {share:.0%} should be"
        )
    return "nine in ten on average, for people like these: look by condition for whom the promise is broken"


TRUE = np.array([12, 14, 16, 18, 19, 21, 23, 24, 26, 27, 28, 30, 32, 35])
READ = np.array([12, 15, 16, 17, 19, 22, 21, 25, 25, 21, 26, 23, 29, 31])


def judge_call(call_at, missed) -> str:
    """21.4: at which number the nurse is called."""
    call_at, missed = number(call_at, "call_at"), number(missed, "missed")
    if call_at != round(call_at):
        raise NotYet(f"{call_at:g} is no whole number, and the network reads whole numbers: from which one on?")
    fast, others = TRUE > 25, TRUE <= 25
    caught = (READ[fast] >= call_at).sum()
    alarms = (READ[others] >= call_at).sum()
    if caught < 5:
        more = "the network reads fast breathing too slow" if call_at >= 25 else "how many calls are still allowed?"
        raise NotYet(f"calling from {call_at:g} on catches {caught} of six fast breathers: {more}")
    if alarms > 2:
        raise NotYet(f"from {call_at:g} on it calls for {alarms} of eight who breathe slower: at most two were allowed")
    if abs(missed - fast.sum() + caught) > 1e-9:
        raise NotYet(f"{missed:g} missed? Count those above 25 in truth who are read below {call_at:g}")
    return (
        f"from {call_at:g} on: {caught} of six caught, {alarms} called for nothing, at a number below the one asked for"
    )


EXERCISES = {
    "21.1": Exercise(
        "How many frames?",
        "predict",
        judge_frames,
        (
            "How far may the chest move between two frames, so that its phase turns by half a turn and no more?",
            "At most 1.25 mm a frame: the speed divided by 1.25 mm is the fewest frames a second.",
        ),
    ),
    "21.2": Exercise(
        "The chest, not the furniture",
        "repair",
        judge_displacement,
        (
            "Which point should the angle be measured from? And what happens where it passes half a turn?",
            "The angle of z - centre, np.unwrap along time; then the sign, and wavelength / (4 π) for each radian.",
        ),
    ),
    "21.3": Exercise(
        "A margin for nine in ten",
        "write",
        judge_margin,
        (
            "Outside by how much: the larger of low - truth and truth - high, negative inside. Then sort.",
            "np.sort(outside)[math.ceil((n + 1) * share) - 1].",
        ),
    ),
    "21.4": Exercise(
        "When to call the nurse",
        "decide",
        judge_call,
        (
            "Try every whole number from 20 to 26: who is caught, who is called for nothing?",
            "The network reads fast breathers too slow, so the number lies below 25; count for each.",
        ),
    ),
}
