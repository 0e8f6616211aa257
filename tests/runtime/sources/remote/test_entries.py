from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from stores import BUCKET, Server, environment

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.remote.entries import Remote, RemoteEntry
from nsfwscan.sources.selection import Selection
from nsfwscan.sources.shard import Shard, share
from nsfwscan.sources.walk import discover

KEYS = (
    ".hidden/x/a.jpg", ".hidden/y.jpg", "a.jpg", "b/.c.jpg", "b/d.jpg", "b/e/f.jpg", "b/e/g.png",
    "b/e/h/i.jpg", "b/e/h/j.jpg", "thumbs/k.jpg", "thumbs/l/m.jpg", "z.txt",
)  # fmt: skip


def use(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(server.url).items():
        monkeypatch.setenv(name, value)


def summary(found: list[Found], root: str) -> tuple[list[str], Counter[Kind]]:
    entries = sorted(one.location.removeprefix(root) for one in found if isinstance(one, Entry))
    return entries, Counter(one.kind for one in found if isinstance(one, Skipped))


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(hidden=True),
        Selection(glob=["*.jpg", "!thumbs/"]),
        Selection(glob=["b/**"], hidden=True),
        *(Selection(max_depth=depth) for depth in (1, 2, 3)),
    ],
    ids=str,
)
def test_keys_are_selected_as_files_in_folders_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selection: Selection
) -> None:
    for key in KEYS:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(b"x")
    local = summary(list(discover([str(tmp_path)], selection)), f"{tmp_path}/")
    with Server({f"p/{key}": b"x" for key in KEYS}) as server:
        use(server, monkeypatch)
        remote = list(discover([f"s3://{BUCKET}/p"], selection))
    assert summary(remote, f"s3://{BUCKET}/p/") == local
    assert not server.asked


def test_a_url_names_an_object_or_what_is_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {"a": b"1", "a/": b"", "a/b": b"22", "a/b/c": b"3", "ab": b"4", "d//e": b"5"}
    root = f"s3://{BUCKET}"
    with Server(objects) as server:
        use(server, monkeypatch)

        def found(url: str, *others: str) -> list[tuple[str, bool]]:
            everything = list(Remote().entries(url, Selection(), others or None))
            assert all(isinstance(one, RemoteEntry) for one in everything), everything
            return [(e.location.removeprefix(root), e.explicit) for e in everything]  # type: ignore[union-attr]

        assert found(f"{root}/a") == [("/a", True)]
        assert found(f"{root}/ab") == [("/ab", True)]
        assert found(f"{root}/a/") == [("/a/b", False), ("/a/b/c", False)]
        assert found(f"{root}/d") == [("/d//e", False)]
        every = [("/a", False), *found(f"{root}/a/"), ("/ab", False), ("/d//e", False)]
        assert found(root) == found(f"{root}/") == every
        rest = [("/a", False), ("/a/b/c", False), ("/ab", False)]
        assert found(root, f"{root}/a/b", f"{root}/d/") == found(root, f"{root}/a/b", f"{root}/d")
        assert found(root, f"{root}/a/b", f"{root}/d/") == rest
        again = list(discover([root, f"{root}/a/b", root], Selection()))
        assert sorted(e.location for e in again) == sorted(root + name for name, _ in every)
        (none,) = Remote().entries(f"{root}/none", Selection())
        assert none == Problem(
            f"{root}/none", Reason.NOT_FOUND, "there is no such object, and nothing below it", True
        )


def test_the_entry_of_a_url_takes_no_request_until_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Server({"a.jpg": b"1234"}) as server:
        use(server, monkeypatch)
        entry = Remote().entry(f"s3://{BUCKET}/a.jpg")
        web = Remote().entry(f"{server.url}/{BUCKET}/a.jpg?signed=1")
        assert isinstance(entry, RemoteEntry)
        assert isinstance(web, RemoteEntry)
        assert not server.asked
        assert web.location == f"{server.url}/{BUCKET}/a.jpg"
        assert web.address == f"{server.url}/{BUCKET}/a.jpg?signed=1"
        for one in (entry, web):
            assert one.details().size == 4
            assert one.stamp(4) is not None
            assert one.stamp(3) is None
            with one.get() as stream:
                assert stream.read(9) == b"1234"
                assert stream.details.stamp == one.stamp(4)
        assert isinstance(Remote().entry("s3://"), Problem)


def test_a_listing_that_breaks_off_is_a_problem_in_every_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects = {f"{i:05}.jpg": b"1" for i in range(2500)}
    with Server(objects, {"page 2": ["403"]}) as server:
        use(server, monkeypatch)
        for index in range(3):
            server.pages = 0
            server.faults = {"page 2": ["403"]}
            *entries, last = share(discover([f"s3://{BUCKET}"], Selection()), Shard(index, 3))
            assert 0 < len(entries) < 1000
            assert last == Problem(
                f"s3://{BUCKET}", Reason.UNREADABLE,
                "the listing ended after 2,000 objects: the store denies access", True,
            )  # fmt: skip


def test_a_page_that_fails_in_passing_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {f"{i:05}.jpg": b"1" for i in range(1500)}
    with Server(objects, {"page 1": ["503", "500"]}) as server:
        use(server, monkeypatch)
        found = list(discover([f"s3://{BUCKET}"], Selection()))
    assert [one.location.rpartition("/")[2] for one in found] == list(objects)


def test_names_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("/photos/a.jpg", "//b.jpg", "a.jpg", "p//a.jpg", "p/b.jpg")
    root = f"s3://{BUCKET}"
    with Server(dict.fromkeys(keys, b"1")) as server:
        use(server, monkeypatch)

        def found(*urls: str, **options: Any) -> list[str]:
            everything = discover(urls, Selection(**options))
            return sorted(one.location.removeprefix(f"{root}/") for one in everything)

        for options in ({}, {"glob": ["*.jpg"]}):
            assert found(f"{root}//", **options) == sorted(keys[:2])
            assert found(f"{root}///", **options) == ["//b.jpg"]
            assert found(f"{root}/p//", **options) == ["p//a.jpg"]
            assert found(f"{root}/", **options) == sorted(keys)
            assert found(root, f"{root}//", f"{root}/p//", **options) == sorted(keys)


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (("/dir/", "/dir"), ("dir/a", "dir/b/c")),
        (("/dir/b", "/dir", "/dir/b/", "/dir/b/c"), ("dir/a", "dir/b/c")),
        (("/set", "/set/", "/set"), ("set", "set/a")),
        (("/", "/set", ""), ("dir/a", "dir/b/c", "set", "set-1", "set/a")),
        (("/set/", "/"), ("dir/a", "dir/b/c", "set", "set-1", "set/a")),
    ],
)
def test_a_place_is_scanned_once(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    objects = ("dir/a", "dir/b/c", "set", "set-1", "set/a")
    root = f"s3://{BUCKET}"
    with Server(dict.fromkeys(objects, b"1")) as server:
        use(server, monkeypatch)
        found = [one.location for one in discover([root + name for name in names], Selection())]
        assert sorted(found) == [f"{root}/{key}" for key in keys]


@pytest.mark.parametrize(
    ("variable", "scheme"), [("AWS_ENDPOINT_URL", "s3"), ("GOOGLE_BASE_URL", "gs")]
)
@pytest.mark.parametrize("endpoint", ["garbage", "127.0.0.1:5997", "http://", "http://h:99999"])
def test_an_endpoint_that_is_none_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str, endpoint: str
) -> None:
    for name, value in (environment("http://127.0.0.1:1") | {variable: endpoint}).items():
        monkeypatch.setenv(name, value)
    (problem,) = discover([f"{scheme}://bucket/"], Selection())
    assert isinstance(problem, Problem)
    assert f"{endpoint!r} is no endpoint: set {variable}" in problem.detail
