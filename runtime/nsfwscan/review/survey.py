"""Look at the files that are acted upon, verify their digests, and find their sidecars."""

import base64
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

from nsfwscan.errors import InputError, OutputError
from nsfwscan.review.plan import Member, Note, Plan, Unit, plan_transfer, plan_trash
from nsfwscan.review.selection import Wanted
from nsfwscan.review.sidecars import ByStem, by_stem, sidecars_of, xmp_name
from nsfwscan.review.steps import Action, NotDoneError, Step, why
from nsfwscan.review.transfer import holds, read_state
from nsfwscan.sources.remote.url import is_url


@dataclass(frozen=True, slots=True)
class Found:
    """An image that is there and unchanged."""

    wanted: Wanted
    member: Member


def make_plan(wanted: Sequence[Wanted], action: Action, folder: str) -> Plan:
    """Plan an action, and change nothing.

    Parameters
    ----------
    wanted
        The images.
    action
        What is done.
    folder
        The target folder of ``move``, ``copy`` and ``link``, an absolute path.

    Raises
    ------
    InputError
        If none of the images is there.
    OutputError
        If the target folder cannot be written.
    """
    notes = list[Note]()
    found = _look_at(wanted, action, notes)
    listing = cache(_list)
    if wanted and all(is_url(one.path) for one in wanted):
        raise InputError(
            f"only files are acted upon, and the images are objects of a store, such as "
            f"{wanted[0].path}; use the tools of the store"
        )
    if wanted and not any(os.path.lexists(one.location) for one in wanted):
        raise InputError(
            f"none of the {len(wanted)} images is there, such as {wanted[0].location}; run this in "
            "the folder in which the scan ran, or name that folder with --base"
        )
    if action == "tag":
        plan = _plan_tags(found, listing)
    elif action == "trash":
        plan = plan_trash(_units(found, notes, listing, shares=False))
    else:
        view = _Target(folder)
        view.check_writable()
        units = _units(found, notes, listing, shares=action != "move")
        plan = plan_transfer(units, action, os.path.realpath(folder), view)
    plan.notes[:0] = notes
    return plan


def _look_at(wanted: Sequence[Wanted], action: Action, notes: list[Note]) -> list[Found]:
    found: dict[str, Found] = {}
    real = cache(os.path.realpath)
    for one in wanted:
        if is_url(one.path):
            said = "it is an object of a store; only files are acted upon"
            notes.append(Note(one.path, said, is_failure=True))
            continue
        head, name = os.path.split(one.location)
        location = os.path.join(real(head), name)
        if location in found:
            notes.append(Note(one.path, "it is listed twice"))
            continue
        if one.sha256 is None:
            notes.append(Note(one.path, "the report has no digest of it", is_failure=True))
            continue
        try:
            state = read_state(location, follow=action not in {"move", "trash"})
        except FileNotFoundError:
            notes.append(Note(one.path, "it is no longer there", is_failure=True))
        except (OSError, NotDoneError) as error:
            notes.append(Note(one.path, why(error), is_failure=True))
        else:
            if state.sha256 != one.sha256:
                notes.append(Note(one.path, "it has changed since the scan", is_failure=True))
                continue
            found[location] = Found(one, Member(one.path, location, state, is_image=True))
            if state.link is not None:
                notes.append(Note(one.path, f"is a link; {state.link}, its target, stays"))
    return list(found.values())


def _units(
    found: Sequence[Found], notes: list[Note], listing: Callable[[str], ByStem], *, shares: bool
) -> list[Unit]:
    """Group images that share sidecars, and add these.

    Parameters
    ----------
    found
        The images.
    notes
        Gets what stays where it is.
    listing
        Gives the names of a folder.
    shares
        Whether a sidecar that another image needs too goes along; it stays where it is then, too.
    """
    groups: dict[tuple[str, str], list[Member]] = {}
    for one in found:
        folder, name = os.path.split(one.member.location)
        groups.setdefault((folder, os.path.splitext(name)[0]), []).append(one.member)
    locations = {one.member.location for one in found}
    units = []
    for (folder, stem), images in groups.items():
        last = images[-1]
        names = [os.path.basename(image.location) for image in images]
        sidecars = sidecars_of(names, stem, listing(folder))
        chosen = list(sidecars.own)
        for name, other in sidecars.shared:
            if shares:
                chosen.append(name)
            else:
                path = os.path.join(os.path.dirname(last.path), name)
                notes.append(Note(path, f"{other} needs it too"))
        members = list(images)
        for name in chosen:
            location = os.path.join(folder, name)
            path = os.path.join(os.path.dirname(last.path), name)
            if location in locations:
                continue
            try:
                state = read_state(location, follow=shares)
            except (OSError, NotDoneError) as error:
                notes.append(Note(path, why(error), is_failure=True))
            else:
                members.append(Member(path, location, state, is_image=False))
        units.append(Unit(stem, tuple(members)))
    return units


def _plan_tags(found: Sequence[Found], listing: Callable[[str], ByStem]) -> Plan:
    from nsfwscan.review import xmp

    plan = Plan()
    for number, one in enumerate(found):
        image, score = one.member, one.wanted.score
        folder, name = os.path.split(image.location)
        target = os.path.realpath(os.path.join(folder, xmp_name(name, listing(folder))))
        before, previous = None, None
        try:
            with suppress(FileNotFoundError):
                previous = read_state(target, follow=True)
                before = _read_unshared(target)
            if xmp.extended(before, score) == before:
                plan.notes.append(Note(image.path, "its sidecar has the keyword and the score"))
                continue
        except (OSError, NotDoneError) as error:
            plan.notes.append(Note(image.path, why(error), is_failure=True))
            continue
        plan.steps.append(
            Step(
                op="tag", path=image.location, target=target, unit=number, is_image=True,
                state=image.state, score=score, previous=previous,
                before=None if before is None else base64.b64encode(before).decode(),
            )
        )  # fmt: skip
    return plan


def _read_unshared(sidecar: str) -> bytes:
    with open(sidecar, "rb") as stream:
        if os.fstat(stream.fileno()).st_nlink > 1:  # its other names would keep the old content
            raise NotDoneError("its sidecar has several hard links")
        return stream.read()


def _list(folder: str) -> ByStem:
    return by_stem(os.listdir(folder))


class _Target:
    """The target folder as it is."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._real = os.path.realpath(folder)
        self.real = cache(os.path.realpath)

    def check_writable(self) -> None:
        place = self._real
        while not os.path.lexists(place):
            place = os.path.dirname(place)
        if not os.path.isdir(place):
            raise OutputError(f"cannot write into {self._folder}: {place} is not a folder")
        if not os.access(place, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write into {self._folder}: {place} is read-only")

    def look(
        self, target: str, sha256: str | None, link: str | None
    ) -> Literal["free", "same", "taken"]:
        if not os.path.lexists(target):
            return "free"
        return "same" if holds(target, sha256, link) else "taken"

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)
