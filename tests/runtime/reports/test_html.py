import hashlib
import io
import re
from base64 import b64encode
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from itertools import product
from typing import Any

import pytest
from helpers import make_about
from hypothesis import example, given
from hypothesis import strategies as st
from runtime.test_record import make_record

from nsfwscan.errors import Reason
from nsfwscan.record import Record
from nsfwscan.reports.about import About
from nsfwscan.reports.html import BINS, Histogram, HtmlReport
from nsfwscan.reports.summary import Summary
from nsfwscan.sources.filetype import Kind
from nsfwscan.util.escape import printable

STATUE = make_record(path="statue.jpg", score=0.9, allowed="a statue")
FLAGGED = [
    make_record(path="low.jpg", status="flagged", score=0.6),
    make_record(
        path="high.gif", status="flagged", score=0.95, frames=3, frame=142, total_frames=1300
    ),
]
ERROR = make_record(
    path="bad.jpg", status="error", score=None, reason=Reason.TRUNCATED, detail="it ends",
    sha256=None, width=None, height=None, frames=0,
)  # fmt: skip
VOID = {"meta"}


class Page(HTMLParser):
    """The elements of a page, and the text of each leaf; every element must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.leaves: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.leaves.append((self._open[-1], data.strip()))

    def texts(self, tag: str) -> list[str]:
        return [text for name, text in self.leaves if name == tag]


def page(
    *records: Record, about: About | None = None, show_allowed: bool = True, **summary: Any
) -> Page:
    return Page(written(*records, about=about, show_allowed=show_allowed, **summary))


def written(
    *records: Record, about: About | None = None, show_allowed: bool = True, **summary: Any
) -> str:
    out, counts = io.StringIO(), Summary(seconds=2.0, **summary)
    report = HtmlReport(out, about or make_about(), show_allowed=show_allowed)
    for record in records:
        counts.add(record)
        report.add(record)
    report.close(counts)
    return out.getvalue()


def test_the_page_lists_findings_by_score_then_errors_then_allowed_images() -> None:
    found = page(*FLAGGED, ERROR, STATUE, make_record(path="safe.jpg"))
    assert found.texts("h1") == ["2 images are flagged, and 1 could not be scored"]
    assert found.texts("h2") == [
        "Counts", "Scores", "Flagged", "Not scored", "Allowed", "About this scan",
    ]  # fmt: skip
    assert found.texts("bdi") == ["photos", "high.gif", "low.jpg", "bad.jpg", "statue.jpg"]
    assert found.texts("dd")[:4] == ["2", "1", "2", "5"]
    for text in (
        "0.950",
        "truncated",
        "it ends",
        "a statue",
        "frame 143 of 1,300",
        "0" * 64,
        "2.0 s, 2.5",
    ):
        assert any(text in leaf for _, leaf in found.leaves), text


def test_uncertain_images_are_counted_and_marked() -> None:
    assert "uncertain" not in written(*FLAGGED)
    found = page(FLAGGED[1], make_record(status="flagged", score=0.5, uncertain=True))
    assert found.texts("small")[0] == "1 of them uncertain"
    assert found.texts("span").count("uncertain") == 1


def test_allowed_images_are_counted_and_listed_on_request_only() -> None:
    text = written(STATUE, show_allowed=False)
    assert "1 of them allowed" in text
    assert "statue" not in text


@pytest.mark.parametrize(
    ("records", "summary", "title"),
    [
        ([], {}, "There are no images"),
        ([STATUE], {}, "The image is safe"),
        ([STATUE, make_record()], {}, "All images are safe"),
        ([make_record()], {"known": 2}, "Nothing new is flagged"),
        ([ERROR], {}, "Nothing is flagged, but 1 image could not be scored"),
        (FLAGGED[:1], {}, "1 image is flagged"),
    ],
)
def test_the_title_says_what_was_found(
    records: list[Record], summary: dict[str, Any], title: str
) -> None:
    assert page(*records, **summary).texts("h1") == [title]


def test_the_page_says_what_it_leaves_out() -> None:
    text = written(interrupted=True, known=1200, skipped=Counter({Kind.VIDEO: 2, Kind.TEXT: 1}))
    assert "The scan did not come to its end." in text
    assert "1,200 <small>not listed</small>" in text
    assert "2 videos, 1 text file" in text
    assert "<svg" not in text


texts = st.text(st.characters(codec=None) | st.sampled_from("<>&\"'/{}%\x1b\udcff\u202e"))
plain_tags = page(*FLAGGED, ERROR, STATUE).tags


@given(texts)
@example("<img src=x onerror=alert(1)>")
@example("</style></bdi></td></svg>{{ 7 * 7 }}<!--")
@example('" onload="alert(1)')
@example("\udcff\x1b[2J\u202e")
def test_no_name_produces_an_element_or_an_attribute(name: str) -> None:
    found = page(
        *(make_record(**(one.to_dict() | {"path": name})) for one in FLAGGED),
        make_record(**(ERROR.to_dict() | {"path": name, "detail": name})),
        make_record(**(STATUE.to_dict() | {"path": name, "allowed": name})),
        about=make_about(model=name, label=name, sources=(name,), settings={"frames": name}),
    )
    assert found.tags == plain_tags
    shown = printable(name).strip()
    assert found.texts("bdi") == [shown] * 5 if shown else not found.texts("bdi")
    assert not [name for name, _ in found.attributes if name.startswith("on")]


def test_the_page_loads_and_runs_nothing() -> None:
    text = written(*FLAGGED, ERROR, STATUE)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none';" in text
    found = Page(text)
    assert not found.tags.keys() & {"script", "img", "link", "a", "iframe", "form"}
    assert not {name for name, _ in found.attributes} & {"style", "src", "href"}
    assert "url(" not in style


def test_every_table_has_headers_and_every_section_a_name() -> None:
    found = page(*FLAGGED, ERROR, STATUE)
    assert found.attributes.count(("scope", "col")) == found.tags["th"] == 9
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    named = {value for name, value in found.attributes if name == "aria-labelledby"}
    assert named <= set(ids)
    assert len(named) == found.tags["section"] + 1  # the histogram


def luminance(colour: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_contrasts_are_those_of_wcag_aa(theme: int) -> None:
    css = (files("nsfwscan.reports") / "templates" / "report.css").read_text()
    block = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[theme]
    colours = dict(re.findall(r"--(\w+): (#\w{6});", block))
    for front, back in product(
        ("ink", "soft", "flagged", "error", "safe", "bar"), ("paper", "card")
    ):
        light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
        least = 3 if front == "bar" else 4.5
        assert (light + 0.05) / (dark + 0.05) >= least, (front, back)


scores = st.floats(0, 1).map(lambda score: round(score, 6))


@given(st.lists(scores, min_size=1), st.floats(0, 1))
@example([1.0, 0.999999], 1.0)
@example([0.575, 0.574999], 0.575)
@example([0.0], 0.0)
def test_the_histogram_counts_each_score_once_and_on_its_side(
    values: list[float], threshold: float
) -> None:
    histogram = Histogram(threshold)
    for value in values:
        histogram.add(value)
    bars = histogram.bars
    assert sum(bar.count for bar in bars) == len(values)
    assert sum(bar.count for bar in bars if bar.reached) == sum(v >= threshold for v in values)
    for bar in bars:
        assert bar.count >= sum(bar.start <= value < bar.end for value in values)
        assert bar.end <= threshold or bar.reached
        assert 0 <= bar.end - bar.start <= 1 / BINS + 1e-9
        assert 2 <= bar.height <= 160


def test_the_axis_is_logarithmic_if_the_counts_differ_much() -> None:
    few, many = Histogram(0.5), Histogram(0.5)
    for _ in range(5):
        few.add(0.1)
    for _ in range(1234):
        many.add(0.1)
    many.add(0.9)
    assert (few.logarithmic, few.ticks) == (False, [3, 5])
    assert (many.logarithmic, many.ticks) == (True, [1, 10, 100, 1000])
    assert [bar.height for bar in many.bars] == [160, many.height(1)]
    assert many.height(1) > 10
