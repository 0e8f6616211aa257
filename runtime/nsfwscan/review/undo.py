"""Undo the steps of a journal. Each can be undone again after it was interrupted."""

import base64
import os
from contextlib import suppress

from nsfwscan.review import trash
from nsfwscan.review.actions import read_sidecar, replace_sidecar
from nsfwscan.review.steps import NotDoneError, State, Step
from nsfwscan.review.transfer import (
    discard,
    holds,
    is_same_entry,
    replicate,
    restore_stamps,
    transfer,
)


def undo(step: Step, temporary: str, *, done: bool) -> bool:
    """Undo a step, whether it has happened, has not, or has in part.

    Parameters
    ----------
    step
        The step.
    temporary
        A name beside `path`, or beside the sidecar of ``tag``, which an interrupted attempt may
        have left.
    done
        Whether the step is known to have happened completely.

    Returns
    -------
    bool
        Whether there was something to undo.

    Raises
    ------
    NotDoneError, OSError
        If it cannot be undone: a file is missing, has changed, or its place is taken.
    """
    if step.op == "folder":
        with suppress(OSError):  # it is not empty, or no longer there
            os.rmdir(step.path)
        return True
    assert step.state is not None  # noqa: S101 - a folder only has none
    discard(temporary)
    match step.op:
        case "move":
            return _unmove(step, step.state, temporary)
        case "drop":
            return _undrop(step, step.state, temporary)
        case "copy":
            return _uncopy(step, step.state.sha256, done=done)
        case "link":
            return _remove_ours(step, None, step.path, done=done)
        case "trash":
            return _untrash(step, step.state, temporary)
        case "tag":
            return _untag(step, temporary, done=done)


def _unmove(step: Step, state: State, temporary: str) -> bool:
    if not os.path.lexists(step.path):
        _check_target(step, state)
        os.makedirs(os.path.dirname(step.path), exist_ok=True)
        transfer(step.target, step.path, temporary, state)
        restore_stamps(step.path, state)
        return True
    if not os.path.lexists(step.target):
        return False
    if is_same_entry(step.path, step.target):
        raise NotDoneError(f"its place leads to {step.target} through a link; it stays")
    if not holds(step.path, state.sha256, state.link):
        raise NotDoneError(f"another file has taken its place; {step.target} stays")
    if holds(step.target, state.sha256, step.moved(state).link):  # a move that was interrupted
        os.unlink(step.target)
        return True
    return False


def _undrop(step: Step, state: State, temporary: str) -> bool:
    if os.path.lexists(step.path):
        _check_place(step, state)
        return False
    _check_target(step, state)
    os.makedirs(os.path.dirname(step.path), exist_ok=True)
    info = os.lstat(step.target)
    if (info.st_dev, info.st_ino) == (state.device, state.inode):
        os.link(step.target, step.path)
    else:
        replicate(step.target, step.path, temporary, state)
    return True


def _uncopy(step: Step, sha256: str, *, done: bool) -> bool:
    if holds(step.target, sha256, None):
        original = os.path.realpath(step.path)
        if is_same_entry(original, step.target) or not holds(original, sha256, None):
            raise NotDoneError(f"it is not what it was; {step.target} stays, the only copy")
    return _remove_ours(step, sha256, None, done=done)


def _remove_ours(step: Step, sha256: str | None, link: str | None, *, done: bool) -> bool:
    if not os.path.lexists(step.target):
        return False
    if holds(step.target, sha256, link):
        os.unlink(step.target)
        return True
    if done:
        raise NotDoneError(f"{step.target} has changed meanwhile; it stays")
    return False


def _untrash(step: Step, state: State, temporary: str) -> bool:
    if not trash.RESTORABLE:
        raise NotDoneError("restore it from the trash by hand")
    is_missing = not os.path.lexists(step.path)
    if is_missing:
        found = trash.find(step.path, state)
        if found is None:
            raise NotDoneError("it is not in the trash")
        os.makedirs(os.path.dirname(step.path), exist_ok=True)
        transfer(found, step.path, temporary, state)
        restore_stamps(step.path, state)
    _check_place(step, state)
    trash.forget(step.path)
    return is_missing


def _untag(step: Step, temporary: str, *, done: bool) -> bool:
    from nsfwscan.review import xmp

    before = None if step.before is None else base64.b64decode(step.before)
    current = read_sidecar(step.target)
    if current == before:
        if done and not os.path.lexists(step.path):  # the sidecar has gone with its image
            raise NotDoneError("it is no longer there; undo first what was done to it later")
        return False
    if current != xmp.extended(before, step.score):
        raise NotDoneError(f"its sidecar {step.target} has changed meanwhile; it stays")
    if before is None:
        os.unlink(step.target)
    else:
        replace_sidecar(step, before, temporary, old=True)
    return True


def _check_place(step: Step, state: State) -> None:
    if not holds(step.path, state.sha256, state.link):
        raise NotDoneError("another file has taken its place")


def _check_target(step: Step, state: State) -> None:
    if not os.path.lexists(step.target):
        raise NotDoneError(f"{step.target} is no longer there")
    if not holds(step.target, state.sha256, step.moved(state).link):
        raise NotDoneError(f"{step.target} has changed meanwhile; it stays")
