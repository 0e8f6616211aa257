"""Split a labelled collection into train, validation and test, by hash: no chance involved.

An image's place depends on the last byte of its object ID, so that it keeps it as the collection
grows; then the two evaluation sets are balanced between the labels.
"""

from collections.abc import Iterable, Mapping, Sequence

from nsfwscan.dataset.labels import LABELS, PARTS, Assigned, Label, Part

_TEST_KEYS = range(25)
_VALIDATION_KEYS = range(25, 50)


def key(object_id: str) -> int:
    """Give the number in 0-255 that decides an object's part: the last byte of its hash."""
    return int(object_id.partition(".")[0][-2:], 16)


def split(labels: Sequence[Label], previous: Mapping[str, Part] | None = None) -> list[Assigned]:
    """Assign each row of a label file to a part.

    Keys 0-24 are test, 25-49 validation, the others train. Within test and within validation the
    label with more rows keeps as many as the other has: those that come first; the surplus goes to
    train.

    Parameters
    ----------
    labels
        The rows, in file order.
    previous
        The parts of an earlier split, by object ID. What was in an evaluation set is then kept
        there first, and what was trained on enters one last, so that as few rows change sides as
        the balance allows.

    Returns
    -------
    list of Assigned
        In the order of `labels`.
    """
    parts: list[Part] = [_by_key(key(label.object_id)) for label in labels]
    evaluation: tuple[Part, ...] = ("test", "validation")
    for part in evaluation:
        sides = [
            [i for i, label in enumerate(labels) if parts[i] == part and label.value == value]
            for value in LABELS
        ]
        smaller = min(map(len, sides))
        for side in sides:
            if previous is not None:
                side.sort(key=lambda i: _rank(previous.get(labels[i].object_id), part))
            for i in side[smaller:]:
                parts[i] = "train"
    return [Assigned(label, part) for label, part in zip(labels, parts, strict=True)]


def _rank(before: Part | None, part: Part) -> int:
    """Put what was in a part first, then what is new, and what was in another part last."""
    if before is None:
        return 1
    return 0 if before == part else 2


def _by_key(number: int) -> Part:
    if number in _TEST_KEYS:
        return "test"
    return "validation" if number in _VALIDATION_KEYS else "train"


def count(assigned: Iterable[Assigned]) -> dict[tuple[Part, int], int]:
    """Count the rows by part and label; every pair has its count, be it 0."""
    counts = {(part, value): 0 for part in PARTS for value in LABELS}
    for row in assigned:
        counts[row.part, row.label.value] += 1
    return counts


def moved(assigned: Iterable[Assigned], previous: Mapping[str, Part]) -> int:
    """Count the rows that an earlier split had in another part."""
    return sum(previous.get(row.label.object_id, row.part) != row.part for row in assigned)
