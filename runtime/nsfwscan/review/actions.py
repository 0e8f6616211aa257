"""Do the steps of a plan. Each can be done again after it was interrupted."""

import base64
import os
from contextlib import suppress
from pathlib import Path

from nsfwscan.review import trash
from nsfwscan.review.steps import NotDoneError, State, Step
from nsfwscan.review.transfer import (
    check_unchanged,
    claim,
    discard,
    holds,
    is_same_entry,
    replicate,
    restore_stamps,
    transfer,
    write_new,
)
from nsfwscan.util.files import take_over

_GONE = "it is no longer there"


def do(step: Step, temporary: str) -> None:
    """Do a step.

    Parameters
    ----------
    step
        The step.
    temporary
        A name beside its target, which an interrupted attempt may have left.

    Raises
    ------
    NotDoneError, OSError
        If it cannot be done. Nothing has changed then.
    """
    if step.op == "folder":
        os.makedirs(step.path, exist_ok=True)
        return
    assert step.state is not None  # noqa: S101 - a folder only has none
    discard(temporary)
    match step.op:
        case "move":
            _move(step, step.state, temporary)
        case "drop":
            _drop(step, step.state)
        case "copy":
            _copy(step, step.state, temporary)
        case "link":
            _link(step, step.state)
        case "trash":
            _trash(step, step.state)
        case "tag":
            _tag(step, step.state, temporary)


def _move(step: Step, state: State, temporary: str) -> None:
    moved = step.moved(state)
    is_there = os.path.lexists(step.path)
    if os.path.lexists(step.target):
        _check_ours(step, moved.sha256, moved.link)  # of an interrupted attempt
        if is_there:
            _remove_source(step, state)
        return
    if not is_there:
        raise NotDoneError(_GONE)
    check_unchanged(step.path, state)
    transfer(step.path, step.target, temporary, moved)


def _drop(step: Step, state: State) -> None:
    if not holds(step.target, state.sha256, step.moved(state).link):
        raise NotDoneError(f"{step.target} no longer has the same content")
    if os.path.lexists(step.path):
        _remove_source(step, state)


def _remove_source(step: Step, state: State) -> None:
    """Remove a file of which the target has the content."""
    check_unchanged(step.path, state)
    if is_same_entry(step.path, step.target):
        raise NotDoneError(f"{step.target} is the same file")
    os.unlink(step.path)


def _copy(step: Step, state: State, temporary: str) -> None:
    if os.path.lexists(step.target):
        _check_ours(step, state.sha256, None)
        return
    check_unchanged(step.path, state)
    replicate(step.path, step.target, temporary, state)


def _link(step: Step, state: State) -> None:
    if os.path.lexists(step.target):
        _check_ours(step, None, step.path)
        return
    check_unchanged(step.path, state)
    os.symlink(step.path, step.target)


def _trash(step: Step, state: State) -> None:
    if os.path.lexists(step.path):
        check_unchanged(step.path, state)
        trash.throw(step.path)
    elif not (trash.RESTORABLE and trash.find(step.path, state)):
        raise NotDoneError(_GONE)


def _tag(step: Step, state: State, temporary: str) -> None:
    from nsfwscan.review import xmp

    check_unchanged(step.path, state)
    before = None if step.before is None else base64.b64decode(step.before)
    after = xmp.extended(before, step.score)
    current = read_sidecar(step.target)
    if current == after:
        return
    if current != before:
        raise NotDoneError("its sidecar has changed meanwhile")
    replace_sidecar(step, after, temporary)


def read_sidecar(path: str) -> bytes | None:
    """Return a sidecar's content; None: there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def replace_sidecar(step: Step, content: bytes, temporary: str, *, old: bool = False) -> None:
    """Give a sidecar new content at once, or create it.

    Parameters
    ----------
    step
        The step that tags an image.
    content
        The content.
    temporary
        A name beside the sidecar.
    old
        Whether the content is the previous one, which has the previous time stamp too.
    """
    write_new(temporary, content, 0o666)
    try:
        if step.previous is None:
            claim(temporary, step.target)
            return
        with suppress(OSError):  # somebody else's file becomes ours
            take_over(Path(temporary), Path(step.target))
        if old:
            restore_stamps(temporary, step.previous)
        os.replace(temporary, step.target)
    except BaseException:
        discard(temporary)
        raise


def _check_ours(step: Step, sha256: str | None, link: str | None) -> None:
    if not holds(step.target, sha256, link):
        raise NotDoneError(f"another file has taken {step.target}")
