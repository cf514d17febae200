"""What a stranger may ask of the service: so many bytes, in so many seconds, so many at once.

Pure ASGI (https://asgi.readthedocs.io): an application is called with `scope`, `receive` and `send`. Whoever stands
between an application and these three can count every byte and stop every clock, whatever the headers promise.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

HOST = re.compile(rb"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "img-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True)
class Limits:
    """What one request may cost, and how many may be under way at once."""

    max_bytes: int = 16 * 2**20  # of a request's body
    max_files: int = 16
    max_pixels: int = 16_000_000  # of a picture
    max_waiting: int = 64  # requests; the next one is asked to come back later
    seconds: float = 10.0  # for the whole request to arrive

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")


class SafeHeaders:
    """Tell browsers to load nothing from elsewhere and to guess no types."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", ())}
                extra = [header for header in HEADERS if header[0] not in present]
                message = message | {"headers": [*message.get("headers", ()), *extra]}
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class Observed:
    """Tell `record(path, method, status, seconds)` about every request, also one that ends in an error of ours."""

    def __init__(self, app: App, record: Callable[[str, str, int, float], None]) -> None:
        self.app, self.record = app, record

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 500

        async def observed(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)  # the body's messages have none
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            self.record(scope["path"], scope["method"], status, time.perf_counter() - start)


class KnownHost:
    """Refuse a Host header that is no name, address and port: whoever builds an address from it would trip."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        hosts = [value for name, value in scope.get("headers", ()) if name == b"host"]
        if all(HOST.fullmatch(host) for host in hosts):
            return await self.app(scope, receive, send)
        body = {"status": 400, "error": "the Host header is no name or address with a port"}
        await JSONResponse(body, 400)(scope, receive, send)


def guarded(receive: Receive, *, max_bytes: int, seconds: float) -> Receive:
    """`receive`, counting: HTTPException 413 beyond `max_bytes` of body, 408 when it takes longer than `seconds`.

    What the client *says* about the length of its body is not asked: the bytes that arrive are counted.
    """
    deadline, arrived = time.monotonic() + seconds, 0

    async def counted() -> dict[str, Any]:
        nonlocal arrived
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            message = f"the request did not arrive within {seconds:g} seconds; send it faster, or send less"
            raise HTTPException(408, message, {"Connection": "close"}) from None
        arrived += len(message.get("body", b""))
        if arrived > max_bytes:
            raise HTTPException(
                413, f"a request may have at most {max_bytes / 2**20:g} MB; send fewer or smaller files"
            )
        return message

    return counted
