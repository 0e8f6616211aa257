"""The parts of a run's result: one report in Parquet for each block."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import parquet

from nsfwscan.cluster.folder import Folder
from nsfwscan.errors import InputError, OutputError
from nsfwscan.reports.footer import KEY, Footer, Origin, parse_footer
from nsfwscan.reports.parquet import COLUMNS
from nsfwscan.sources.filetype import Kind
from nsfwscan.util.parquetfile import parquet_writer

PLACE = "records"
"""The folder of the parts, in that of the run."""

_BLOCK_KEY = "nsfwscan.block"
"""The key in the metadata of a part that says of which block and run it is."""

_NAME = re.compile(rf"{PLACE}/(\d{{8,}})\.parquet", re.ASCII)

_READERS = 16
"""Parts of which the footers are read at once."""


def name_of(block: int) -> str:
    """Return the name of the part of a block, in the folder of the run."""
    return f"{PLACE}/{block:08}.parquet"


def blocks_in(names: Iterable[str]) -> Iterator[int]:
    """Yield the blocks of which there are parts, by the names of all files of a run."""
    for name in names:
        if (match := _NAME.fullmatch(name)) and name_of(int(match[1])) == name:
            yield int(match[1])


@dataclass(frozen=True, slots=True)
class Piece:
    """The results of some consecutive entries of a block.

    Attributes
    ----------
    block
        The block's number.
    first
        The place of the first entry in the block, from 0.
    count
        How many entries.
    records
        Those of them that are not skipped.
    skipped
        How many are, by kind.
    """

    block: int
    first: int
    count: int
    records: pa.RecordBatch
    skipped: Counter[Kind]


def pieces_of(table: pa.Table) -> Iterator[Piece]:
    """Read the pieces that `nsfwscan.cluster.actors.Infer` gives."""
    for row in table.to_pylist():
        with pa.ipc.open_stream(row.pop("records")) as stream:
            (batch,) = stream
        skipped = {Kind(kind): count for kind, count in json.loads(row.pop("skipped")).items()}
        yield Piece(**row, records=batch, skipped=Counter(skipped))


class Collector:
    """Puts pieces together, in whatever order they come, until a block is complete.

    Parameters
    ----------
    sizes
        Entries of each block that is awaited.
    """

    def __init__(self, sizes: dict[int, int]) -> None:
        self._sizes = dict(sizes)
        self._pieces: dict[int, dict[int, Piece]] = {}

    @property
    def missing(self) -> list[int]:
        """The blocks that are not complete, in order."""
        return sorted(self._sizes)

    def add(self, piece: Piece) -> list[Piece] | None:
        """Keep a piece; return all of its block, in order, once they cover it.

        A piece that comes twice, because a process has repeated it, counts once.
        """
        if piece.block not in self._sizes:
            return None
        kept = self._pieces.setdefault(piece.block, {})
        kept[piece.first] = piece
        whole, reached = list[Piece](), 0
        while reached in kept:
            whole.append(kept[reached])
            reached += kept[reached].count
        if reached != self._sizes[piece.block]:
            return None
        del self._sizes[piece.block], self._pieces[piece.block]
        return whole


def write_part(
    folder: Folder, run: str, origin: Origin, block: int, pieces: Iterable[Piece]
) -> Footer:
    """Write the part of a block, completely or not at all, in place of one that is there.

    Returns
    -------
    Footer
        Its counts.
    """
    statuses, skipped = Counter[str](), Counter[Kind]()
    with (
        folder.writing(name_of(block)) as path,
        path.open("wb") as out,
        parquet_writer(out, COLUMNS) as writer,
    ):
        batches = []
        for piece in pieces:
            statuses.update(piece.records.column("status").to_pylist())
            skipped += piece.skipped
            batches.append(piece.records)
        footer = Footer(
            origin=origin,
            shard=None,
            safe=statuses["safe"],
            flagged=statuses["flagged"],
            errors=statuses["error"],
            known=0,
            skipped=skipped,
            interrupted=False,
        )
        writer.write_table(pa.Table.from_batches(batches, COLUMNS))
        own = json.dumps({"block": block, "run": run})
        writer.add_key_value_metadata({KEY: footer.to_json(), _BLOCK_KEY: own})
    return footer


def read_parts(
    folder: Folder, run: str, sizes: dict[int, int], blocks: Iterable[int]
) -> Iterator[tuple[int, Footer]]:
    """Read the footers of the parts that a run has left.

    Parameters
    ----------
    folder
        That of the run.
    run
        Its identity.
    sizes
        Entries of each block.
    blocks
        Of which there are parts.

    Raises
    ------
    InputError
        If a part is damaged, or not of this run. The message names it.
    """

    def read(block: int) -> tuple[int, Footer]:
        return block, _read_part(folder, run, sizes.get(block), block)

    with ThreadPoolExecutor(_READERS, "footers") as pool:
        yield from pool.map(read, blocks)


def _read_part(folder: Folder, run: str, size: int | None, block: int) -> Footer:
    name = name_of(block)
    try:
        with folder.open(name) as stream:
            metadata = parquet.read_metadata(stream)
        own = metadata.metadata or {}
        footer = parse_footer(own[KEY.encode()])
        of = json.loads(own[_BLOCK_KEY.encode()])
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError, InputError) as error:
        raise InputError(f"{name} is no complete part of a run; delete it") from error
    records = footer.safe + footer.flagged + footer.errors
    if of != {"block": block, "run": run} or footer.found != size or metadata.num_rows != records:
        raise InputError(f"{name} is not a part of this run; delete it, or name another folder")
    return footer


def check_complete(folder: Folder, count: int) -> None:
    """Check that each block has its part, once.

    Raises
    ------
    OutputError
        If one is missing, or there are others.
    """
    blocks = Counter(blocks_in(folder.names()))
    if missing := [block for block in range(count) if blocks[block] != 1]:
        raise OutputError(f"{name_of(missing[0])} has vanished; go on with --resume")
    if others := [block for block in blocks if block >= count]:
        raise OutputError(f"{name_of(others[0])} is not a part of this run; delete it")
