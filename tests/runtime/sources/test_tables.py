import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from nsfwscan.errors import InputError, Reason
from nsfwscan.sources.entry import Problem
from nsfwscan.sources.tables import COLUMNS, is_table, read_table

PATHS = ["a.jpg", "b, c\n.jpg", "写真.jpg", "caf\udce9.jpg"]
ESCAPED = [*PATHS[:3], r"caf\udce9.jpg"]
"""As formats that hold valid Unicode have them."""


def as_parquet(column: str, paths: list[Any]) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table({"other": paths, column: paths}), out)
    return out.getvalue()


def as_csv(column: str, paths: list[str]) -> bytes:
    rows = [f'1,"{path}"' for path in paths]
    return "\n".join([f"other,{column}", *rows, ""]).encode()


def as_json_lines(column: str, paths: list[str]) -> bytes:
    return "".join(json.dumps({"other": 1, column: path}) + "\n" for path in paths).encode()


def read(data: bytes, name: str) -> list[str | Problem]:
    return list(read_table(io.BytesIO(data), Path(name)))


@pytest.mark.parametrize("column", COLUMNS)
def test_the_paths_are_in_a_column_of_one_of_these_names(column: str) -> None:
    assert read(as_parquet(column, ESCAPED), "list.parquet") == PATHS
    assert read(as_csv(column, ESCAPED), "list.csv") == PATHS
    assert read(as_json_lines(column, PATHS), "list.JSONL") == PATHS


def no_path(where: str) -> Problem:
    return Problem(where, Reason.NOT_FOUND, "the row of the list names no path")


def test_the_first_name_counts_and_blank_lines_are_left_out() -> None:
    assert read(b"url,path\r\nx,a.jpg\r\n\r\n", "l.csv") == ["a.jpg"]
    assert read(b'\n{"url": "x", "path": "a.jpg"}\n', "l.jsonl") == ["a.jpg"]
    assert read(b"\xef\xbb\xbfpath\na.jpg\n", "l.csv") == ["a.jpg"]
    assert read(b"", "l.jsonl") == []


def test_a_row_without_a_path_is_a_problem() -> None:
    assert read(b"path,x\n,1\na.jpg,2\n", "l.csv") == [no_path("l.csv, line 2"), "a.jpg"]
    lines = b'{"path": ""}\n{"path": null}\n{"b": 1}\n{"path": "a.jpg"}\n'
    problems = [no_path(f"l.jsonl, line {number}") for number in (2, 3)]
    assert read(b'{"path": "a.jpg"}\n' + lines[13:], "l.jsonl") == ["a.jpg", *problems, "a.jpg"]
    table = as_parquet("path", ["a.jpg", None, ""])
    assert read(table, "l.parquet") == [
        "a.jpg",
        *map(no_path, ("l.parquet, row 2", "l.parquet, row 3")),
    ]


def test_of_an_inventory_only_objects_are_read() -> None:
    csv = (
        b"Bucket,Key,IsLatest,IsDeleteMarker\nb,old,false,false\nb,new,true,false\nb,no,true,true\n"
    )
    assert read(csv, "l.csv") == ["s3://b/new"]
    out = io.BytesIO()
    columns = {
        "bucket": ["b"] * 3, "key": ["old", "new", "no"], "is_latest": [False, True, True],
        "is_delete_marker": [False, None, True],
    }  # fmt: skip
    parquet.write_table(pa.table(columns), out)
    assert read(out.getvalue(), "l.parquet") == ["s3://b/new"]
    assert read(b"path,is_latest\na,false\n", "l.csv") == ["a"]


def test_rows_are_read_as_they_are_needed() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = (b'{"path": "a"}\n' * len(buffer))[: len(buffer)]
            return len(buffer)

    stream = io.BufferedReader(Endless(), buffer_size=1400)
    assert next(read_table(stream, Path("l.jsonl"))) == "a"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("l.csv", b"a,b\n1,2\n", "has no column path, location, url, file, key or Key, but a, b"),
        ("l.csv", b"", "has no column .* but none; rename the one of the paths"),
        ("l.csv", b"path,size\na.jpg\n", "l.csv, line 2: 1 cells, not 2"),
        ("l.csv", b'path\n"a.jpg\n', "l.csv, line 2: unexpected end of data"),
        ("l.csv", b"path\ncaf\xe9\n", "l.csv is not in UTF-8; save it as UTF-8"),
        ("l.csv", "path\n".encode("utf-16"), "l.csv is in UTF-16; save it as UTF-8"),
        ("l.jsonl", b'{"a": 1}\n', "has no column .* but a;"),
        ("l.csv", b'"bkt","a b.jpg"\n', "l.csv has no header, but begins with 'bkt,a b.jpg'; add"),
        ("l.jsonl", b'{"path": 5}\n', "line 1: the path is no text, but 5"),
        ("l.jsonl", b'{"path": "a"}\n{"path"', "line 2: this is no JSON"),
        ("l.jsonl", b'["a"]\n', "line 1: this is no JSON object"),
        ("l.parquet", b"path\n", "l.parquet: this is no complete Parquet file: "),
        ("l.parquet", as_parquet("name", ["a"]), "has no column .* but other, name;"),
        ("l.parquet", as_parquet("path", [5]), "row 1: the path is no text, but 5"),
    ],
)
def test_what_is_no_list_of_paths_is_refused(name: str, data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(data, name)


def test_a_table_is_known_by_its_ending() -> None:
    assert [is_table(Path(n)) for n in ("a.csv", "a.CSV", "-", "csv", "a.txt", "a.json")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip


def test_a_column_of_buckets_makes_keys_urls() -> None:
    """As in an inventory of S3."""
    expected = ["s3://one/a b.jpg", "s3://two/a%20b.jpg"]
    out = io.BytesIO()
    keys = ["a b.jpg", "a%20b.jpg"]
    parquet.write_table(pa.table({"bucket": ["one", "two"], "key": keys}), out)
    assert read(out.getvalue(), "inventory.parquet") == expected
    assert read(b"Key,Bucket\na b.jpg,one\na%20b.jpg,two\n", "l.csv") == expected
    lines = b'{"bucket": "one", "key": "a b.jpg"}\n{"bucket": "two", "key": "a%20b.jpg"}\n'
    assert read(lines, "l.jsonl") == expected
    assert read(b"bucket,path\none,a.jpg\n", "l.csv") == ["a.jpg"]
    with pytest.raises(InputError, match="line 1: the path is no text, but 3"):
        read(b'{"bucket": 3, "key": "a"}\n', "l.jsonl")
