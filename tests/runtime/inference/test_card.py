import re
from dataclasses import replace

from nsfwscan import Manifest, OutputSpec, Preprocess
from nsfwscan.inference.card import HEADER, card, operating_rows
from nsfwscan.inference.known import BUILT_IN, OPEN_NSFW_SHA256
from nsfwscan.inference.operating import OperatingPoint

OURS = Manifest(name="ours", preprocess=Preprocess(size=8), training={"images": 12})


def test_the_rows_are_sorted_and_say_what_is_unknown() -> None:
    rows = operating_rows(BUILT_IN[OPEN_NSFW_SHA256])
    assert [row[:6] for row in rows] == [
        ("sensitive", "0.2", "?", "?", "?", "?"),
        ("balanced", "0.327", "93.2 %", "6.8 %", "12.2 %", "60.4 %"),
        ("", "0.5", "?", "0.2 %", "?", "?"),
        ("strict", "0.8", "?", "?", "?", "?"),
    ]
    assert {len(row) for row in rows} == {len(HEADER)}


def test_a_card_without_points_has_the_facts_that_there_are() -> None:
    text = card(OURS, "0" * 64)
    assert "| licence | not known |" in text
    assert "right at" not in text
    assert "## Training" in text
    assert "| images | 12 |" in text
    assert "## Parity" not in text


def test_facts_within_facts_have_lines_of_their_own() -> None:
    parity = {"images": 9, "difference": {"mean": 0.1, "99": 0.2}, "devices": ["cpu", "cuda"]}
    text = card(replace(OURS, parity=parity), "0" * 64)
    _, _, found = text.partition("## Parity")
    rows = [line.strip("| ").split(" | ") for line in found.splitlines() if " | " in line]
    assert rows[-4:] == [
        ["images", "9"],
        ["difference: mean", "0.1"],
        ["difference: 99", "0.2"],
        ["devices", "cpu, cuda"],
    ]


def test_a_card_shows_names_as_text() -> None:
    """A manifest comes with a model, from anywhere."""
    ugly = "<script>|`x`\n# y"
    point = OperatingPoint(threshold=0.5, measured_on=ugly, by=ugly)
    manifest = Manifest(
        name=ugly, labels=(ugly, ugly), preprocess=Preprocess(size=8), licence=ugly,
        operating_points=(point,),
    )  # fmt: skip
    lines = card(manifest, "0" * 64).splitlines()
    assert [line for line in lines if line.startswith("# ")] == [lines[0]]
    assert not re.search(r"(?<!\\)[<`]", "\n".join(lines))
    tables = [line for line in lines if line.startswith("|") and line.count("|") > 3]
    (row,) = [line for line in tables if "0.5" in line]
    assert row.replace("\\|", "").count("|") == len(HEADER) + 1


def test_the_card_says_how_classes_make_up_the_score() -> None:
    spec = OutputSpec(
        classes=("neutral", "low", "high"), counted=("neutral",), reduction="complement",
        activation="softmax",
    )  # fmt: skip
    text = card(Manifest(name="m", preprocess=Preprocess(size=8), output=spec), "a" * 64)
    assert "| activation | softmax |" in text
    assert "| classes | neutral, low, high |" in text
    assert "| reduction | complement of neutral |" in text
    assert "| column |" not in text
