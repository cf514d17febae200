"""The service: `create_app(bundle)` gives a FastAPI app that answers pictures with decisions.

Whatever it is sent, it answers with a result or with one sentence and a status from 400 to 499; what it holds in memory
is bounded by its limits, not by what clients say.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from course_utils.artifacts import Bundle
from course_utils.data import DataError
from course_utils.serve.answers import Answer, Answers, Health, ModelInfo, Problem
from course_utils.serve.docs import docs_page
from course_utils.serve.limits import KnownHost, Limits, Observed, SafeHeaders, guarded
from course_utils.serve.observe import Counts
from course_utils.serve.page import mount_page
from course_utils.serve.predictor import NOTICE, Predictor
from course_utils.serve.work import MicroBatcher

FORMATS = ("BMP", "JPEG", "PNG")  # fewer than a folder may hold: each format is code that strangers can reach
PATHS = ("/", "/predict", "/health", "/model", "/metrics", "/docs", "/openapi.json")
SENTENCES = {
    404: "there is nothing at this address; /docs lists what there is",
    405: "this address does not take that method; /docs lists what there is",
}
PICTURES = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "additionalProperties": False,
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "format": "binary"},
                        "description": "one picture or several: PNG, JPEG or BMP, 8 bits a channel",
                    }
                },
            }
        }
    },
}


class Service:
    """What the routes share: the predictor, its threads, the limits and the counts."""

    def __init__(self, bundle: Bundle, limits: Limits, threads: int, micro_batch: int) -> None:
        self.predictor, self.limits, self.waiting = Predictor(bundle), limits, 0
        self.counts = Counts(self.predictor, PATHS)
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self.together = MicroBatcher(self.predictor.logits, self.executor, micro_batch) if micro_batch > 1 else None

    async def files(self, request: Request) -> FormData:
        """The request's form, read under the limits; the caller closes it."""
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise HTTPException(415, "send the pictures as multipart/form-data, in the field `files`")
        receive = guarded(request.receive, max_bytes=self.limits.max_bytes, seconds=self.limits.seconds)
        try:
            return await Request(request.scope, receive).form()
        except ClientDisconnect:  # nobody will read this
            raise HTTPException(400, "the connection was closed before the request was complete") from None
        except (ValueError, LookupError, AssertionError) as error:  # the parser's, on a broken boundary or header
            raise HTTPException(400, "the body is no multipart/form-data; let your HTTP library write it") from error

    def pictures(self, form: FormData) -> list[UploadFile]:
        """The files of the form. HTTPException for anything that is not one, or too many of them."""
        wrong = [name for name, value in form.multi_items() if name != "files" or not isinstance(value, UploadFile)]
        if wrong:
            raise HTTPException(422, f"the field {shown(wrong[0])!r} is no picture; send files, in the field `files`")
        files = [value for _, value in form.multi_items()]
        if not files:
            raise HTTPException(422, "no picture came; send at least one file in the field `files`")
        if len(files) > self.limits.max_files:
            raise HTTPException(413, f"{len(files)} files came; send at most {self.limits.max_files} in one request")
        return files

    def decode(self, files: list[UploadFile]) -> np.ndarray:
        """uint8 (N, H, W[, C]); one unpacked picture in memory at a time. DataError names the first bad file."""
        limit = {"max_pixels": self.limits.max_pixels, "formats": FORMATS}
        return np.stack([self.predictor.decode(file.file.read(), shown(file.filename), **limit) for file in files])

    async def logits(self, files: list[UploadFile]) -> np.ndarray:
        """Unpack and run, away from the event loop; together with other requests when that is wanted."""
        run = asyncio.get_running_loop().run_in_executor
        if self.together is None:
            return await run(self.executor, lambda: self.predictor.logits(self.decode(files)))
        return await self.together(await run(self.executor, self.decode, files))

    async def predict(self, request: Request) -> Answers:
        """Answer one request."""
        start = time.perf_counter()
        form = await self.files(request)
        try:
            files, received = self.pictures(form), time.perf_counter()
            logits = await self.logits(files)
        except DataError as error:
            raise HTTPException(422, str(error)) from None
        finally:
            await form.close()
        answers = self.predictor.answers(logits)
        self.counts.record_answers(answers)
        timing = {"receive": 1e3 * (received - start), "work": 1e3 * (time.perf_counter() - received)}
        return Answers(
            model=self.predictor.version,
            simulated=bool(self.predictor.metadata["simulated"]),
            notice=NOTICE,
            milliseconds=timing,
            answers=[Answer(file=shown(file.filename), **answer) for file, answer in zip(files, answers)],
        )


def shown(name: str | None) -> str:
    """A stranger's file or field name as it may stand in an answer: printable, short."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name or "the file")
    return name if len(name) <= 80 else f"{name[:77]}…"


def create_app(
    bundle: Bundle,
    *,
    threads: int = 1,
    micro_batch: int = 1,
    page: bool = True,
    **limits: float,
) -> FastAPI:
    """The service for one bundle. `limits`: the fields of `Limits`. BundleError when the bundle cannot be served.

    `threads` answer at the same time; `micro_batch` above 1 lets requests that wait share a run of the model.
    """
    if threads < 1 or micro_batch < 1:
        raise ValueError(f"threads is {threads} and micro_batch {micro_batch}; both must be at least 1")
    service = Service(bundle, Limits(**limits), threads, micro_batch)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.executor.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title=f"{service.predictor.metadata['name']} of pictures",
        version=service.predictor.version,
        description=NOTICE,
        lifespan=lifespan,
        redirect_slashes=False,  # it would build an address from what the client says our name is
        docs_url=None,  # FastAPI's own page loads its scripts from the internet
        redoc_url=None,
    )
    app.state.service = service
    _add_routes(app, service)
    if page:
        mount_page(app, bundle)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(Exception, _our_fault)
    app.add_middleware(KnownHost)
    app.add_middleware(Observed, record=service.counts.record)
    app.add_middleware(SafeHeaders)  # outermost: the last that is added
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    predictor, bad = service.predictor, {status: {"model": Problem} for status in (400, 408, 413, 415, 422, 429)}

    @app.post("/predict", responses=bad, openapi_extra={"requestBody": PICTURES})
    async def predict(request: Request) -> Answers:
        """Classify one picture or several; all are answered, or none."""
        if service.waiting >= service.limits.max_waiting:
            raise HTTPException(429, "too many requests are waiting; try again in a second", {"Retry-After": "1"})
        service.waiting += 1
        service.counts.in_flight.inc()
        try:
            return await service.predict(request)
        finally:
            service.waiting -= 1
            service.counts.in_flight.dec()

    @app.get("/health")
    async def health() -> Health:
        """Whether the service can answer."""
        return Health(status="ok", model=predictor.version, process=os.getpid())

    @app.get("/model")
    async def model() -> ModelInfo:
        """Which model answers, by which rule, within which limits."""
        said: dict[str, Any] = {name: predictor.metadata[name] for name in ("name", "simulated", "dataset", "classes")}
        said |= {name: predictor.metadata[name] for name in ("thresholds", "metrics")}
        shape = {"channels": predictor.channels, "size": predictor.size, "decisions": list(predictor.decisions)}
        return ModelInfo(model=predictor.version, notice=NOTICE, limits=asdict(service.limits), **said, **shape)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page(app.openapi()))

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counts and times for Prometheus, of the worker that answers."""
        return Response(service.counts.text(), media_type=CONTENT_TYPE_LATEST)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = SENTENCES.get(error.status_code, error.detail)
    body = Problem(status=error.status_code, error=sentence).model_dump()
    return JSONResponse(body, error.status_code, headers=error.headers)


async def _our_fault(request: Request, error: Exception) -> Response:
    body = Problem(status=500, error="the service made a mistake; it has been noted and is not yours").model_dump()
    return JSONResponse(body, 500)
