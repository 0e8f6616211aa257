import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.review.plan import Member, Unit, place_of, plan_transfer
from nsfwscan.review.steps import Action, State

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the paths are those of POSIX")

OUT = "/out"


def state(sha256: str) -> State:
    return State(sha256=sha256, size=1, mtime_ns=1, ctime_ns=1, inode=1, device=1, mode=0o600)


class Disk:
    """A target folder that has some files, each with a digest, and some symbolic links."""

    def __init__(self, files: dict[str, str], links: dict[str, str]) -> None:
        self.files = files
        self.links = links

    def look(
        self, target: str, sha256: str | None, _link: str | None
    ) -> Literal["free", "same", "taken"]:
        if target not in self.files:
            return "free"
        return "same" if self.files[target] == sha256 else "taken"

    def is_folder(self, path: str) -> bool:
        return path == "/" or any(file.startswith(path + os.sep) for file in self.files)

    def real(self, folder: str) -> str:
        for link, place in self.links.items():
            if folder == link or folder.startswith(link + os.sep):
                return place + folder.removeprefix(link)
        return folder


NAMES = st.sampled_from(["a", "b", "..", ".", "", "x.jpg", "a (2).jpg", "\udcff", "A"])
PATHS = st.builds(
    lambda root, parts, name: root + "/".join([*parts, name]),
    st.sampled_from(["", "/", "//", "./", "../"]),
    st.lists(NAMES, max_size=4),
    st.sampled_from(["a.jpg", "b.jpg", "a (2).jpg", "IMG", "..jpg", "a\nb.jpg"]),
)
CONTENTS = st.sampled_from(["0", "1"])


@given(
    paths=st.lists(st.tuples(PATHS, CONTENTS, st.lists(CONTENTS, max_size=1)), max_size=8),
    there=st.dictionaries(
        st.sampled_from(["a.jpg", "a (2).jpg", "a/b.jpg", "b/IMG.xmp", "a/a (2).jpg"]), CONTENTS
    ),
    links=st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["/else", f"{OUT}/b"])),
    action=st.sampled_from(["move", "copy", "link"]),
)
def test_targets_are_unique_free_and_inside(
    paths: list[tuple[str, str, list[str]]],
    there: dict[str, str],
    links: dict[str, str],
    action: Action,
) -> None:
    disk = Disk(
        {f"{OUT}/{name}": content for name, content in there.items()},
        {f"{OUT}/{name}": place for name, place in links.items()},
    )
    units = []
    for n, (path, content, sidecars) in enumerate(paths):
        folder, stem = str(Path(path).parent), Path(path).stem
        members = [Member(path, f"/in/{n}/image", state(content), is_image=True)]
        members += [
            Member(f"{folder}/{stem}.xmp", f"/in/{n}/xmp", state(one), is_image=False)
            for one in sidecars
        ]  # fmt: skip
        units.append(Unit(stem, tuple(members)))
    plan = plan_transfer(units, action, OUT, disk)

    written = [step for step in plan.steps if step.op == action]
    targets = [step.target for step in written]
    assert len(set(targets)) == len(targets)
    assert not set(targets) & set(disk.files)
    known = disk.files | {one.target: one.state.sha256 for one in written if one.state}
    folders = set[str]()
    for step in plan.steps:
        place = step.path if step.op == "folder" else step.target
        assert place == os.path.normpath(place)
        assert place == OUT or place.startswith(OUT + os.sep)
        if step.op == "folder":
            assert not disk.is_folder(step.path)
            assert step.path not in folders
            folders.add(step.path)
        else:
            parent = str(Path(step.target).parent)
            assert parent in folders or disk.is_folder(parent)
        if step.op == "drop":
            assert action == "move"
            assert step.state is not None
            assert known[step.target] == step.state.sha256
    whole = sum(len(unit.members) for unit in units)
    assert len(plan.notes) + sum(step.op != "folder" for step in plan.steps) == whole


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("photos/a.jpg", "photos/a.jpg"),
        ("./photos//a.jpg", "photos/a.jpg"),
        ("/home/ann/a.jpg", "home/ann/a.jpg"),
        ("../../etc/a.jpg", "etc/a.jpg"),
        ("photos/../../b/../a.jpg", "a.jpg"),
        ("/../a.jpg", "a.jpg"),
    ],
)
def test_the_place_in_a_folder(path: str, place: str) -> None:
    assert place_of(path) == place


def test_sidecars_get_the_number_of_their_image() -> None:
    members = [
        Member("p/a.jpg", "/in/a.jpg", state("0"), is_image=True),
        Member("p/a.jpg.xmp", "/in/a.jpg.xmp", state("1"), is_image=False),
        Member("p/a.mov", "/in/a.mov", state("2"), is_image=False),
    ]
    disk = Disk({f"{OUT}/p/a.jpg": "9", f"{OUT}/p/a (2).mov": "9"}, {})
    plan = plan_transfer([Unit("a", tuple(members))], "move", OUT, disk)
    assert [step.target for step in plan.steps] == [
        f"{OUT}/p/a (3).jpg", f"{OUT}/p/a (3).jpg.xmp", f"{OUT}/p/a (3).mov",
    ]  # fmt: skip
