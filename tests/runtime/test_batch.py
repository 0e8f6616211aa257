"""Tables of images in, tables of records out."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from faults.scans import many, redness
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from runtime.test_package import loaded_by
from stores import Server, environment

from nsfwscan import Classifier, InputError, scan
from nsfwscan.batch import score_table
from nsfwscan.reports.parquet import COLUMNS, to_batch


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return redness(tmp_path_factory.mktemp("model") / "m.onnx")


def red(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (9, 9), (value, 0, 0)).save(out, "PNG")
    return out.getvalue()


def test_locations_become_the_records_of_a_scan(tmp_path: Path, model: Path) -> None:
    paths = [str(path) for path in many(tmp_path / "photos", 20)]
    records = list(scan(paths, Classifier.load(model), threshold=0.5))
    for name in ("path", "url"):
        found = score_table(pa.table({name: paths, "other": range(20)}), model=model, threshold=0.5)
        assert found == pa.Table.from_batches([to_batch(records)])


def test_each_row_has_its_record(tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.txt").write_text("no image")
    (tmp_path / "b.png").write_bytes(red(255))
    rows = [str(tmp_path / "a.txt"), None, str(tmp_path / "b.png"), str(tmp_path), "gone.png"]
    found = score_table(pa.table({"path": rows}), model=model)
    assert found.schema == COLUMNS
    assert found["path"].to_pylist() == [one or "" for one in rows]
    assert found["reason"].to_pylist() == [
        "not-a-picture", "unreadable", None, "unreadable", "not-found",
    ]  # fmt: skip
    assert found["score"].to_pylist() == [None, None, 1.0, None, None]
    assert found["detail"][0].as_py() == "the content is not an image; it looks like a text file"
    assert found["detail"][1].as_py() == "the row of the table has none (null)"


def test_a_url_is_read(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(red(255))
    key = "photos/a b#%.png"
    with Server({key: red(255)}) as server:
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        urls = [f"s3://bucket/{key}", "s3://bucket/none.png", "ftp://host/a.png", "s3://"]
        found = score_table(pa.table({"url": [*urls, str(tmp_path / "a.png")]}), model=model)
    assert found["score"].to_pylist() == [1.0, None, None, None, 1.0]
    assert found["reason"].to_pylist() == [None, *["not-found"] * 3, None]
    assert found["path"][0].as_py() == urls[0]


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.utf8())]
)
def test_text_of_any_type_is_a_location(tmp_path: Path, model: Path, type_: Any) -> None:
    (tmp_path / "a.png").write_bytes(red(255))
    paths = pa.array([str(tmp_path / "a.png"), None], pa.string()).cast(type_)
    found = score_table(pa.table({"path": paths}), model=model)
    assert found["score"].to_pylist() == [1.0, None]


@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_bytes_are_scored(model: Path, type_: Any) -> None:
    images = pa.array([red(255), None, b"", red(0)], type_)
    found = score_table(pa.table({"bytes": images}), model=model)
    assert found["path"].to_pylist() == ["-"] * 4
    assert found["score"].to_pylist() == [1.0, None, None, 0.0]
    assert found["reason"].to_pylist() == [None, "unreadable", "empty", None]
    named = score_table(pa.table({"bytes": images, "key": ["a", "b", "c.png", None]}), model=model)
    assert named["path"].to_pylist() == ["a", "b", "c.png", "-"]


@settings(max_examples=10)
@given(st.lists(st.sampled_from([red(0), red(255), b"text", b"", None]), max_size=9))
def test_rows_keep_their_order_in_any_mixture(model: Path, rows: list[bytes | None]) -> None:
    scores = {red(0): 0.0, red(255): 1.0}
    found = score_table(pa.table({"bytes": pa.array(rows, pa.binary())}), model=model)
    assert found["score"].to_pylist() == [scores.get(row or b"") for row in rows]


def test_the_model_is_loaded_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"bytes": [red(255)]})
    score_table(table, model=model)
    monkeypatch.setattr(Classifier, "load", None)
    assert score_table(table, model=model)["score"].to_pylist() == [1.0]


def test_another_table_is_refused(model: Path) -> None:
    with pytest.raises(InputError, match=r"no column bytes, path, .* or Key, but image; rename"):
        score_table(pa.table({"image": ["a"]}), model=model)
    with pytest.raises(InputError, match="the column bytes must be binary, got int64"):
        score_table(pa.table({"bytes": [1]}), model=model)
    with pytest.raises(InputError, match="the column path must be text, got list"):
        score_table(pa.table({"path": [["a"]]}), model=model)
    with pytest.raises(InputError, match="the column path must be text, got int64"):
        score_table(pa.table({"path": [1]}), model=model)
    with pytest.raises(InputError, match="the column bytes must be binary, got string"):
        score_table(pa.table({"bytes": ["a"]}), model=model)
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["path", "path"])
    with pytest.raises(InputError, match="the table has two columns path; rename one"):
        score_table(twice, model=model)
    with pytest.raises(ValueError, match="threshold must be in"):
        score_table(pa.table({"path": ["a"]}), model=model, threshold=2)


def test_no_engine_is_imported() -> None:
    assert not loaded_by("import nsfwscan.batch") & {"ray", "pandas"}
