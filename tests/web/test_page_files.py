"""The files behind the page, without a browser: fetched and checked, handed out with the right types and rules."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from course_utils.env import data_dir
from course_utils.serve import assets, browser, page
from course_utils.serve.assets import AssetsMissing, fetch_assets
from course_utils.serve.browser import BrowserMissing, in_browser


# --- the runtime, from a package of our own making ---
def archive_of(files, path):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            tar.addfile(item, io.BytesIO(content))
    return path


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A package with the right names and hashes, an npm that hands it out, and an empty data folder."""
    files = {f"package/{name}": name.encode() for name in assets.FILES}
    archive = archive_of(files | {"package/../../evil.txt": b"evil", "package/more.js": b""}, tmp_path / "made.tgz")
    calls = []

    def pack(scratch):
        calls.append(scratch)
        return archive

    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(assets, "_pack", pack)
    digest = assets.base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    monkeypatch.setattr(assets, "INTEGRITY", digest)
    monkeypatch.setattr(assets, "FILES", {name: hashlib.sha256(name.encode()).hexdigest() for name in assets.FILES})
    return calls


def test_only_the_named_files_are_kept_and_fetched_once(registry, tmp_path):
    assert not assets.assets_ready()
    folder = fetch_assets()
    assert folder == data_dir() / "web" / f"onnxruntime-web-{assets.VERSION}" and assets.assets_ready()
    assert {file.name for file in folder.iterdir()} == {name.split("/")[-1] for name in assets.FILES}
    assert not list(tmp_path.rglob("evil.txt"))
    assert fetch_assets() == folder and len(registry) == 1


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_a_damaged_file_is_fetched_again(registry, harm):
    file = fetch_assets() / "ort.wasm.min.mjs"
    file.write_text("alert(1)") if harm == "change" else file.unlink()
    fetch_assets()
    assert file.read_text() == "dist/ort.wasm.min.mjs" and len(registry) == 2


def test_another_package_is_refused_and_nothing_written(registry, monkeypatch):
    monkeypatch.setattr(assets, "INTEGRITY", "another")
    with pytest.raises(AssetsMissing, match=r"not onnxruntime-web \S+ as pinned \(its SHA-512 differs\)"):
        fetch_assets()
    assert not assets.assets_ready() and not assets.assets_folder().exists()


def test_another_file_is_refused_and_nothing_written(registry, monkeypatch):
    monkeypatch.setitem(assets.FILES, "package.json", "0" * 64)
    with pytest.raises(AssetsMissing, match=r"package\.json in onnxruntime-web"):
        fetch_assets()
    assert not assets.assets_folder().exists()


def test_without_npm_or_network_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    monkeypatch.setattr(assets, "_npms", lambda: iter([]))
    with pytest.raises(AssetsMissing, match="npm is not installed; install Node.js"):
        fetch_assets()
    script = tmp_path / "npm.py"
    script.write_text("import sys; sys.exit(7)")
    monkeypatch.setattr(assets, "_npms", lambda: iter([[assets.sys.executable, str(script)]]))
    with pytest.raises(AssetsMissing, match="npm ended with 7; look at your network") as caught:
        fetch_assets()
    assert "\n" not in str(caught.value) and assets.COMMAND in str(caught.value)
    monkeypatch.setattr(assets, "_npms", lambda: iter([[str(tmp_path / "gone")]]))
    with pytest.raises(AssetsMissing, match=r"npm did not finish \(FileNotFoundError\)"):
        fetch_assets()


def test_no_file_of_ours_names_a_registry():
    for file in (assets.__file__, page.__file__, browser.__file__, *page.FOLDER.iterdir()):
        content = open(file, encoding="utf-8").read()
        assert "registry." not in content and "cdn." not in content


# --- what the server hands out ---
@pytest.fixture(scope="module")
def client(bundle):
    app = FastAPI(redirect_slashes=False)
    page.mount_page(app, bundle)
    with TestClient(app) as client:
        yield client


PATHS = {
    "/": "text/html",
    "/page/page.mjs": "text/javascript",
    "/page/scan.mjs": "text/javascript",
    "/page/model.mjs": "text/javascript",
    "/page/style.css": "text/css",
    "/page/icon.svg": "image/svg+xml",
    "/sw.js": "text/javascript",
    "/model.json": "application/json",
    "/model.onnx": "application/octet-stream",
    "/samples/cnv-1.png": "image/png",
}


@pytest.mark.parametrize("path", PATHS)
def test_types_rules_and_tags(client, path):
    answer = client.get(path)
    assert answer.status_code == 200 and answer.headers["content-type"].split(";")[0] == PATHS[path]
    rules = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
    assert rules.pop("default-src") == "'none'" and rules.pop("script-src") == "'self' 'wasm-unsafe-eval'"
    assert set(rules.values()) <= {"'self'", "'none'"}  # no other machine, no inline code, no eval
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and not again.content
    assert client.head(path).status_code == 200


def test_the_runtime_is_handed_out(client, runtime):
    answer = client.get("/runtime/ort-wasm-simd-threaded.wasm")
    assert answer.headers["content-type"] == "application/wasm" and answer.content[:4] == b"\0asm"
    tag = {"If-None-Match": answer.headers["etag"]}
    assert client.get("/runtime/ort-wasm-simd-threaded.wasm", headers=tag).status_code == 304


@pytest.mark.parametrize("path", [
    "/page/", "/page/page.py", "/page/../page.py", "/page/%2e%2e/page.py", "/page/..%2fpage.py", "/page/index.html",
    "/runtime/evil.mjs", "/runtime/..%2f..%2fREADME.md", "/runtime/.", "/samples/cnv-9.png", "/samples/..%2fmodel.onnx",
    "/page/page.mjs/", "/page/page.mjs%00",
])  # fmt: skip
def test_nothing_else_is_handed_out(client, path):
    assert client.get(path).status_code == 404


def test_without_the_runtime_the_page_opens_and_says_so(client, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert client.get("/").status_code == 200 and client.get("/model.json").json()["runtime"] is False
    answer = client.get("/runtime/ort.wasm.min.mjs")
    assert answer.status_code == 404 and "python -m course_utils.serve assets" in answer.json()["detail"]


def test_the_page_routes_stay_out_of_the_api_description(client):
    assert client.get("/openapi.json").json()["paths"] == {}


def test_model_json_says_what_the_page_needs(client, bundle):
    card = client.get("/model.json").json()
    assert (card["version"], card["size"], card["channels"]) == (bundle.version, 64, 1)
    assert card["mean"] == [0.3] and card["classes"] == list(bundle.metadata["classes"])
    assert card["thresholds"] == bundle.metadata["thresholds"] and card["bytes"] == len(bundle.onnx)
    assert "fingerprint" not in card  # of the data set: nobody's business


def test_sample_sheet(client):
    names, total = client.get("/model.json").json()["samples"], 0
    assert len(names) == 8 and {name.split("-")[0] for name in names} == {"cnv", "dme", "drusen", "normal"}
    for name in names:
        content = client.get(f"/samples/{name}").content
        total += len(content)
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (64, 64) and image.mode == "L" and np.asarray(image).std() > 10
    assert total < 60_000


def test_other_classes_get_no_simulated_retinas(others):
    app = FastAPI()
    page.mount_page(app, others(1))
    client = TestClient(app)
    assert client.get("/model.json").json()["samples"] == []
    assert client.get("/samples/cnv-1.png").status_code == 404


# --- asking a browser from Python ---
def test_no_browser_is_one_sentence(monkeypatch):
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    monkeypatch.setattr(browser, "MAC", "/nowhere")
    monkeypatch.delenv("COURSE_CHROMIUM", raising=False)
    with pytest.raises(BrowserMissing, match="no Chromium or Chrome on this machine; install one"):
        in_browser("http://127.0.0.1:1/", np.zeros((1, 8, 8), np.uint8))
    monkeypatch.setattr(browser.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BrowserMissing, match="Playwright is not installed"):
        in_browser("http://127.0.0.1:1/", np.zeros((1, 8, 8), np.uint8))


@pytest.mark.parametrize("images", [np.zeros((2, 8, 9), np.uint8), np.zeros((2, 8, 8)), np.zeros((8, 8), np.uint8)])
def test_in_browser_refuses_what_are_no_pictures(images):
    with pytest.raises(ValueError, match="right would be uint8"):
        in_browser("http://127.0.0.1:1/", images)
