"""The page in a real Chromium: it answers as the server does, keeps pictures to itself, and everybody can use it."""

import base64
import io
import socket
import struct
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from course_utils.data import DataError
from course_utils.data.pictures import decode_image
from course_utils.phantom import generate
from course_utils.serve import browser
from course_utils.serve.app import create_app
from course_utils.serve.browser import ANSWERED, BrowserMissing, answers_on, in_browser, logits_of, visit_page
from course_utils.serve.predictor import Predictor
from tests.web.conftest import running

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "kermany_oct_jpeg"
SCANS = generate(400, "test", seed=77).images  # (400, 64, 64)


def encoded(array, kind="PNG", **options):
    stream = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(stream, kind, **options)
    return stream.getvalue()


def chosen(page, *files):
    """Give the page files as (name, bytes); returns what it answers, after what it shows already."""
    before = page.locator(ANSWERED).count()
    page.set_input_files("#files", [{"name": n, "mimeType": "image/png", "buffer": b} for n, b in files])
    page.locator(ANSWERED).nth(before + len(files) - 1).wait_for(state="attached", timeout=20_000)
    return answers_on(page)[: len(files)]


def prepared(page, content, size=64, channels=1):
    """What the page makes of a file's bytes before the model sees it: uint8 (C, size, size)."""
    plain = page.evaluate(
        """async ([text, size, channels]) => {
          const { readScan } = await import(new URL("page/scan.mjs", document.baseURI));
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          return Array.from(await readScan(new Blob([bytes]), { size, channels }));
        }""",
        [base64.b64encode(content).decode(), size, channels],
    )
    return np.array(plain, dtype=np.uint8).reshape(channels, size, size)


# --- the same answers ---
def test_the_same_logits_and_decisions_as_the_server(page, bundle):
    predictor = Predictor(bundle)
    ours, theirs = predictor.logits(SCANS), logits_of(page, SCANS)
    assert theirs.shape == ours.shape == (400, 4)
    assert np.abs(ours - theirs).max() <= 1e-4
    answered = page.evaluate(
        """async (rows) => {
          const { model } = await import(new URL("page/page.mjs", document.baseURI));
          const { decide, softmax } = await import(new URL("page/model.mjs", document.baseURI));
          const { card } = await model;
          return rows.map((row) => softmax(row, card.thresholds.temperature)).map((p) => [decide(p, card), p]);
        }""",
        theirs.tolist(),
    )
    expected = predictor.answers(ours)
    assert [decision for decision, _ in answered] == [answer["decision"] for answer in expected]
    probs = np.array([list(answer["probabilities"].values()) for answer in expected])
    assert np.abs(probs - np.array([p for _, p in answered])).max() <= 1e-3
    assert len({answer["decision"] for answer in expected}) >= 3  # or the comparison would say little


@pytest.mark.parametrize("edge", [8, 28, 63, 64, 65, 100, 129, 200, 496])
def test_resize_is_pillows_to_the_last_bit(page, edge):
    plane = np.random.default_rng(edge).integers(0, 256, (edge, edge), dtype=np.uint8)
    plane[: edge // 2] = 255 * (plane[: edge // 2] > 127)  # hard edges, where a cubic overshoots
    for size in (28, 64):
        resized = page.evaluate(
            """async ([text, edge, size]) => {
              const { resize } = await import(new URL("page/scan.mjs", document.baseURI));
              return Array.from(resize(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), edge, size));
            }""",
            [base64.b64encode(plane.tobytes()).decode(), edge, size],
        )
        expected = np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC))
        assert np.array_equal(np.array(resized).reshape(size, size), expected)


def pictures():
    """Files of many kinds by name, each with the largest difference allowed after decoding (grey levels)."""
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((220, 150)))
    grey, tall = np.asarray(Image.fromarray(smooth).convert("L")), np.ascontiguousarray(smooth.transpose(1, 0, 2))
    turned, gamma = Image.Exif(), PngImagePlugin.PngInfo()
    turned[0x0112] = 6  # "turn me by 90 degrees"
    gamma.add(b"gAMA", struct.pack(">I", 100_000))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")  # red is green
    return {
        "exact size": (encoded(SCANS[0]), 0),
        "wide grey": (encoded(grey), 0),
        "wide colour": (encoded(smooth), 0),
        "tall colour": (encoded(tall), 0),
        "black and white": (encoded(Image.fromarray(grey).convert("1")), 0),
        "grey palette": (encoded(Image.fromarray(grey).convert("P")), 0),
        "with gamma": (encoded(smooth, pnginfo=gamma), 0),
        "with colour profile": (encoded(smooth, icc_profile=profile), 0),
        "BMP": (encoded(smooth, "BMP"), 0),
        "grey JPEG": (encoded(grey, "JPEG", quality=85), 1),
        "progressive JPEG": (encoded(grey, "JPEG", quality=85, progressive=True), 1),
        "JPEG that asks to be turned": (encoded(grey, "JPEG", quality=90, exif=turned), 1),
        "colour JPEG, thinned colours": (encoded(smooth, "JPEG", quality=85), 2),
    }


@pytest.mark.parametrize("name", pictures())
def test_files_are_decoded_as_the_server_does(page, name):
    content, allowed = pictures()[name]
    for size in (64, 28):
        theirs, ours = prepared(page, content, size)[0], decode_image(content, name, size, 1)
        assert np.abs(theirs.astype(int) - ours).max() <= allowed


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real scans here")
def test_real_scans_are_answered_as_the_server_does(page, bundle):
    files, predictor = sorted(SHARED.glob("*/*.jpeg")), Predictor(bundle)
    answers = chosen(page, *((file.name, file.read_bytes()) for file in files))
    for file, answer in zip(files, answers, strict=True):
        ours = decode_image(file.read_bytes(), file.name, 64, 1)
        theirs = prepared(page, file.read_bytes())[0]
        assert np.abs(theirs.astype(int) - ours).max() <= 1
        (expected,) = predictor.predict(ours[None])
        assert answer["name"] == file.name and answer["label"] == expected["label"]
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=0.02)


@pytest.mark.parametrize("channels", [1, 3])
def test_another_size_other_classes_and_colour(context, runtime, others, channels):
    other = others(channels)
    picture = np.random.default_rng(1).integers(0, 256, (40, 28, 28, channels), dtype=np.uint8)
    with running(create_app(other)) as (url, _):
        tab = context.new_page()
        browser.open_page(tab, url)
        theirs, ours = logits_of(tab, picture if channels == 3 else picture[..., 0]), Predictor(other).logits(picture)
        assert np.abs(ours - theirs).max() <= 1e-4
        assert tab.locator("#sheet").is_hidden()
        content = encoded(picture[0] if channels == 3 else picture[0, ..., 0])
        (answer,) = chosen(tab, ("one.png", content))
        (expected,) = Predictor(other).predict(picture[:1])
        assert answer["decision"] == expected["decision"]
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)
        if channels == 3:
            wide = encoded(np.random.default_rng(2).integers(0, 256, (50, 90, 3), dtype=np.uint8))
            planes = decode_image(wide, "wide", 28, 3).transpose(2, 0, 1)
            assert np.array_equal(prepared(tab, wide, 28, 3), planes)
        tab.close()


# --- bad files ---
def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bad_files():
    png, jpeg = encoded(SCANS[0]), encoded(SCANS[0], "JPEG")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = png[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    alpha = np.dstack([SCANS[0]] * 3 + [np.full((64, 64), 128, np.uint8)])
    frames = [Image.fromarray(scan) for scan in SCANS[:2]]
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 1
    return {
        "empty.png": (b"", "empty"),
        "text.png": (b"hello, I am a scan", "no PNG, JPEG or BMP"),
        "page.png": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "no PNG, JPEG or BMP"),
        "short.png": (png[: len(png) // 2], "cut short"),
        "header.png": (png[:20], "cut short"),
        "flipped.png": (bytes(flipped), "checksum"),
        "short.jpg": (jpeg[: len(jpeg) // 2], "cut short"),
        "header.jpg": (jpeg[:10], "cut short"),
        "inside.png": (png[:8] + chunk(b"IHDR", png[16:29]) + chunk(b"IDAT", b"junk") + chunk(b"IEND", b""), "damaged"),
        "deep.png": (encoded(Image.fromarray(SCANS[0].astype(np.uint16) * 257)), "16 bits"),
        "scan.tif": (encoded(SCANS[0], "TIFF"), "TIFF; save the scan as PNG"),
        "scan.gif": (encoded(SCANS[0], "GIF"), "no PNG, JPEG or BMP"),
        "bomb.png": (bomb, "60000 × 60000 pixels; at most 40 million"),
        "old.bmp": (b"BM" + struct.pack("<IIIIHHHH", 100, 0, 26, 12, 8, 8, 1, 24) + bytes(74), "BMP of an old kind"),
        "tiny.png": (encoded(SCANS[0][:4, :30]), "4 pixels; the short edge"),
        "glass.png": (encoded(alpha), "transparent"),
        "ink.jpg": (encoded(Image.fromarray(SCANS[0]).convert("CMYK"), "JPEG"), "CMYK"),
        "film.png": (encoded(frames[0], save_all=True, append_images=frames[1:]), "several pictures"),
    }


def test_every_bad_file_gets_its_sentence_and_the_page_lives(page):
    files = bad_files()
    answers = chosen(page, *((name, content) for name, (content, _) in files.items()), ("good.png", encoded(SCANS[0])))
    for (name, (_, sentence)), answer in zip(files.items(), answers):
        assert answer["name"] == name and sentence in answer.get("error", "no error"), (name, answer)
        assert answer["error"].endswith(".") and len(answer["error"]) < 120
    assert "decision" in answers[-1]
    assert "18 not read" in page.inner_text("#summary")
    assert page.locator(".card.bad .error").first.inner_text() == answers[0]["error"]


@pytest.mark.parametrize("name", sorted(bad_files().keys() - {"scan.tif", "glass.png", "ink.jpg", "old.bmp"}))
def test_the_server_refuses_the_same_files(name):
    # Pillow reads the four left out. A browser cannot, or would change the pixels, and so the page refuses them.
    with pytest.raises(DataError):
        decode_image(bad_files()[name][0], name, 64, 1, formats=("PNG", "JPEG", "BMP"))


def test_too_many_files_at_once(page):
    page.set_input_files("#files", [{"name": f"{i}.png", "mimeType": "image/png", "buffer": b"x"} for i in range(201)])
    page.get_by_text("201 files at once are too many; choose at most 200.").wait_for()
    assert page.locator(ANSWERED).count() == 0


def test_a_hostile_name_is_text(page):
    name = "<img src=x onerror=alert(1)>.png"
    chosen(page, (name, encoded(SCANS[0])))
    assert page.locator("#results h3").first.inner_text() == name and page.locator("#results img").count() == 0


# --- ways in ---
DROP = """([text, type, where]) => {
  const carried = new DataTransfer();
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  carried.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
  const event = new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true });
  return document.querySelector(where).dispatchEvent(event);  // false: the page takes it, the browser must not
}"""


@pytest.mark.parametrize("where", ["#drop", "footer"])
def test_drag_and_drop_anywhere(page, where):
    content = base64.b64encode(encoded(SCANS[3])).decode()
    assert page.evaluate(DROP, [content, "dragover", where]) is False
    assert "over" in page.get_attribute("#drop", "class")
    assert page.evaluate(DROP, [content, "drop", where]) is False
    page.locator(ANSWERED).first.wait_for()
    assert answers_on(page)[0]["name"] == "dropped.png" and "over" not in page.get_attribute("#drop", "class")


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.innerText")


def test_keyboard_alone_is_enough(page):
    page.reload()  # the focus starts at the top again
    page.wait_for_selector(browser.LOADED, state="attached")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the answers"
    page.keyboard.press("Tab")
    assert focused(page) == "files"
    ring = page.evaluate("getComputedStyle(document.getElementById('drop')).outlineStyle")
    assert ring == "solid"  # the field itself is invisible, so its frame shows the focus
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([{"name": "key.png", "mimeType": "image/png", "buffer": encoded(SCANS[0])}])
    page.locator(ANSWERED).first.wait_for()
    page.keyboard.press("Tab")
    assert focused(page) == "CNV 1"
    page.keyboard.press("Enter")
    page.locator(ANSWERED).nth(1).wait_for()
    assert [answer["name"] for answer in answers_on(page)] == ["cnv-1.png", "key.png"]
    for _ in range(8):
        page.keyboard.press("Tab")
    assert focused(page) == "clear"
    page.keyboard.press("Space")
    assert page.locator(ANSWERED).count() == 0 and focused(page) == "answers"


TWO_LOTS = """(text) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), carried = new DataTransfer();
  for (let i = 0; i < 6; i++) carried.items.add(new File([bytes], `${i}.png`));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
  document.querySelector(".sample").click();
}"""


def test_a_second_lot_waits_for_the_first(page):
    page.evaluate(TWO_LOTS, base64.b64encode(encoded(SCANS[0])).decode())
    page.wait_for_selector("#results li:first-child[data-answer]")
    assert [answer["name"] for answer in answers_on(page)] == ["cnv-1.png", *(f"{i}.png" for i in range(6))]
    assert page.inner_text("#summary").startswith("cnv-1.png: ")


# --- for everybody ---
CONTRAST = """() => {
  const [pen] = [new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })];
  const rgb = (colour) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); return [...pen.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } };
  const texts = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return texts.map((e) => { const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName + "." + e.className + ": " + e.textContent.slice(0, 30)]; });
}"""  # noqa: E501


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(page, bundle, scheme):
    page.emulate_media(color_scheme=scheme)
    decisions = [answer["decision"] for answer in Predictor(bundle).predict(SCANS)]
    scans = [(f"{name}.png", encoded(SCANS[decisions.index(name)])) for name in sorted(set(decisions))]
    chosen(page, *scans, ("bad.png", b"bad"))
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 50 and min(ratios)[0] >= 4.5, min(ratios)  # WCAG 2.2, 1.4.3


def test_a_screen_reader_finds_names_roles_and_news(page):
    chosen(page, ("scan.png", encoded(SCANS[0])))
    tree = page.locator("body").aria_snapshot()
    for line in (
        'heading "Scan triage in your browser" [level=1]',
        'heading "Choose scans" [level=2]',
        'button "Drop scans here, or choose files PNG, JPEG or BMP, several at once"',
        'button "CNV 1"',
        'list "Or try a simulated one"',
        'img "scan.png as the model sees it, 64 by 64 pixels"',
        'table "Probability of each class"',
        'rowheader "CNV"',
        "Learnt from simulated scans. Not for clinical use.",
    ):
        assert line in tree, (line, tree)
    assert page.get_attribute("html", "lang") == "en" and page.title() == "Scan triage in your browser"
    assert "scan.png: " in page.get_by_role("status").last.inner_text()  # read out when it changes
    assert page.locator("h1").count() == 1


def test_it_fits_a_phone(page):
    page.set_viewport_size({"width": 320, "height": 640})
    chosen(page, ("a-long-name-without-any-place-to-break-it-" * 3 + ".png", encoded(SCANS[0])))
    assert page.evaluate("document.documentElement.scrollWidth") <= 320  # WCAG 2.2, 1.4.10


# --- nothing leaves, nothing is needed ---
SPY = """() => new Promise((done) => {
  document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective), { once: true });
  fetch("http://127.0.0.1:65000/", { method: "POST", body: "a picture" }).catch(() => 0);
})"""


def test_no_request_carries_a_picture_or_leaves_this_machine(context, url):
    requests, tab = [], context.new_page()

    def note(request):  # the service worker's as well
        requests.append(request)

    context.on("request", note)
    try:
        tab.goto(url)
        tab.wait_for_selector(browser.KEPT, state="attached")
        loaded = len(requests)
        chosen(tab, ("private.png", encoded(SCANS[0])), ("bad.png", b"bad"))
        tab.click(".sample >> nth=2")
        tab.locator(ANSWERED).nth(2).wait_for()
        tab.wait_for_timeout(200)
        assert len(requests) == loaded > 10
        here = urlsplit(url).netloc
        for request in requests:
            assert urlsplit(request.url).netloc == here and request.method == "GET"
            assert not request.post_data_buffer and "private" not in request.url
        assert tab.evaluate(SPY) == "connect-src"  # and if the page were changed to send one, the rules would forbid it
    finally:
        context.remove_listener("request", note)
        tab.close()


def test_it_works_offline_and_opens_again_without_the_server(context, bundle, runtime):
    tab = context.new_page()
    with running(create_app(bundle)) as (url, stop):
        tab.goto(url)
        tab.wait_for_selector(browser.KEPT, state="attached")
        assert tab.get_attribute("html", "data-kept") == "yes"
        first = chosen(tab, ("scan.png", encoded(SCANS[0])))
        context.set_offline(True)
        stop()
        try:
            assert chosen(tab, ("scan.png", encoded(SCANS[0]))) == first
            tab.click(".sample >> nth=0")
            tab.locator(ANSWERED).nth(2).wait_for()
            tab.reload()  # from the service worker's copies
            tab.wait_for_selector(browser.LOADED, state="attached")
            assert chosen(tab, ("scan.png", encoded(SCANS[0]))) == first
        finally:
            context.set_offline(False)
            tab.close()


def test_without_the_runtime_the_page_says_what_to_run(context, bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with running(create_app(bundle)) as (url, _):
        with pytest.raises(BrowserMissing, match=r"run “python -m course_utils\.serve assets” there"):
            browser.open_page(context.pages[0], url)


# --- asked from Python, as the lessons do ---
def test_in_browser_from_another_process(url, bundle, chromium_here):
    theirs = in_browser(url, SCANS[:50])
    assert theirs.dtype == np.float32 and np.abs(theirs - Predictor(bundle).logits(SCANS[:50])).max() <= 1e-4


def test_visit_page_reports_answers_requests_and_a_picture(url, chromium_here, tmp_path):
    (tmp_path / "scan.png").write_bytes(encoded(SCANS[0]))
    (tmp_path / "bad.png").write_bytes(b"bad")
    visit = visit_page(url, [tmp_path / "scan.png", tmp_path / "bad.png"], screenshot=tmp_path / "shot.png")
    assert [answer["name"] for answer in visit["answers"]] == ["scan.png", "bad.png"]
    assert visit["after"] == [] and all(request["bytes"] == 0 for request in visit["before"])
    with Image.open(tmp_path / "shot.png") as shot:
        assert shot.width == 1100


def test_a_page_that_is_not_there_is_one_sentence(chromium_here):
    with socket.socket() as door:  # a port on which nobody listens
        door.bind(("127.0.0.1", 0))
        with pytest.raises(BrowserMissing, match="ERR_CONNECTION_REFUSED") as caught:
            visit_page(f"http://127.0.0.1:{door.getsockname()[1]}/")
    assert "\n" not in str(caught.value)
