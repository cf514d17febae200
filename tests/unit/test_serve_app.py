"""The service, asked in every wrong way we could think of: a result, or one sentence and a status from 400 to 499."""

import asyncio
import json
import os
import struct
import time
import zlib

import numpy as np
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from prometheus_client.parser import text_string_to_metric_families
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from course_utils.serve import REFER, Predictor, create_app
from course_utils.serve import app as app_module
from course_utils.serve.limits import Limits
from tests.unit.serve_kit import as_file, ask, call, form, post, scans, shared_bundle

PNG = as_file(scans(1, 64)[0])
MULTIPART = {"content-type": "multipart/form-data; boundary=xyz"}


@pytest.fixture(scope="module")
def bundle():
    return shared_bundle()


@pytest.fixture(scope="module")
def app(bundle):
    return create_app(bundle, max_bytes=2**20, max_files=4, max_pixels=1_000_000, seconds=0.3)


def refused(answer, status, *words):
    """The answer has this status and one sentence with these words."""
    code, body = answer
    assert code == status, body
    assert body.keys() == {"status", "error"} and body["status"] == status
    assert all(word in body["error"] for word in words), body["error"]
    assert "\n" not in body["error"] and len(body["error"]) < 300


def png_of(width, height, filler=b""):
    """A PNG whose header says width × height, with hardly any data behind it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(filler)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(c)) + t + c + struct.pack(">I", zlib.crc32(t + c)) for t, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# --- what it is for --------------------------------------------------------------------------------------------------
def test_predictions_are_those_of_the_predictor(app, bundle):
    images = scans(4)
    status, said = post(app, *((f"{n}.png", as_file(image)) for n, image in enumerate(images)))
    assert status == 200
    expected = Predictor(bundle).predict(images)
    assert said["answers"] == [{"file": f"{n}.png"} | answer for n, answer in enumerate(expected)]
    assert (said["model"], said["simulated"]) == (bundle.version, True) and "clinical" in said["notice"]
    assert all(value >= 0 for value in said["milliseconds"].values())


def test_health_and_model(app, bundle):
    assert ask(app, path="/health") == (200, {"status": "ok", "model": bundle.version, "process": os.getpid()})
    status, said = ask(app, path="/model")
    assert status == 200 and said["decisions"] == ["urgent", "routine", "discharge", REFER]
    assert said["classes"] == list(bundle.metadata["classes"]) and (said["channels"], said["size"]) == (1, 32)
    assert said["thresholds"] == bundle.metadata["thresholds"] and said["metrics"] == bundle.metadata["metrics"]
    assert said["limits"]["max_files"] == 4


def test_metrics_count_what_happened_in_this_app_alone(bundle):
    fresh = create_app(bundle)
    post(fresh, ("a.png", PNG), ("b.png", PNG))
    post(fresh, ("a.png", b"no picture"))
    for n in range(50):
        ask(fresh, f"METHOD{n}", f"/invented/{n}")
    families = {
        family.name: family for family in text_string_to_metric_families(ask(fresh, path="/metrics")[1].decode())
    }
    requests = {
        tuple(s.labels.values()): s.value for s in families["triage_requests"].samples if s.name.endswith("total")
    }
    assert {key: requests.get(key) for key in (("POST", "/predict", "200"), ("POST", "/predict", "422"))} == {
        ("POST", "/predict", "200"): 1,
        ("POST", "/predict", "422"): 1,
    }
    assert len(requests) <= 4, "invented paths and methods must not make series"
    assert sum(s.value for s in families["triage_predictions"].samples if s.name.endswith("total")) == 2
    assert families["triage_predictions_in_flight"].samples[0].value == 0


def test_the_description_and_its_page(app):
    status, openapi = ask(app, path="/openapi.json")
    assert status == 200 and set(openapi["paths"]) == {"/predict", "/health", "/model", "/metrics"}
    assert {"200", "400", "408", "413", "415", "422", "429"} <= set(openapi["paths"]["/predict"]["post"]["responses"])
    status, page = ask(app, path="/docs")
    assert status == 200 and all(path.encode() in page for path in openapi["paths"]) and b"//" not in page


def test_every_answer_keeps_browsers_at_home(app):
    for path in ("/", "/health", "/nowhere", "/model.json"):
        _, headers, _ = asyncio.run(call(app, path=path))
        policy = headers[b"content-security-policy"].decode()
        assert headers[b"x-content-type-options"] == b"nosniff" and "http" not in policy
        assert "default-src 'self'" in policy or "default-src 'none'" in policy


@pytest.mark.parametrize("micro_batch", [1, 8])
def test_many_at_once_get_their_own_answers(bundle, micro_batch):
    service, images = create_app(bundle, micro_batch=micro_batch, threads=2), scans(24)
    expected = Predictor(bundle).predict(images)

    async def together():
        requests = [form((f"{n}.png", as_file(image))) for n, image in enumerate(images)]
        requests.append(form(("bad.png", b"no picture")))  # whose fault is nobody else's
        return await asyncio.gather(*(call(service, "POST", "/predict", *request) for request in requests))

    *good, bad = asyncio.run(together())
    assert bad[0] == 422
    for n, (status, _, body) in enumerate(good):
        answer = json.loads(body)["answers"][0]
        assert (status, answer["file"]) == (200, f"{n}.png")
        np.testing.assert_allclose(answer["logits"], expected[n]["logits"], atol=1e-4)


# --- what it refuses -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["x.png", "no picture"]),
        (b"GIF89a" + b"\0" * 100, ["no picture"]),
        (b"%PDF-1.7 ...", ["no picture"]),
        (as_file(scans(1, 64)[0], "TIFF"), ["no picture", "BMP, JPEG, PNG"]),
        (PNG[: len(PNG) // 2], ["cannot be read", "truncated"]),
        (PNG[:-300] + b"\0" * 288 + PNG[-12:], ["cannot be read"]),
        (png_of(60_000, 60_000), ["hundreds of millions", "1 million"]),
        (png_of(9_000, 9_000), ["9000×9000", "1 million"]),
        (png_of(2**31 - 1, 2**31 - 1), ["x.png"]),
        (png_of(900, 900), ["cannot be read"]),
        (as_file(np.zeros((5, 5), np.uint8)), ["5×5", "at least 8"]),
        (as_file(np.zeros((20, 20), np.uint16)), ["I;16", "8 bits"]),
    ],
)
def test_pictures_that_are_none(app, content, words):
    refused(post(app, ("good.png", PNG), ("x.png", content)), 422, *words)


def test_a_bomb_stays_packed(app):
    """A few kilobytes that would unpack to gigabytes: refused by what the header says."""
    bomb = png_of(30_000, 30_000, b"\0" * 3_000_000)
    before, start = psutil.Process().memory_info().rss, time.perf_counter()
    refused(post(app, ("bomb.png", bomb)), 422, "bomb.png", "millions")
    assert psutil.Process().memory_info().rss - before < 50e6 and time.perf_counter() - start < 2


def test_forms_that_are_none(app):
    refused(ask(app, "POST", "/predict"), 415, "multipart/form-data")
    refused(ask(app, "POST", "/predict", {"content-type": "application/json"}, b'{"files": ['), 415)
    refused(ask(app, "POST", "/predict", {"content-type": "image/png"}, PNG), 415)
    refused(ask(app, "POST", "/predict", {"content-type": "application/x-www-form-urlencoded"}, b"files=1"), 415)
    refused(ask(app, "POST", "/predict", {"content-type": "multipart/form-data"}, b"x"), 400)
    refused(ask(app, "POST", "/predict", MULTIPART, b"not at all"), 400)
    refused(ask(app, "POST", "/predict", MULTIPART, b'--xyz\r\nContent-Disposition: form-data; name="f'), 422)
    refused(
        ask(app, "POST", "/predict", MULTIPART, b"--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xyz--"), 400
    )
    refused(ask(app, "POST", "/predict", MULTIPART, b"--xyz--\r\n"), 422, "no picture")
    refused(post(app, ("a.png", PNG), field="image"), 422, "image", "`files`")
    text = b'--xyz\r\nContent-Disposition: form-data; name="files"\r\n\r\nhello\r\n--xyz--\r\n'
    refused(ask(app, "POST", "/predict", MULTIPART, text), 422, "files")
    refused(ask(app, "POST", "/predict", MULTIPART, [b"--xyz\r\n", None]), 400, "closed")


def test_too_many_and_too_much(app):
    refused(post(app, *[("a.png", PNG)] * 5), 413, "5 files", "at most 4")
    refused(post(app, *[("a.png", b"")] * 1200), 400, "Too many files")
    refused(post(app, ("a.png", b"\0" * 2**20)), 413, "1 MB")
    head = b'--xyz\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    chunks = 0

    def endless():
        nonlocal chunks
        yield head
        while True:
            chunks += 1
            yield b"\0" * 65536

    lies = MULTIPART | {"content-length": "10", "transfer-encoding": "chunked"}
    refused(ask(app, "POST", "/predict", lies, endless()), 413, "1 MB")
    assert chunks <= 18, "it read on beyond its limit"


def test_a_client_that_dawdles_is_not_waited_for(app):
    async def slowly():
        async def dawdle(scope, receive, send):
            async def late():
                await asyncio.sleep(0.1)
                return {"type": "http.request", "body": b"-", "more_body": True}

            await app(scope, late, send)

        return await call(dawdle, "POST", "/predict", MULTIPART)

    start = time.perf_counter()
    status, headers, body = asyncio.run(slowly())
    refused((status, json.loads(body)), 408, "0.3 seconds")
    assert headers[b"connection"] == b"close" and time.perf_counter() - start < 2


def test_too_many_at_once_are_asked_to_come_back(bundle):
    narrow = create_app(bundle, max_waiting=2)

    async def crowd():
        return await asyncio.gather(*(call(narrow, "POST", "/predict", *form(("a.png", PNG))) for _ in range(6)))

    answers = asyncio.run(crowd())
    assert [status for status, _, _ in answers].count(200) == 2
    late = next(answer for answer in answers if answer[0] != 200)
    refused((late[0], json.loads(late[2])), 429, "again")
    assert late[1][b"retry-after"] == b"1"
    assert post(narrow, ("a.png", PNG))[0] == 200, "places must become free again"


@pytest.mark.parametrize(
    "path", ["/nowhere", "/predict/", "//", "/../etc/passwd", "/page/../../pyproject.toml", "/\x00"]
)
def test_paths_that_lead_nowhere(app, path):
    refused(ask(app, path=path), 404, "nothing")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/predict"), ("DELETE", "/model"), ("POST", "/health"), ("X", "/metrics")]
)
def test_methods_that_are_not_taken(app, method, path):
    refused(ask(app, method, path), 405, "method")


@pytest.mark.parametrize("host", ["[::1", "a b", "a:99999999", "", "x" * 300, "evil/../path", "a\\b"])
def test_hosts_that_are_none(app, host):
    for path in ("/health", "/", "/model.json"):
        refused(ask(app, path=path, headers={"host": host}), 400, "Host")
    assert ask(app, path="/health", headers={"host": "[::1]:8000"})[0] == 200


def test_names_of_strangers_are_shown_short_and_harmless(app):
    _, said = post(app, ("../../etc/\x1b[31mpasswd" + "y" * 500, PNG))
    assert said["answers"][0]["file"].startswith("../../etc/?[31mpasswd") and len(said["answers"][0]["file"]) == 78
    refused(post(app, ("<script>.png", b"x")), 422, "<script>.png")


def test_a_mistake_of_ours_is_a_plain_500_and_counted(bundle, monkeypatch):
    broken = create_app(bundle)
    monkeypatch.setattr(app_module.Service, "predict", lambda *_: 1 / 0)
    with TestClient(broken, raise_server_exceptions=False) as client:
        answer = client.post("/predict")
        assert (answer.status_code, answer.json()["status"]) == (500, 500) and "ZeroDivision" not in answer.text
        assert 'status="500"' in client.get("/metrics").text


@pytest.mark.parametrize("bad", [{"max_bytes": 0}, {"seconds": -1}, {"threads": 0}, {"micro_batch": 0}])
def test_limits_that_make_no_sense(bundle, bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} (is|.*must)"):
        create_app(bundle, **bad)
    assert Limits().max_files > 1


# --- property: whatever its own description allows or forbids --------------------------------------------------------
@pytest.mark.parametrize("mode", GenerationMode)
def test_it_is_as_its_description_says(app, mode):
    """Requests drawn from the OpenAPI description, and requests that break it: answers as it says, none above 499."""
    tried = 0
    for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # they take nothing that could be wrong

        @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            nonlocal tried
            tried += 1
            case.call_and_validate(excluded_checks=[positive_data_acceptance])  # a PNG of 1 × 1 fits the description

        check()
    assert tried >= 20


# --- ten thousand ----------------------------------------------------------------------------------------------------
PATHS = ("/predict", "/predict", "/predict", "/predict", "/health", "/model", "/metrics", "/", "/docs", "/openapi.json")
PATHS += ("/model.json", "/samples/../x", "/page/page.mjs", "/runtime/%2e%2e", "/predict/../predict", "//predict")
METHODS = ("POST", "POST", "POST", "POST", "GET", "PUT", "HEAD", "OPTIONS", "TRACE", "Q" * 50)
FORM = "multipart/form-data"
TYPES = (FORM, f"{FORM}; boundary=", f"{FORM}; boundary={'b' * 300}", f"{FORM}; charset=utf-99; boundary=xyz", ";")
TYPES += ("application/json", "text/plain; charset=\xff", "multipart/mixed; boundary=xyz", f'{FORM}; boundary="x\\"yz"')
HEADERS = ("host", "content-length", "transfer-encoding", "expect", "cookie")
VALUES = ("-1", "[::1", "1e9", "\xff", "100-continue", "chunked, gzip")
FILES = (PNG, as_file(scans(1, 24)[0], "JPEG"), as_file(scans(1, 24)[0], "BMP"), png_of(9**9, 3), b"")


def hostile(rng, number):
    """A request nobody would send in good faith: method, path, headers, body."""

    def pick(*options):
        return options[int(rng.integers(len(options)))]

    def junk(most=200):
        return rng.integers(0, 256, int(rng.integers(0, most)), dtype=np.uint8).tobytes()

    def spoilt(content):
        content = bytearray(content)
        for at in rng.integers(0, len(content), 6 if content else 0):
            content[at] = rng.integers(256)
        return bytes(content[: int(rng.integers(1, len(content) + 2))])

    text = junk().decode("latin-1")
    method, path = pick(*METHODS), pick(*PATHS, f"/{text}")
    name = pick("a.png", "../../x", "", "\u202egnp.exe", text.replace("\r", "").replace("\n", ""))
    content = pick(*FILES, junk()) if number % 16 == 0 else spoilt(pick(*FILES, junk()))
    headers, body = form(*[(name, content)] * pick(1, 1, 1, 2, 6), field=pick("files", "files", "files", "", "file[]"))
    at = int(rng.integers(len(body)))
    match number % 8:
        case 1:
            body = body[:at]
        case 2:
            body = body[:at] + junk() + body[at + int(rng.integers(9)) :]
        case 3:
            headers["content-type"] = pick(*TYPES)
        case 4:
            body = pick(b"{", b"[" * 5000, junk(2000), b'{"files": null}')
        case 5:
            body = [body[:at], body[at:], *pick([], [None])]
        case 6:
            headers[pick(*HEADERS)] = pick(*VALUES)
    return method, path, headers, body


def test_ten_thousand_hostile_requests(bundle):
    """None above 499, none without an answer, memory bounded, and the service as well as before."""
    app, rng = create_app(bundle, max_bytes=2**16, max_files=4, seconds=2), np.random.default_rng(0)
    seen, above, process = {}, [], psutil.Process()

    async def run():
        resident = 0
        for number in range(10_000):
            method, path, headers, body = hostile(rng, number)
            status, _, said = await call(app, method, path, headers, body, query=b"a=%00&b" * (number % 3))
            seen[status] = seen.get(status, 0) + 1
            if not 200 <= status <= 499:
                above.append((status, method, path, headers, body, said))
            if number == 2000:  # caches are filled
                resident = process.memory_info().rss
        return process.memory_info().rss - resident

    grown = asyncio.run(run())
    assert not above, above[0]
    assert {200, 400, 404, 405, 413, 415, 422} <= seen.keys() and seen[200] < 9000, seen
    assert grown < 60e6, f"{grown / 1e6:.0f} MB more after eight thousand requests"
    assert post(app, ("a.png", PNG))[0] == 200
    assert app.state.service.waiting == 0
