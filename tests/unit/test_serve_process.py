"""The service as a real process: slow and greedy clients, killed workers, clean ends, misuse of the command."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
import requests

from course_utils import serve
from course_utils.artifacts import BundleError
from course_utils.serve import __main__ as command
from course_utils.serve import process
from tests.unit.serve_kit import as_file, form, scans, shared_bundle

pytestmark = [
    pytest.mark.slow,  # real processes, each of which imports PyTorch
    pytest.mark.skipif(os.name == "nt", reason="signals and process groups as POSIX has them"),
]
PNG = as_file(scans(1, 64)[0])


@pytest.fixture(scope="module")
def url():
    """One server for the tests that leave it alive, impatient so that they are short."""
    with serve.running(shared_bundle().path, seconds=1, max_bytes=2**20) as address:
        yield address


def talk(url, *parts, pause=0.0, timeout=15.0):
    """Send raw parts over a socket, with pauses; returns what comes back until the server closes, and the seconds."""
    host, port = url.removeprefix("http://").split(":")
    start, heard = time.monotonic(), b""
    hung_up = contextlib.suppress(BrokenPipeError, ConnectionResetError)  # it may have had enough
    with socket.create_connection((host, int(port)), timeout=timeout) as line:
        with hung_up:
            for part in parts:
                line.sendall(part)
                time.sleep(pause)
        with hung_up:
            while more := line.recv(65536):
                heard += more
    return heard, time.monotonic() - start


def head(path="/predict", *headers):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: multipart/form-data; boundary=xyz", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def alive(url):
    answer = requests.post(f"{url}/predict", files={"files": ("a.png", PNG)}, timeout=10)
    return answer.status_code == 200 and len(answer.json()["answers"]) == 1


def test_it_answers_like_the_predictor(url):
    answer = requests.post(f"{url}/predict", files=[("files", ("a.png", PNG)), ("files", ("b.png", PNG))], timeout=10)
    assert answer.status_code == 200 and answer.json()["answers"][1]["file"] == "b.png"
    predictor = serve.Predictor(shared_bundle())
    expected = predictor.predict(predictor.decode(PNG, "a")[None])[0]
    assert answer.json()["answers"][0]["decision"] == expected["decision"]
    assert answer.json()["answers"][0]["logits"] == pytest.approx(expected["logits"], abs=1e-4)


def test_clients_that_send_slowly_are_cut_off(url):
    _, body = form(("a.png", PNG))
    heard, seconds = talk(url, head("/predict", "Content-Length: 9999"), body[:100], *[b"."] * 5, pause=0.3)
    assert heard.startswith(b"HTTP/1.1 408") and b"1 seconds" in heard and seconds < 8
    assert alive(url)


def test_a_head_that_never_ends_is_hung_up_on(url):
    """Many at once, all unfinished: the service answers others meanwhile, and lets go of every one."""
    outcomes = []
    unfinished = (b"POST /predict HTTP/1.1\r\nHost: x\r\n", *[b"X-A: 1\r\n"] * 20)
    clients = [threading.Thread(target=lambda: outcomes.append(talk(url, *unfinished, pause=0.2))) for _ in range(40)]
    for client in clients:
        client.start()
    assert alive(url)
    for client in clients:
        client.join()
    assert len(outcomes) == 40 and all(heard == b"" and seconds < 8 for heard, seconds in outcomes)


def test_more_than_is_allowed_is_refused_while_it_arrives(url):
    chunk = b"10000\r\n" + b"\0" * 65536 + b"\r\n"
    start = b'54\r\n--xyz\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    start = b"%x\r\n" % (len(start) - 4) + start[4:] + b"\r\n"
    parts = [head("/predict", "Transfer-Encoding: chunked"), start, *[chunk] * 40, b"0\r\n\r\n"]
    heard, _ = talk(url, *parts)
    assert heard.startswith(b"HTTP/1.1 413") and b"1 MB" in heard
    big = requests.post(f"{url}/predict", files={"files": ("a.png", b"\0" * 5_000_000)}, timeout=10)
    assert big.status_code == 413 and "1 MB" in big.json()["error"]
    assert alive(url)


def test_what_is_not_http_gets_the_same_shape_of_answer(url):
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"GET\r\n\r\n"):
        heard, _ = talk(url, noise)
        assert heard.startswith(b"HTTP/1.1 400") and json.loads(heard.split(b"\r\n\r\n")[1])["status"] == 400
    heard, _ = talk(url, b"A" * 200_000)  # hung up on while still sending: the answer may get lost
    assert heard == b"" or heard.startswith(b"HTTP/1.1 400")
    assert alive(url)


def test_a_client_that_leaves_in_the_middle(url):
    host, port = url.removeprefix("http://").split(":")
    headers, body = form(("a.png", PNG))
    for _ in range(20):
        with socket.create_connection((host, int(port))) as line:
            line.sendall(head("/predict", f"Content-Length: {len(body)}") + body[: len(body) // 2])
    for _ in range(20):
        with socket.create_connection((host, int(port))) as line:  # leaves without hearing the answer
            line.sendall(head("/predict", f"Content-Length: {len(body)}") + body)
    time.sleep(0.3)
    assert alive(url)
    assert "triage_predictions_in_flight 0.0" in requests.get(f"{url}/metrics", timeout=5).text


def test_a_killed_worker_is_replaced_under_load():
    """kill -9: requests in flight in that worker are lost, whoever asks again is answered, a new worker appears."""
    with serve.running(shared_bundle().path, workers=2) as url:
        supervisor = _server_of(url)
        before = _workers(supervisor)
        outcomes, stop = [], threading.Event()

        def client():
            while not stop.wait(0.02):
                try:
                    answer = requests.post(f"{url}/predict", files={"files": ("a.png", PNG)}, timeout=60)
                    outcomes.append(answer.status_code)
                except requests.ConnectionError:
                    outcomes.append("lost")

        clients = [threading.Thread(target=client, daemon=True) for _ in range(3)]
        try:
            for thread in clients:
                thread.start()
            time.sleep(0.5)
            answered = outcomes.count(200)
            victim = requests.get(f"{url}/health", timeout=60).json()["process"]
            os.kill(victim, signal.SIGKILL)
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and len(_workers(supervisor) - {victim}) < 2:
                time.sleep(0.1)
            time.sleep(0.5)
        finally:
            stop.set()
        for thread in clients:
            thread.join(60)
        after = _workers(supervisor)
        assert victim in before and victim not in after and len(after) == 2
        assert outcomes.count(200) > answered and set(outcomes) <= {200, "lost"}
        assert outcomes.count("lost") <= 2 * len(clients), "only what the dead worker held may be lost"
        supervisor.kill()  # and when the supervisor itself is killed, its workers do not stay behind
        gone, left = psutil.wait_procs([psutil.Process(pid) for pid in after], timeout=60)
        assert not left


def _server_of(url):
    port = int(url.rsplit(":", 1)[1])
    ours = psutil.Process().children()
    return next(child for child in ours if any(c.laddr.port == port for c in child.net_connections("tcp")))


def _workers(supervisor):
    """Process ids of the living workers, without multiprocessing's own helper."""
    found = set()
    for child in supervisor.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # also a zombie: dead, and not yet buried
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_it_ends_with_ctrl_c_and_with_its_block():
    """Ctrl-C ends it with status 0; and `running` leaves nothing behind, whatever happens in its block."""
    with pytest.raises(ZeroDivisionError):
        with serve.running(shared_bundle().path) as url:
            server = _server_of(url)
            server.send_signal(signal.SIGINT)
            assert server.wait(15) == 0
            raise ZeroDivisionError
    assert not server.is_running()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=2)


def test_it_ends_when_its_starter_is_gone(monkeypatch):
    told, (theirs, ours) = threading.Event(), os.pipe()
    monkeypatch.setattr(process.os, "kill", lambda pid, sign: told.set() if (pid, sign) == (os.getpid(), 15) else None)
    with open(theirs) as stream:
        process.stop_with(stream)
        assert not told.wait(0.1)
        os.close(ours)
        assert told.wait(5)


def test_a_server_that_does_not_start_has_the_last_word(tmp_path):
    with (tmp_path / "log").open("w+") as said:
        dying = subprocess.Popen([sys.executable, "-c", "print('loading'); print('no bundle at x')"], stdout=said)
        with pytest.raises(RuntimeError, match="did not start: no bundle at x"):
            process._address(dying, said, 20)


# --- misuse ----------------------------------------------------------------------------------------------------------
def one_line(capsys):
    said = capsys.readouterr().err.strip()
    assert said and "\n" not in said and "Traceback" not in said
    return said


def test_a_port_in_use_is_one_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert command.main(["run", "--bundle", str(shared_bundle().path), "--port", str(port)]) == 1
    assert str(port) in (said := one_line(capsys)) and "--port" in said


def test_no_bundle_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    assert command.main(["run"]) == 1 and "LESSONS=13" in one_line(capsys)
    assert command.main(["run", "--bundle", str(tmp_path / "none")]) == 1 and "none" in one_line(capsys)
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "model_v20260101-0").symlink_to(shared_bundle().path)
    assert process.newest_bundle() == tmp_path / "bundles" / "model_v20260101-0"
    with pytest.raises(BundleError):
        process.serve(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--port", "70000"],
        ["run", "--port", "x"],
        ["run", "--workers", "0"],
        ["batch"],
        ["batch", "x"],
    ],
)
def test_a_misused_command_explains_itself(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2 and "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["999.0.0.1", "no.such.host.invalid"])
def test_a_host_that_is_none(host):
    with pytest.raises(OSError, match=host):
        process.listen(host, 0)
