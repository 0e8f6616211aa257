import io
import json
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import make_about
from runtime.test_record import make_record

from nsfwscan import OutputError
from nsfwscan.reports.console import console
from nsfwscan.reports.output import Format, open_output, open_report

RECORD = make_record(path="low.jpg", status="flagged", score=0.6)


@pytest.mark.parametrize("format_", ["text", "json", "csv", "html", "sarif"])
def test_a_file_is_complete_or_unchanged(target: Path, format_: Format) -> None:
    with suppress(ZeroDivisionError), open_output(target, format_, raw=False) as out:
        out.write("half")
        out.flush()
        raise ZeroDivisionError
    assert target.read_text() == "before"
    with open_output(target, format_, raw=False) as out:
        out.write("all")
        assert target.read_text() == "before"
    assert target.read_text() == "all"


def test_json_lines_are_written_to_the_file_immediately(target: Path) -> None:
    with open_output(target, "jsonl", raw=False) as out:
        open_report(out, "jsonl", make_about()).add(RECORD)
        assert json.loads(target.read_text())["path"] == "low.jpg"


@pytest.mark.parametrize("raw", [True, False])
def test_bytes_that_are_not_utf8_can_be_written(tmp_path: Path, raw: bool) -> None:
    with open_output(tmp_path / "out", "csv", raw=raw) as out:
        out.write("caf\udce9")
    assert (tmp_path / "out").read_bytes() == (b"caf\xe9" if raw else b"caf\\udce9")


def test_the_error_for_a_full_disk_is_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):  # noqa: SIM117
        with open_output(Path("/dev/full"), "jsonl", raw=False) as out:
            open_report(out, "jsonl", make_about()).add(RECORD)


def test_a_console_prints_text_unchanged() -> None:
    out = io.StringIO()
    console(out, "auto").print("[red]1.5 :smile: 'x'" + "y" * 300)
    assert out.getvalue() == "[red]1.5 :smile: 'x'" + "y" * 300 + "\n"
