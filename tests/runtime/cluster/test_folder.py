"""The folder of a run: a local one, and a prefix of an object store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import empty_bucket

from nsfwscan.cluster.folder import Folder, LocalFolder, StoreFolder, folder_at
from nsfwscan.errors import OutputError


@pytest.fixture
def bucket() -> Iterator[str]:
    with empty_bucket() as (url, variables), pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield f"{url}/run1"


def used(folder: Folder) -> None:
    """Write, replace and read as a run does."""
    assert list(folder.names()) == []
    with pytest.raises(FileNotFoundError), folder.open("run.json"):
        pass
    for content in ("first", "second"):
        with folder.writing("records/0.parquet") as path:
            path.write_text(content)
            assert "second" not in content or list(folder.names()) == ["records/0.parquet"]
    with folder.writing("run.json") as path:
        path.write_bytes(bytes(range(256)) * 999)
    assert sorted(folder.names()) == ["records/0.parquet", "run.json"]
    with folder.open("records/0.parquet") as stream:
        assert stream.read() == b"second"
    with folder.open("run.json") as stream:
        assert stream.seek(-2, 2) == 256 * 999 - 2
        assert stream.read() == b"\xfe\xff"
        assert stream.seek(300) == stream.tell() == 300
        assert stream.read(3) == bytes([44, 45, 46])


def test_a_local_folder(tmp_path: Path) -> None:
    used(folder_at(str(tmp_path / "new" / "run1")))
    assert isinstance(folder_at("run:1"), LocalFolder)


@pytest.mark.slow
def test_a_prefix_of_an_object_store(bucket: str) -> None:
    folder = folder_at(bucket)
    assert isinstance(folder, StoreFolder)
    used(folder)
    used(folder_at(f"{bucket}0"))  # is not below the first one


@pytest.mark.slow
def test_a_store_that_refuses_is_named(bucket: str) -> None:
    with pytest.raises(OutputError, match="cannot use s3://missing/run1: there is no such"):
        folder_at("s3://missing/run1")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="it is no folder"):
        list(folder_at(str(tmp_path / "file")).names())
    with pytest.raises(OutputError, match="cannot write ftp://host/x"):
        folder_at("ftp://host/x")


def test_nothing_is_there_before_it_is_complete(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    writing = folder.writing("part")
    path = writing.__enter__()
    path.write_text("half")
    assert list(folder.names()) == []
    error = RuntimeError()
    assert not writing.__exit__(RuntimeError, error, None)
    assert list(tmp_path.iterdir()) == []
