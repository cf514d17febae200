"""What the service says: the shapes of its answers, as they stand in its OpenAPI description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Every answer that is not a result."""

    status: int = Field(description="the HTTP status, once more", examples=[422])
    error: str = Field(description="one sentence: what was wrong, and what would be right")


class Answer(BaseModel):
    """What the model says about one picture."""

    file: str = Field(description="the name that came with the picture")
    label: str = Field(description="the most probable class")
    decision: str = Field(description='the cheapest decision by the agreed prices, or "refer to a human"')
    probabilities: dict[str, float] = Field(description="calibrated, by class; they sum to 1")
    logits: list[float] = Field(description="the model's own numbers, before calibration, in the order of the classes")


class Milliseconds(BaseModel):
    """Where the time went, as the server saw it."""

    receive: float = Field(description="until the whole request was there")
    work: float = Field(description="waiting for a free thread, unpacking the pictures, running the model")


class Answers(BaseModel):
    """One answer for each picture, in the order sent."""

    model: str = Field(description="version of the model that answered")
    simulated: bool = Field(description="whether the model was trained on simulated scans")
    notice: str
    milliseconds: Milliseconds
    answers: list[Answer]


class Health(BaseModel):
    """The service is there and its model has answered a trial picture."""

    status: str = Field(examples=["ok"])
    model: str
    process: int = Field(description="which worker answered: its process id")


class ModelInfo(BaseModel):
    """What a client should know before it trusts an answer."""

    model: str
    name: str
    simulated: bool
    notice: str
    dataset: str
    classes: list[str]
    decisions: list[str]
    channels: int = Field(description="1: grey, 3: colour")
    size: int = Field(description="pictures are cropped to a square and resized to this edge")
    thresholds: dict[str, Any] = Field(description="temperature, and the rule that turns probabilities into decisions")
    metrics: dict[str, Any] = Field(description="scores on the test set: value, or value, low, high")
    limits: dict[str, float] = Field(description="of one request")
