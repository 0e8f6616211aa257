import hashlib
import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest
from helpers import encoded, load_photo

from nsfwscan.sources import reader
from nsfwscan.sources.entry import Entry, Problem, Skipped, stamp_of
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.reader import Contents, read_file, read_stream

MOST = 1 << 20


def reason_of(path: Path | str, *, explicit: bool = False) -> str:
    found = read_file(Entry(str(path), explicit), MOST)
    assert isinstance(found, Problem)
    assert found.location == str(path)
    return found.reason


def test_an_image_is_read_with_its_digests(tmp_path: Path) -> None:
    data = encoded(load_photo("chelsea.png"), "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert read_file(Entry(str(path), explicit=False), MOST) == Contents(
        data, hashlib.sha256(data).hexdigest(), hashlib.sha1(data).hexdigest(),
        stamp_of(path.stat()),
    )  # fmt: skip


def test_versions_of_a_file_have_different_stamps(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = stamp_of(path.stat())
    assert stamp_of(path.stat()) == before
    path.write_bytes(b"three")
    assert stamp_of(path.stat()) != before
    longer = stamp_of(path.stat())
    os.utime(path, ns=(1, 1))
    assert stamp_of(path.stat()) != longer


def test_a_file_that_changes_during_reading_has_no_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(load_photo("chelsea.png"), "JPEG"))
    whole = reader.read_up_to

    def read_and_append(*arguments: object, **options: object) -> bytes:
        data = whole(*arguments, **options)  # type: ignore[arg-type]
        with path.open("ab") as stream:
            stream.write(b"more")
        return data

    monkeypatch.setattr(reader, "read_up_to", read_and_append)
    found = read_file(Entry(str(path), explicit=False), MOST)
    assert isinstance(found, Contents)
    assert found.stamp is None


def test_files_that_are_not_images_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    found = read_file(Entry(str(tmp_path / "a.txt"), explicit=True), MOST)
    assert found == Skipped(str(tmp_path / "a.txt"), Kind.TEXT)


def test_the_file_size_is_limited(tmp_path: Path) -> None:
    photo = encoded(load_photo("chelsea.png"), "JPEG")
    for name, more in (("fits", MOST - len(photo)), ("large", MOST - len(photo) + 1)):
        (tmp_path / name).write_bytes(photo + bytes(more))
    assert isinstance(read_file(Entry(str(tmp_path / "fits"), explicit=False), MOST), Contents)
    assert reason_of(tmp_path / "large") == "too-large"


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions, pipes and links")
def test_files_that_cannot_be_opened_have_a_reason(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    (open_folder / "shut.png").write_bytes(b"x")
    (open_folder / "shut.png").chmod(0)
    os.mkfifo(open_folder / "pipe.png")
    (open_folder / "link.png").symlink_to("nowhere")
    with unprivileged():
        assert reason_of(open_folder / "shut.png") == "unreadable"
    assert reason_of(open_folder / "pipe.png") == "special-file"
    assert reason_of(open_folder / "gone.png") == "vanished"
    assert reason_of(open_folder / "gone.png", explicit=True) == "not-found"
    assert reason_of(open_folder / "link.png") == "dangling-link"


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs O_NOFOLLOW")
def test_only_an_explicit_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(load_photo("chelsea.png"), "JPEG"))
    link = tmp_path / "link.jpg"
    link.symlink_to("a.jpg")
    assert isinstance(read_file(Entry(str(link), explicit=True), MOST), Contents)
    assert isinstance(read_file(Entry(str(link), explicit=False), MOST), Problem)


class Trickle(io.BytesIO):
    """A stream that returns few bytes at a time, as a socket does, and counts them."""

    given = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        data = super().read(min(size, 100))
        self.given += len(data)
        return data


def stream_entry(stream: BinaryIO, location: str = "-") -> Entry:
    return Entry(location, open=lambda: stream)


@pytest.mark.parametrize("name", ["a.jpg", "a.txt", "a.jxl", "a.dng", "a", "a.svg"])
@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1", bytes(600), b"II*\0" + bytes(600)])
def test_a_stream_is_classified_like_a_file_of_the_same_name(
    tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    found = read_file(Entry(str(path)), MOST)
    as_stream = read_stream(stream_entry(Trickle(data), str(path)), MOST)
    assert as_stream == (found.data if isinstance(found, Contents) else found)


def test_a_stream_is_read_to_one_byte_above_the_limit() -> None:
    photo = encoded(load_photo("chelsea.png"), "JPEG")
    assert read_stream(stream_entry(Trickle(photo)), len(photo)) == photo
    stream = Trickle(photo)
    found = read_stream(stream_entry(stream), len(photo) - 2)
    assert isinstance(found, Problem)
    assert found.reason == "too-large"
    assert stream.given == len(photo) - 1
    stream = Trickle(b"hello" * 1000)
    assert read_stream(stream_entry(stream), MOST) == Skipped("-", Kind.TEXT)
    assert stream.given == 512


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [(b"", "empty", "no bytes"), (b"%PDF-1", "not-a-picture", "looks like a document")],
)
def test_an_explicit_stream_without_an_image_is_never_skipped(
    data: bytes, reason: str, said: str
) -> None:
    found = read_stream(Entry("-", explicit=True, open=lambda: io.BytesIO(data)), MOST)
    assert isinstance(found, Problem)
    assert (found.location, found.reason) == ("-", reason)
    assert said in found.detail


def test_an_unreadable_stream_is_a_problem() -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    def gone() -> BinaryIO:
        raise FileNotFoundError(2, "No such file or directory")

    shut = io.BytesIO()
    shut.close()
    entries = (stream_entry(Broken()), Entry("member", open=gone), stream_entry(shut))
    found = [read_stream(entry, MOST) for entry in entries]
    assert [one.reason for one in found if isinstance(one, Problem)] == [
        "unreadable", "vanished", "unreadable",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (RuntimeError("bad member"), "unreadable", "RuntimeError: bad member"),
        (EOFError("ends"), "unreadable", "EOFError: ends"),
        (StopIteration(), "unreadable", "StopIteration"),
        (MemoryError(), "too-large", "not enough memory"),
    ],
)
def test_an_error_of_a_source_is_a_problem_of_its_entry(
    error: Exception, reason: str, said: str
) -> None:
    def fails() -> BinaryIO:
        raise error

    found = read_stream(Entry("member", open=fails), MOST)
    assert isinstance(found, Problem)
    assert found.reason == reason
    assert said in found.detail


@pytest.mark.parametrize("stream", [io.StringIO("text"), None, b"bytes"])
def test_a_source_that_gives_no_binary_stream_is_a_problem(stream: object) -> None:
    found = read_stream(Entry("member", open=lambda: stream), MOST)  # type: ignore[arg-type,return-value]
    assert isinstance(found, Problem)
    assert found.reason == "unreadable"


def test_a_stream_is_read_from_its_position() -> None:
    photo = encoded(load_photo("chelsea.png"), "JPEG")
    stream = io.BytesIO(b"header" + photo)
    stream.seek(6)
    assert read_stream(Entry("-", open=lambda: stream), MOST) == photo
