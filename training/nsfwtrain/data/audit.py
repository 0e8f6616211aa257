"""Look through a store for whatever would spoil a training run."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsfwscan import ImageError, Preprocess, decode
from nsfwscan.dataset.labels import (
    LABEL_HEADER,
    PARTS,
    SPLIT_HEADER,
    is_object_id,
    read_split,
    rows,
)
from nsfwscan.dataset.objects import object_path
from nsfwscan.util.parallel import available_cores, map_ahead
from nsfwtrain.data.store import LABEL_FILE

NEAR = 4
"""Default number of the 64 bits of a perceptual hash in which near-duplicates differ at most."""

_THUMBNAIL = Preprocess(size=9, interpolation="box", jpeg_draft_margin=8)


@dataclass(kw_only=True)
class Audit:
    """What is wrong, each kind with a list.

    Attributes
    ----------
    malformed
        Rows of the label or split file that hold no object ID or too few or many cells.
    wrong_values
        Rows whose value is neither 0 nor 1, or whose type is no part.
    repeated
        Rows whose object ID stood on an earlier row.
    missing
        Object IDs whose file is not in the store.
    renamed
        Objects whose bytes are not those their ID names.
    undecodable
        Objects that are no image that can be decoded, and why.
    straddling
        Pairs of near-duplicates in different parts, with the number of bits that differ.
    """

    malformed: list[str] = field(default_factory=list)
    wrong_values: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    undecodable: list[str] = field(default_factory=list)
    straddling: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether anything is wrong."""
        return any(vars(self).values())


def audit(store: Path, split_file: Path | None = None, *, distance: int = NEAR) -> Audit:
    """Look through a store and, if there is one, a split of it.

    Parameters
    ----------
    store
        The store, with its label file.
    split_file
        The split. Without one, near-duplicates are not looked for: nothing straddles.
    distance
        Most bits of the 64 in which near-duplicates differ, 0 or more.

    Raises
    ------
    LabelError
        If a file is no CSV with the header it must have.
    """
    found = Audit()
    ids = _check_rows(found, store / LABEL_FILE, LABEL_HEADER)
    if split_file is not None:
        ids |= _check_rows(found, split_file, SPLIT_HEADER)
    cores = available_cores()
    hashes: dict[str, int] = {}
    look = partial(_look, store)
    for object_id, result in map_ahead(look, sorted(ids), workers=cores, window=4 * cores):
        if isinstance(result, int):
            hashes[object_id] = result
        else:
            complaints, text = result
            getattr(found, complaints).append(text)
    if split_file is not None and not (found.malformed or found.wrong_values or found.repeated):
        parts = {row.label.object_id: row.part for row in read_split(split_file)}
        named = [(name, parts[name], value) for name, value in hashes.items() if name in parts]
        found.straddling = [
            f"{a} ({parts[a]}) and {b} ({parts[b]}) differ in {bits} of 64 bits"
            for a, b, bits in straddling(named, distance)
        ]
    return found


def _check_rows(found: Audit, path: Path, header: Sequence[str]) -> set[str]:
    ids: set[str] = set()
    seen: set[str] = set()
    for number, cells in rows(path, header):
        where = f"{path}, line {number}: {','.join(cells)}"
        if len(cells) != len(header) or not is_object_id(cells[0]):
            found.malformed.append(where)
            continue
        if cells[1] not in {"0", "1"} or cells[2:] not in ([], *([part] for part in PARTS)):
            found.wrong_values.append(where)
        sha1 = cells[0].partition(".")[0]
        if sha1 in seen:
            found.repeated.append(where)
        seen.add(sha1)
        ids.add(cells[0])
    return ids


def _look(store: Path, object_id: str) -> tuple[str, int | tuple[str, str]]:
    """Give an object's perceptual hash, or the list it belongs on and what to write there."""
    path = object_path(store, object_id)
    try:
        data = path.read_bytes()
    except OSError as error:
        return object_id, ("missing", f"{object_id}: {path}: {error.strerror}")
    if hashlib.sha1(data, usedforsecurity=False).hexdigest() != object_id.partition(".")[0]:
        return object_id, ("renamed", f"{object_id}: its bytes have another hash")
    try:
        return object_id, difference_hash(data)
    except ImageError as error:
        return object_id, ("undecodable", f"{object_id}: {error.detail}")


def difference_hash(data: bytes) -> int:
    """Give a 64-bit perceptual hash: alike for images that look alike.

    The image is brought to 9 x 9 grey pixels; each bit tells whether a pixel of the first eight
    rows is darker than its right neighbour ("dHash", N. Krawetz, 2013, which takes 9 x 8).

    Raises
    ------
    ImageError
        If the image cannot be decoded.
    """
    grey = decode(data, _THUMBNAIL).pixels[0].astype(np.int32).sum(axis=2)
    bits = grey[:8, :-1] < grey[:8, 1:]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def straddling(
    hashes: Iterable[tuple[str, str, int]], distance: int
) -> Iterator[tuple[str, str, int]]:
    """Yield the pairs of near-duplicates that lie in different parts.

    Parameters
    ----------
    hashes
        Name, part and 64-bit hash of each image.
    distance
        Most bits in which the hashes of a pair differ.

    Yields
    ------
    tuple of str, str, int
        The two names, in the order of `hashes`, and the number of bits that differ.
    """
    listed = list(hashes)
    names = [name for name, _, _ in listed]
    parts = np.array([part for _, part, _ in listed])
    values = np.array([value for _, _, value in listed], np.uint64)
    for i in range(len(listed)):
        bits = _count_bits(values[i + 1 :] ^ values[i])
        near = np.flatnonzero((bits <= distance) & (parts[i + 1 :] != parts[i]))
        yield from ((names[i], names[i + 1 + j], int(bits[j])) for j in near)


def _count_bits(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)
    counted: NDArray[np.int64] = _BITS[octets].sum(axis=1)
    return counted


_BITS = np.array([value.bit_count() for value in range(256)], np.int64)
