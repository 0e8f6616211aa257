"""Plan what is done to images and their sidecars: steps without conflicts, in a fixed order."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from nsfwscan.review.steps import Action, Operation, State, Step


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a unit.

    Attributes
    ----------
    path
        For messages, and for the place in the target folder.
    location
        The absolute path, without symbolic links above the file.
    state
        What it is.
    is_image
        Whether it is an image, and not a sidecar.
    """

    path: str
    location: str
    state: State
    is_image: bool


@dataclass(frozen=True, slots=True)
class Unit:
    """Images of one folder and one name, and their sidecars: they stay together.

    Attributes
    ----------
    stem
        What precedes the extension of each image; each member's name begins with it.
    members
        The images first.
    """

    stem: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A file that is left alone.

    Attributes
    ----------
    path
        The file.
    why
        The reason, without the file's name.
    is_failure
        Whether something that was asked for is not done.
    """

    path: str
    why: str
    is_failure: bool = False


@dataclass(slots=True)
class Plan:
    """Steps in their order, and what is left alone."""

    steps: list[Step] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


class View(Protocol):
    """What planning has to know of the target folder."""

    def look(
        self, target: str, sha256: str | None, link: str | None
    ) -> Literal["free", "same", "taken"]:
        """Tell whether a name is free, or has this content or link already."""

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder exists."""

    def real(self, folder: str) -> str:
        """Return a folder's path without symbolic links, whether it exists or not."""


def place_of(path: str) -> str:
    """Return the place of a file in a target folder, as a relative path that never leaves it.

    Absolute paths lose their root or drive, relative ones their leading ``..``.
    """
    tail = os.path.splitdrive(path)[1]
    parts = os.path.normpath(tail).replace(os.altsep or os.sep, os.sep).split(os.sep)
    return os.path.join(*[part for part in parts if part not in {"", os.curdir, os.pardir}])


def plan_trash(units: Iterable[Unit]) -> Plan:
    """Plan to put files into the trash."""
    return Plan(
        [
            Step(op="trash", path=m.location, unit=n, is_image=m.is_image, state=m.state)
            for n, unit in enumerate(units)
            for m in unit.members
        ]
    )


def plan_transfer(units: Iterable[Unit], action: Action, folder: str, view: View) -> Plan:
    """Plan to move, copy or link files into a folder.

    Parameters
    ----------
    units
        What is moved.
    action
        ``move``, ``copy`` or ``link``.
    folder
        The target folder, an absolute path without symbolic links.
    view
        What is in it.

    Returns
    -------
    Plan
        No two steps have the same target, except that a file whose content is there already is
        dropped. No target lies outside the folder. A symbolic link that is moved leads to the same
        file as before, also if that file is moved.
    """
    plan = Plan()
    planned: dict[str, tuple[str | None, str | None]] = {}
    made = set[str]()
    for number, unit in enumerate(units):
        targets = _targets(unit, action, folder, view, planned)
        outside = [t for t, _ in targets if not t.startswith(os.path.join(folder, ""))]
        for member, (target, is_same) in zip(unit.members, targets, strict=True):
            if outside:
                why = f"a symbolic link in {folder} leads to {os.path.dirname(outside[0])}"
                plan.notes.append(Note(member.path, why, is_failure=True))
            elif target == member.location:
                plan.notes.append(Note(member.path, "it is there already"))
            elif is_same and action != "move":
                plan.notes.append(Note(member.path, f"{target} has the same content"))
            else:
                planned.setdefault(target, _content(member, action, target))
                plan.steps += _folders(os.path.dirname(target), made, view)
                operation: Operation = "drop" if is_same else action
                plan.steps.append(
                    Step(
                        op=operation, path=member.location, target=target, unit=number,
                        is_image=member.is_image, state=member.state,
                    )
                )  # fmt: skip
    moved = {step.path: step.target for step in plan.steps if step.op == "move"}
    for place, step in enumerate(plan.steps):
        if action == "move" and step.state is not None and step.state.link is not None:
            plan.steps[place] = replace(step, link=_link_at(step.target, step.state, moved))
    return plan


def numbered(name: str, stem: str, number: int) -> str:
    """Return a name with a number after its stem: ``name (2).jpg``; the number 1 is not shown."""
    return name if number == 1 else f"{stem} ({number}){name.removeprefix(stem)}"


def touched_folders(steps: Iterable[Step]) -> Iterator[str]:
    """Yield the folders whose time stamps the steps change."""
    for step in steps:
        if step.op in {"folder", "move", "drop", "trash"}:
            yield os.path.dirname(step.path)
        if step.op in {"move", "copy", "link", "tag"}:
            yield os.path.dirname(step.target)


def _content(member: Member, action: Action, target: str) -> tuple[str | None, str | None]:
    """Return the digest, or the text of the symbolic link, that the target will have."""
    if action == "link":
        return None, member.location
    return member.state.sha256, _link_at(target, member.state, {})


def _link_at(target: str, state: State, moved: Mapping[str, str]) -> str | None:
    """Return the text of a symbolic link at a new place: the old one, if it leads to the same file.

    Parameters
    ----------
    target
        The new place.
    state
        What is moved there; None is returned if it is no link.
    moved
        The new places of files that are moved with it.
    """
    if state.link is None or state.leads_to is None:
        return None
    if os.path.isabs(state.link) and state.leads_to not in moved:
        return state.link
    leads_to = moved.get(state.leads_to, state.leads_to)
    led_to = os.path.normpath(os.path.join(os.path.dirname(target), state.link))
    return state.link if led_to == leads_to else leads_to


def _targets(
    unit: Unit,
    action: Action,
    folder: str,
    view: View,
    planned: dict[str, tuple[str | None, str | None]],
) -> list[tuple[str, bool]]:
    """Return each member's target, and whether it has the same content already.

    All members get the same number, so that sidecars keep belonging to their image.
    """
    for number in itertools.count(1):
        targets = []
        for member in unit.members:
            head, name = os.path.split(place_of(member.path))
            real = view.real(os.path.join(folder, head))
            target = os.path.join(real, numbered(name, unit.stem, number))
            content = _content(member, action, target)
            if target in planned:
                state = "same" if planned[target] == content else "taken"
            else:
                state = view.look(target, *content)
            if state == "taken" and target != member.location:
                break
            targets.append((target, state == "same"))
        else:
            return targets
    raise AssertionError  # count() never ends


def _folders(folder: str, made: set[str], view: View) -> list[Step]:
    """Return the steps that create a folder and those above it, where they are missing."""
    if folder in made or view.is_folder(folder):
        return []
    steps = _folders(os.path.dirname(folder), made, view)
    made.add(folder)
    return [*steps, Step(op="folder", path=folder)]
