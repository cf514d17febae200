"""The service as a process of its own: start it, keep its workers alive, stop it, and never leave one behind."""

from __future__ import annotations

import contextlib
import inspect
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from course_utils.artifacts import BundleError, load_bundle
from course_utils.env import checkout_dir, runs_dir
from course_utils.serve.app import create_app
from course_utils.serve.limits import Limits

SETTINGS = "COURSE_SERVE"  # how the workers learn what to serve: they are new processes, not copies
STOP_SECONDS = 5  # for requests under way, after which they are cut off


def newest_bundle() -> Path:
    """The bundle written last under `runs/bundles`. BundleError that says how to make one, when there is none."""
    found = list((runs_dir() / "bundles").glob("model_v*/metadata.json"))
    if not found:
        raise BundleError(
            f"no bundle in {runs_dir() / 'bundles'}; make one with `make run LESSONS=13`, or name one with --bundle"
        )
    return max(found, key=lambda file: file.stat().st_mtime).parent


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes a free one. OSError, in one sentence, when that is not possible."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        server = socket.socket(family, kind, proto)  # asyncio sends at once (no Nagle) only where proto is said
        if os.name != "nt":  # there it would let two servers share a port
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise OSError(f"{host}:{port} cannot be used ({why}); end what uses it, or choose another --port") from None
    server.set_inheritable(True)
    return server


def serve(bundle: Path, host: str = "127.0.0.1", port: int = 8000, workers: int = 1, **settings: Any) -> None:
    """Serve a bundle until Ctrl-C or SIGTERM; `settings` go to `create_app`.

    With several workers a supervisor starts another for each that dies, whatever it died of. BundleError or OSError
    before anything is served.
    """
    app: FastAPI | str = create_app(load_bundle(bundle), **settings)  # also for workers: faults show here, once
    options: dict[str, Any] = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": STOP_SECONDS}
    options |= {"http": f"{__package__}.patience:PatientProtocol", "ws": "none", "server_header": False}
    options["timeout_keep_alive"] = settings.get("seconds", Limits.seconds)
    options["timeout_worker_healthcheck"] = 10  # on a busy machine a worker that only just started is slow to nod
    with listen(host, port) as server:
        where = f"http://{f'[{host}]' if ':' in host else host}:{server.getsockname()[1]}"
        print(f"serving {Path(bundle).name} at {where} with {workers} worker(s); Ctrl-C stops it", flush=True)
        signal.signal(signal.SIGTERM, _leave)
        if workers == 1:
            uvicorn.Server(uvicorn.Config(app, **options)).run(sockets=[server])
            return
        os.environ[SETTINGS] = json.dumps({"bundle": str(Path(bundle).resolve())} | settings)
        config = uvicorn.Config(f"{__name__}:worker", factory=True, workers=workers, **options)
        older = {"target": uvicorn.Server(config).run} if "target" in inspect.signature(Multiprocess).parameters else {}
        Multiprocess(config, sockets=[server], **older).run()


def _leave(*_: Any) -> None:
    raise SystemExit(0)


def worker() -> FastAPI:
    """The app of one worker, as its environment says; leaves when the supervisor is gone, even by kill -9."""
    settings = json.loads(os.environ[SETTINGS])
    if parent := multiprocessing.parent_process():
        threading.Thread(target=lambda: (parent.join(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
    return create_app(load_bundle(settings.pop("bundle")), **settings)


def stop_with(stream: IO[Any]) -> None:
    """End this process when `stream` does: whoever started it holds the other end, and may die without a word."""

    def watch() -> None:
        while os.read(stream.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def running(
    bundle: str | Path, *, workers: int = 1, port: int = 0, timeout: float = 120.0, **settings: Any
) -> Iterator[str]:
    """A real server process for the block; yields its address, like "http://127.0.0.1:41234".

    `settings` go to `create_app`. Ends with the block, and with this process, however that ends. RuntimeError with the
    server's last words when it does not start.
    """
    command = [sys.executable, "-m", "course_utils.serve", "run", "--bundle", str(Path(bundle).resolve())]
    command += ["--port", str(port), "--workers", str(workers), "--stop-with-stdin"]
    for name, value in settings.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    path = os.pathsep.join(filter(None, [str(checkout_dir() or ""), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    with TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment, start_new_session=True
        )
        try:
            yield _address(process, said, timeout)
        finally:
            _stop(process)


def _address(process: subprocess.Popen, said: IO[str], timeout: float) -> str:
    """The address the server prints, once a worker answers there."""
    deadline, opener = time.monotonic() + timeout, urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None and time.monotonic() < deadline:
        said.seek(0)
        if found := re.search(r" at (http://\S+) with ", said.read()):
            with contextlib.suppress(OSError):
                with opener.open(f"{found[1]}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return found[1]
        time.sleep(0.05)
    said.seek(0)
    words = said.read().strip().splitlines() or ["it said nothing"]
    raise RuntimeError(f"the service did not start: {words[-1]}")


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS + 5)
    except subprocess.TimeoutExpired:
        process.kill()
    if os.name != "nt":  # whoever is left of its group: workers of a supervisor that was killed
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
