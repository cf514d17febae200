"""How long the service waits for a client that has not finished its sentence.

uvicorn waits for ever for the rest of a request's head, and for the rest of a body that nobody wants any more. Ten
thousand such connections cost an attacker nothing (the "slowloris" attack), and every one costs us a socket.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a clock, `timeout_keep_alive`, on everything that the app itself does not time."""

    clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Start the clock when the client owes us something, stop it when it has delivered."""
        owes_head = self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete)
        owes_body = self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE
        if not (owes_head or owes_body):
            self._stop_clock()
        elif self.clock is None and not self.transport.is_closing():
            self.clock = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _stop_clock(self) -> None:
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP at all gets the same shape of answer as everything else."""
        body = json.dumps({"status": 400, "error": "this is not HTTP as the service reads it"}).encode()
        headers: list[tuple[bytes, Any]] = [(b"content-type", b"application/json"), (b"connection", b"close")]
        headers.append((b"content-length", str(len(body)).encode()))
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
