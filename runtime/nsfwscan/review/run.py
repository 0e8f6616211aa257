"""Do and undo whole plans, step by step, each noted in the journal."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from nsfwscan.review import trash
from nsfwscan.review.actions import do
from nsfwscan.review.journal import Journal
from nsfwscan.review.plan import touched_folders
from nsfwscan.review.steps import NotDoneError, Step, why
from nsfwscan.review.transfer import discard
from nsfwscan.review.undo import undo

Say = Callable[[str], None]

_VERBS = {
    "folder": "create", "move": "move", "drop": "remove", "copy": "copy", "link": "link to",
    "trash": "put into the trash", "tag": "tag",
}  # fmt: skip


@dataclass(slots=True)
class Counts:
    """How many files an action or its undoing concerned; folders are not counted."""

    images: int = 0
    sidecars: int = 0
    failed: int = 0

    def add(self, step: Step) -> None:
        """Count a step that is done."""
        self.images += step.is_image
        self.sidecars += not step.is_image and step.op != "folder"


def apply(journal: Journal, say: Say) -> Counts:
    """Do the steps of a journal that are not done yet.

    Parameters
    ----------
    journal
        The open journal.
    say
        Called with a sentence about each step that cannot be done.

    Returns
    -------
    Counts
        Of all steps, those of earlier runs too.

    Raises
    ------
    OutputError
        If the journal cannot be written any more.
    """
    trash.refresh()
    content, counts = journal.content, Counts()
    without = set[int]()
    for number, step in enumerate(content.steps):
        if number in content.done:
            counts.add(step)
            continue
        try:
            _check_image(step, without)
            do(step, content.temporary(number, step.target))
        except (OSError, NotDoneError) as error:
            if step.is_image:
                without.add(step.unit)
            counts.failed += 1
            say(f"cannot {_VERBS[step.op]} {step.path}: {why(error)}")
            if number not in content.failed:
                journal.failed(number)
        else:
            journal.done(number)
            counts.add(step)
    return counts


def revert(journal: Journal, say: Say) -> Counts:
    """Undo the steps of a journal, the last one first, and restore the folders' time stamps.

    A step that is noted as undone is left alone.

    Parameters
    ----------
    journal
        The open journal.
    say
        Called with a sentence about each step that cannot be undone.

    Returns
    -------
    Counts
        Of the files that this run has put back.

    Raises
    ------
    OutputError
        If the journal cannot be written any more.
    """
    trash.refresh()
    content, counts = journal.content, Counts()
    disturbed = set[str]()
    for number in reversed(range(len(content.steps))):
        step = content.steps[number]
        is_done = number in content.done
        if number not in content.undone:
            try:
                discard(content.temporary(number, step.target))
                place = step.target if step.op == "tag" else step.path
                changed = undo(step, content.temporary(number, place), done=is_done)
            except (OSError, NotDoneError) as error:
                if number in content.failed and not is_done:
                    continue  # there is nothing to undo
                counts.failed += 1
                disturbed |= set(touched_folders([step]))
                say(f"cannot undo for {step.path}: {why(error)}")
                continue
            journal.undone(number)
            if changed:
                counts.add(step)
    for folder, mtime_ns in content.header.folders.items():
        if folder not in disturbed:
            with suppress(OSError):  # somebody has deleted it
                os.utime(folder, ns=(os.stat(folder).st_atime_ns, mtime_ns))
    if not counts.failed:
        journal.restored()
    return counts


def _check_image(step: Step, without: set[int]) -> None:
    """Refuse to take a sidecar away from an image that could not be moved."""
    if not step.is_image and step.op != "folder" and step.unit in without:
        raise NotDoneError("its image stays too")
