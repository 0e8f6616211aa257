"""The page in a browser: what people see and do, and what it must not do."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import animation, encoded, load_photo, mean_model
from PIL import Image
from runtime.test_record import make_record

from nsfwscan import Classifier, Manifest, Preprocess, scan
from nsfwscan.dataset.decisions import Decisions, read_decisions
from nsfwscan.inference.operating import OperatingPoint
from nsfwscan.limits import ScanOptions
from nsfwscan.record import Record
from nsfwscan.reports.progress import no_progress
from nsfwscan.review.build import write_review
from nsfwscan.review.page import render
from nsfwscan.util.escape import to_json

Open = Callable[..., Any]

NAUGHTY = "<img src=x onerror=alert(1)>.jpg"
PHOTOS = {
    "a/astronaut.png": "astronaut.png",
    "a/coffee.png": "coffee.png",
    "b/chelsea.png": "chelsea.png",
    "b/c/rocket.jpg": "rocket.jpg",
    f"b/{NAUGHTY}": "motorcycle_left.png",
    "caf\udce9 \x1b[31m.png": "retina.jpg",
}


def review(
    results: Path,
    out: Path,
    base: Path,
    *,
    single: bool = False,
    points: Sequence[OperatingPoint] | None = None,
) -> Path:
    return write_review(
        results, out, base=base, least=0.0, single=single, points=points, options=ScanOptions(),
        say=lambda _remark: None, progress=no_progress,
    )  # fmt: skip


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scan a few photos by their redness; return the folder with the results."""
    home = tmp_path_factory.mktemp("home")
    for name, photo in PHOTOS.items():
        path = home / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(load_photo(photo), "JPEG" if name.endswith("jpg") else "PNG"))
    small = load_photo("astronaut.png").resize((300, 300))
    (home / "photos" / "a" / "smaller.jpg").write_bytes(encoded(small, "JPEG", quality=40))
    shutil.copy(home / "photos/b/chelsea.png", home / "photos/b/c/copy.png")
    (home / "photos" / "b" / "cut.jpg").write_bytes(
        encoded(load_photo("rocket.jpg"), "JPEG")[:5000]
    )
    (home / "photos" / "empty.jpg").touch()
    model = mean_model(home / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        records = list(scan("photos", Classifier.load(model, device="cpu"), threshold=0.5))
    lines = "".join(to_json(record.to_dict()) + "\n" for record in records)
    (home / "r.jsonl").write_text(lines)
    return home


@pytest.fixture(scope="module")
def page(scanned: Path) -> Path:
    return review(scanned / "r.jsonl", scanned / "review", scanned)


def names(opened: Any) -> list[str]:
    return [text.strip() for text in opened.locator(".cell .name").all_inner_texts()]


def scores(opened: Any) -> list[float]:
    return [float(text) for text in opened.locator(".cell .facts b").all_inner_texts()]


def saved(opened: Any, folder: Path) -> Decisions:
    with opened.expect_download() as download:
        opened.click("#export")
    download.value.save_as(folder / "decisions.json")
    return read_decisions(folder / "decisions.json")


def review_of(records: Sequence[Record], home: Path) -> Path:
    """Write the page of records whose files hold no image."""
    for record in records:
        (home / record.path).touch()
    (home / "r.jsonl").write_text("".join(to_json(one.to_dict()) + "\n" for one in records))
    return review(home / "r.jsonl", home / "review", home)


def test_the_images_are_sorted_blurred_and_loaded(page: Path, open_page: Open) -> None:
    opened = open_page(page)
    found = scores(opened)
    assert found == sorted(found, reverse=True)
    assert len(found) == 6  # of eight images, two are folded
    assert opened.locator(".count").all_inner_texts() == ["\u00d72", "\u00d72"]
    opened.wait_for_function("[...document.images].every(i => !i.src || i.naturalWidth > 0)")
    cell = opened.locator(".cell").nth(3)
    filter_of = "element => getComputedStyle(element.querySelector('img')).filter"
    opened.mouse.move(0, 0)
    assert cell.evaluate(filter_of) == "blur(14px) grayscale(1)"
    cell.hover()
    opened.wait_for_function(
        f"element => ({filter_of})(element) === 'none'", arg=cell.element_handle()
    )
    opened.mouse.move(0, 0)
    cell.focus()
    opened.keyboard.down("v")
    assert cell.evaluate("element => element.classList.contains('reveal')")
    opened.keyboard.up("v")
    assert not cell.evaluate("element => element.classList.contains('reveal')")
    opened.check("#clear")
    assert not opened.evaluate("document.body.classList.contains('blur')")


def test_names_are_text(page: Path, open_page: Open) -> None:
    opened = open_page(page)
    assert NAUGHTY in names(opened)
    assert opened.locator("#grid img[src='x']").count() == 0
    opened.locator(".cell", has_text="onerror").click()
    assert opened.locator("#large-name").inner_text() == NAUGHTY
    assert opened.locator("#large img[src='x']").count() == 0


def test_a_walk_by_keyboard_decides_undoes_and_survives_a_reload(
    page: Path, open_page: Open, scanned: Path, tmp_path: Path
) -> None:
    opened = open_page(page)
    opened.locator(".cell").first.focus()
    listed = names(opened)
    opened.keyboard.press("i")
    opened.keyboard.press("s")
    opened.keyboard.press("ArrowRight")  # leaves the third undecided
    opened.keyboard.press("i")
    opened.keyboard.press("u")
    opened.keyboard.press("s")
    opened.keyboard.press("Home")
    opened.keyboard.press("n")
    assert opened.evaluate("document.activeElement.querySelector('.name').textContent") == listed[2]
    opened.keyboard.press("Enter")
    assert opened.locator("#large-name").inner_text() == listed[2]
    opened.keyboard.press("i")  # goes on to the next one, in the large view
    assert opened.locator("#large-name").inner_text() == listed[3]
    opened.keyboard.press("Escape")
    marks = ["✗ indecent", "✓ safe", "✗ indecent", "✓ safe"]
    assert opened.locator(".mark").all_inner_texts() == marks
    opened.reload()
    assert opened.locator(".mark").all_inner_texts() == marks
    decisions = saved(opened, tmp_path)
    assert decisions.base == str(scanned)
    by_name = {Path(one.path).name: one for one in decisions.decisions}
    assert [by_name[name].decision for name in listed[:4]] == [
        "indecent",
        "safe",
        "indecent",
        "safe",
    ]
    records = [json.loads(line) for line in (scanned / "r.jsonl").read_text().splitlines()]
    digests = {record["path"]: record["sha256"] for record in records}
    for one in decisions.decisions:
        assert digests[one.path] == one.sha256
    # What is folded is decided together.
    twins = [one.decision for name, one in by_name.items() if name in {"chelsea.png", "copy.png"}]
    assert len(twins) != 1
    assert len(set(twins)) <= 1


def test_a_whole_folder_is_decided_at_once(page: Path, open_page: Open) -> None:
    opened = open_page(page)
    opened.uncheck("#fold")
    opened.locator(".cell", has_text="coffee.png").focus()
    opened.keyboard.press("Shift+S")
    assert opened.locator("#progress").inner_text() == "3 of 8 decided"
    assert opened.locator("#said").inner_text() == "photos/a: 3 images safe."
    opened.keyboard.press("u")
    assert opened.locator("#progress").inner_text() == "0 of 8 decided"


def test_filters_narrow_the_list(page: Path, open_page: Open) -> None:
    opened = open_page(page)
    opened.uncheck("#fold")
    everything = len(names(opened))
    assert everything == 8
    opened.fill("#text", "CHELSEA")
    assert names(opened) == ["chelsea.png"]
    opened.fill("#text", "")
    opened.select_option("#sort", "name")
    listed = names(opened)
    assert listed.index("astronaut.png") < listed.index("chelsea.png") < listed.index("rocket.jpg")
    opened.select_option("#status", "flagged")
    flagged = scores(opened)
    assert flagged
    assert min(flagged) >= 0.5
    opened.select_option("#status", "")
    opened.fill("#least", "0.5")
    assert sorted(scores(opened)) == sorted(flagged)
    opened.fill("#least", "0")
    opened.locator("#tree .name", has_text="b").first.click()
    assert len(names(opened)) == 4
    opened.locator("#tree .name", has_text="c").last.click()
    assert sorted(names(opened)) == ["copy.png", "rocket.jpg"]
    opened.locator("#tree .name").first.click()
    opened.check("#undecided")
    opened.locator(".cell").first.focus()
    opened.keyboard.press("s")
    assert len(names(opened)) < everything
    opened.fill("#text", "no such name")
    assert opened.locator("#empty").is_visible()


def test_the_threshold_can_be_dragged(page: Path, open_page: Open, scanned: Path) -> None:
    opened = open_page(page)
    records = [json.loads(line) for line in (scanned / "r.jsonl").read_text().splitlines()]
    known = [record["score"] for record in records if record["score"] is not None]
    slider = opened.locator("#threshold")
    box = slider.bounding_box()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2, steps=5)
    opened.mouse.up()
    at = int(slider.input_value()) / 1000
    assert 0.2 < at < 0.4
    expected = sum(score >= at for score in known)
    assert (
        f"At {at:.3f}, {expected} of {len(known)} images would be flagged."
        in opened.locator("#expected").inner_text()
    )
    opened.check("#above")
    opened.uncheck("#fold")
    assert len(names(opened)) == expected
    for position in (0, 1000):
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", position)
        count = sum(score >= position / 1000 for score in known)
        assert f", {count} of {len(known)} images" in opened.locator("#expected").inner_text()


@pytest.mark.parametrize(("threshold", "flagged"), [(0.0346, 2), (0.0005, 4), (1.0, 0)])
def test_until_it_is_dragged_the_threshold_is_that_of_the_scan(
    open_page: Open, tmp_path: Path, threshold: float, flagged: int
) -> None:
    """To the last digit, and with the scan's own count, which leaves out what is allowed."""
    scores = [0.9, 0.0348, 0.0344, 0.0007, 0.0003]
    records = [
        make_record(
            path=f"{i}.jpg", score=score, sha256=f"{i}" * 64, threshold=threshold,
            status="flagged" if score >= threshold else "safe",
        )
        for i, score in enumerate(scores)
    ]  # fmt: skip
    allowed = make_record(
        path="5.jpg", score=1.0, sha256="5" * 64, threshold=threshold, allowed="art"
    )
    opened = open_page(review_of([*records, allowed], tmp_path))
    said = f"At {threshold:g}, the scan flagged {flagged} of 6 images."
    expected, slider = opened.locator("#expected"), opened.locator("#threshold")
    assert expected.inner_text().startswith(said)
    opened.check("#above")
    assert len(names(opened)) == flagged + 1
    at = int(slider.input_value())
    slider.focus()
    opened.keyboard.press("ArrowRight" if at < 1000 else "ArrowLeft")
    assert f" The scan flagged {flagged} at {threshold:g}." in expected.inner_text()
    opened.keyboard.press("ArrowLeft" if at < 1000 else "ArrowRight")
    assert expected.inner_text().startswith(said)


def test_the_nearest_measured_threshold_says_what_to_expect(
    open_page: Open, scanned: Path, tmp_path: Path
) -> None:
    points = (
        OperatingPoint(threshold=0.3, recall=0.932, measured_on="cats", by="<b>us</b>"),
        OperatingPoint(
            threshold=0.8, recall=0.5, false_positive_rate=0.011, measured_on="dogs", by="us"
        ),
        OperatingPoint(threshold=0.6, measured_on="nothing", by="us"),
    )
    opened = open_page(review(scanned / "r.jsonl", tmp_path / "out", scanned, points=points))
    expected, slider = opened.locator("#expected"), opened.locator("#threshold")
    said = {
        200: "threshold, 0.3, finds 93.2 % of the indecent images (<b>us</b>).",
        600: "threshold, 0.8, finds 50 % of the indecent images and flags 1.1 % of the others by "
        "mistake (us).",
    }
    for position, sentence in said.items():
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", position)
        assert f"The nearest measured {sentence}" in expected.inner_text()


def test_errors_have_a_tab_of_their_own(page: Path, open_page: Open) -> None:
    opened = open_page(page)
    assert not {"cut.jpg", "empty.jpg"} & set(names(opened))
    opened.click("#tab-errors")
    assert opened.locator("#tab-errors").inner_text() == "Errors 2"
    text = opened.locator("#errors").inner_text()
    assert "2 files could not be scored" in text
    assert "photos/b/cut.jpg" in text
    assert "truncated: 1 file" in text
    assert "empty: 1 file" in text


def test_decisions_of_equal_files_are_equal(page: Path, open_page: Open) -> None:
    opened = open_page(page)
    opened.uncheck("#fold")
    opened.locator(".cell", has_text="copy.png").focus()
    opened.keyboard.press("i")
    assert opened.locator(".mark").count() == 2


@pytest.mark.slow
def test_two_tabs_share_their_decisions(page: Path, open_page: Open) -> None:
    first = open_page(page)
    second = first.context.new_page()
    second.goto(page.as_uri())
    third = first.context.new_page()
    third.goto(page.as_uri())
    first.locator(".cell").nth(0).focus()
    first.keyboard.press("i")
    second.locator(".mark").wait_for()  # without a reload
    second.locator(".cell").nth(2).focus()
    second.keyboard.press("s")
    first.locator(".mark").nth(1).wait_for()
    third.locator(".mark").nth(1).wait_for()
    # What the other tab has decided anew is not undone here.
    second.locator(".cell").nth(0).focus()
    second.keyboard.press("s")
    first.wait_for_function("document.getElementById('undo').disabled")
    second.keyboard.press("u")
    third.close()
    for tab in (second, first):
        tab.reload()
        assert tab.locator(".mark").all_inner_texts() == ["✗ indecent", "✓ safe"]
    # A removed decision comes back from no tab.
    first.locator(".cell").nth(0).focus()
    first.keyboard.press("x")
    second.goto("about:blank")
    first.reload()
    assert first.locator(".mark").all_inner_texts() == ["✓ safe"]


def test_uncertain_images_are_marked_and_can_be_listed_alone(
    open_page: Open, tmp_path: Path
) -> None:
    certain = make_record(path="a.jpg", status="flagged", score=0.9, sha256="a" * 64)
    uncertain = make_record(
        path="b.jpg", status="flagged", score=0.6, sha256="b" * 64, uncertain=True
    )
    opened = open_page(review_of([certain, uncertain, make_record(path="c.jpg")], tmp_path))
    shown = opened.locator(".facts span")
    assert shown.all_inner_texts() == ["flagged", "flagged, uncertain", "safe"]
    opened.select_option("#status", "uncertain")
    assert names(opened) == ["b.jpg"]
    assert "score 0.60, flagged, uncertain" in opened.locator(".cell").get_attribute("aria-label")
    opened.locator(".cell").click()
    assert "0.6 (flagged, uncertain at 0.5)" in opened.locator("#facts").inner_text()


def test_a_fold_is_decided_when_all_its_images_are(page: Path, open_page: Open) -> None:
    opened = open_page(page)
    opened.uncheck("#fold")
    one, other = (
        opened.locator(".cell", has_text=name) for name in ("astronaut.png", "smaller.jpg")
    )
    for cell in opened.locator(".cell").all():
        cell.focus()
        opened.keyboard.press("s")
    other.focus()
    opened.keyboard.press("x")
    opened.check("#fold")
    assert sorted(opened.locator(".mark").all_inner_texts()) == ["1 of 2 decided"] + 5 * ["✓ safe"]
    fold = opened.locator(".cell", has_text="1 of 2 decided")
    assert fold.get_attribute("aria-label").endswith("1 of 2 decided, with 1 similar image")
    opened.locator(".cell").last.focus()
    opened.keyboard.press("n")
    assert fold.evaluate("element => element === document.activeElement")
    opened.keyboard.press("Enter")
    assert "1 of 2 decided" in opened.locator("#facts").inner_text()
    opened.keyboard.press("Escape")
    opened.uncheck("#fold")
    one.focus()
    opened.keyboard.press("i")
    other.focus()
    opened.keyboard.press("s")
    opened.check("#fold")
    assert opened.locator(".mark", has_text="mixed").count() == 1
    opened.keyboard.press("n")
    assert opened.locator("#said").inner_text() == "Everything that is listed is decided."


def test_a_path_has_one_decision(open_page: Open, tmp_path: Path) -> None:
    """Also if its file was scanned twice, and if it changed in between."""
    twice = make_record(path="twice.jpg", score=0.9, sha256="a" * 64)
    before = make_record(path="changed.jpg", score=0.8, sha256="b" * 64)
    after = replace(before, score=0.7, sha256="c" * 64)
    other = make_record(path="other.jpg", score=0.6, sha256="d" * 64)
    opened = open_page(review_of([twice, before, twice, after, other], tmp_path))
    assert names(opened) == ["twice.jpg", "changed.jpg", "changed.jpg", "other.jpg"]
    assert opened.locator(".count").count() == 0
    opened.locator(".cell").first.focus()
    for key in "siis":
        opened.keyboard.press(key)
    decided = [(one.path, one.sha256[0], one.decision) for one in saved(opened, tmp_path).decisions]
    assert decided == [
        ("twice.jpg", "a", "safe"), ("changed.jpg", "c", "indecent"), ("other.jpg", "d", "safe"),
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.slow
def test_axe_finds_nothing(page: Path, open_page: Open, scheme: str, width: int) -> None:
    module: Any = pytest.importorskip("axe_playwright_python.sync_playwright")
    axe = module.Axe()
    opened = open_page(
        page, color_scheme=scheme, viewport={"width": width, "height": 740}, bypass_csp=True
    )
    opened.locator(".cell").first.focus()
    opened.keyboard.press("s")
    opened.keyboard.press("i")

    def show_errors() -> None:
        opened.keyboard.press("Escape")
        opened.keyboard.press("Escape")
        opened.click("#tab-errors")

    states: list[Callable[[], Any]] = [
        lambda: None,
        lambda: opened.keyboard.press("Enter"),
        lambda: opened.keyboard.press("?"),
        show_errors,
    ]
    for change in states:
        change()
        found = axe.run(opened).response["violations"]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == []
    # Nothing is wider than a phone.
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_of_an_animation_the_frame_that_scored_is_shown(open_page: Open, tmp_path: Path) -> None:
    """A thumbnail of another frame, of an earlier review, stays as it is."""
    data = animation("GIF", total=300, red=142)
    (tmp_path / "a.gif").write_bytes(data)
    model = mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    (record,) = scan(tmp_path / "a.gif", Classifier.load(model, device="cpu"))
    thumbnails = tmp_path / "review/thumbnails"
    for frame in (None, 142):
        one = replace(record, frame=frame, total_frames=frame and 300)
        (tmp_path / "r.jsonl").write_text(to_json(one.to_dict()) + "\n")
        page = review(tmp_path / "r.jsonl", tmp_path / "review", tmp_path)
    name = hashlib.sha256(data).hexdigest()
    assert {path.name for path in thumbnails.rglob("*.jpg")} == {f"{name}.jpg", f"{name}-142.jpg"}
    opened = open_page(page)
    image = opened.locator(".cell img")
    assert image.get_attribute("src").endswith(f"{name}-142.jpg")
    with Image.open(thumbnails / name[:2] / f"{name}-142.jpg") as shown:
        red, _, blue = shown.convert("RGB").getpixel((20, 20))  # type: ignore[misc]
    assert (red > 200, blue < 50) == (True, True)
    opened.locator(".cell").click()
    said = opened.locator("#facts").inner_text()
    assert "3 frames, of which the highest score counts: that of frame 143 of 300" in said


def test_a_single_file_holds_everything(scanned: Path, open_page: Open, tmp_path: Path) -> None:
    single = review(scanned / "r.jsonl", tmp_path / "page.html", scanned, single=True)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    opened = open_page(single)
    assert len(names(opened)) == 6
    opened.wait_for_function("[...document.images].every(i => !i.src || i.naturalWidth > 0)")


@pytest.mark.slow
def test_of_many_images_only_those_in_view_exist(open_page: Open, tmp_path: Path) -> None:
    """20,000 images in 400 folders."""
    rows = [
        [
            f"f{i % 400}/{i}.jpg", "safe", i / 20_000, None, None, f"{i:064x}", f"{i:040x}",
            4, 3, 1, 0, None, None, 1000, i, None, "not made", "./x",
        ]
        for i in range(20_000)
    ]  # fmt: skip
    facts = {
        "id": "x", "base": "/", "threshold": 0.5, "histogram": [20] * 1001,
        "flagged": 10_000, "unlisted": 1234, "groups": list(range(20_000)), "points": [],
    }  # fmt: skip
    path = tmp_path / "index.html"
    path.write_text("".join(render("many", rows, lambda: facts, single=False)))
    opened = open_page(path, viewport={"width": 1280, "height": 800})
    assert opened.locator("#tab-images").inner_text() == "Images 20,000"
    assert (
        "; 1,234 safe ones with lower scores are not listed"
        in opened.locator("#progress").inner_text()
    )
    assert names(opened)[0] == "19999.jpg"
    for _ in range(5):
        opened.evaluate("document.getElementById('scroll').scrollTop += 90000")
        opened.wait_for_timeout(50)
        assert 0 < opened.locator(".cell").count() < 80
    opened.locator(".cell").first.focus()
    opened.keyboard.press("End")
    assert names(opened)[-1] == "0.jpg"
    assert opened.evaluate("document.activeElement.querySelector('.name').textContent") == "0.jpg"
