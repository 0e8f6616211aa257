"""The two stages of a run, as the classes whose objects Ray keeps in processes of their own.

The rows between the stages are pieces of blocks. Where a piece ends depends on nothing but its
images, so that a process that repeats the work of one that died makes the same ones.
"""

import pickle
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property, partial
from itertools import chain

import pyarrow as pa

from nsfwscan.cache.score import Score
from nsfwscan.cluster.blocks import NAME, Blocks
from nsfwscan.cluster.folder import folder_at
from nsfwscan.cluster.job import Job
from nsfwscan.decoding.pixels import DecodedImage
from nsfwscan.errors import ImageError, InputError
from nsfwscan.inference.scoring import Scorer
from nsfwscan.pipeline.inflight import Outcome, Result
from nsfwscan.pipeline.reading import Decoded, decode_all
from nsfwscan.pipeline.supervision import Supervisor
from nsfwscan.record import Record
from nsfwscan.reports.parquet import to_batch
from nsfwscan.scanner import plan_of, record_of, scorer_of
from nsfwscan.util.escape import to_json

PIECE_BYTES = 8 << 20
"""Bytes of pixels after which a piece ends: at 224 x 224, those of 55 images."""

PIECE_ENTRIES = 256
"""Most entries of a piece."""


class Decode:
    """Reads and decodes blocks: numbers in, pieces with pixels out.

    A file that crashes the decoder ends the decoder's process, and not the one of this object.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._open = ExitStack()

    def close(self) -> None:
        """End the clock and the open file. Ray ends the whole process instead."""
        self._open.close()

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Decode the blocks of the column ``block``."""
        blocks, supervisor = self._prepared
        for number in table.column("block").to_pylist():
            decoded = decode_all(
                blocks.read(number), supervisor, self._job.preprocess, self._job.options, workers=1
            )
            first = 0
            for piece in cut(decoded):
                yield pa.table(
                    {
                        "block": [number],
                        "first": [first],
                        "count": [len(piece)],
                        "piece": pa.array([pickle.dumps(piece, 5)], pa.large_binary()),
                    }
                )
                first += len(piece)

    @cached_property
    def _prepared(self) -> tuple[Blocks, Supervisor]:
        """What the first call needs. An exception of `__init__` would not reach the command."""
        self._job.enter()
        try:
            stream = self._open.enter_context(folder_at(self._job.out).open(NAME))
            blocks = Blocks(stream, self._job.options.timeout)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"a node of the cluster cannot read {NAME} in {self._job.out} ({error}); all nodes "
                "must have this folder"
            ) from error
        if blocks.entries != self._job.entries:
            raise InputError(
                f"a node of the cluster has another {NAME} in {self._job.out}; all nodes must have "
                "the same folder there"
            )
        supervisor = Supervisor()
        self._open.callback(supervisor.stop)
        threading.Thread(target=supervisor.run_clock, name="clock", daemon=True).start()
        return blocks, supervisor


def cut(decoded: Iterable[Decoded | Result]) -> Generator[list[Decoded | Result]]:
    """Cut what was decoded into pieces of a bounded size."""
    piece: list[Decoded | Result] = []
    size = 0
    for one in decoded:
        piece.append(one)
        size += one.image.pixels.nbytes if isinstance(one, Decoded) else 0
        if size >= PIECE_BYTES or len(piece) == PIECE_ENTRIES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


class Infer:
    """Scores pieces: pixels in, records out. It holds one session of the model."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score the pieces of the column ``piece``, which ``records`` and ``skipped`` replace.

        ``records`` are a batch of records in Arrow's stream format, and ``skipped`` is JSON: the
        numbers of skipped entries by kind.
        """
        pieces = table.column("piece").to_pylist()
        results = [self._results(pickle.loads(piece)) for piece in pieces]  # noqa: S301 - of `Decode`
        records = [pa.array([serialized(of) for of, _ in results], pa.large_binary())]
        skipped = [[to_json(dict(of)) for _, of in results]]
        rest = table.drop_columns(["piece"])
        return rest.append_column("records", records).append_column("skipped", skipped)

    def _results(self, piece: list[Decoded | Result]) -> tuple[list[Record], Counter[str]]:
        score, to_record = self._prepared
        decoded = [one for one in piece if isinstance(one, Decoded)]
        scores = iter(score([one.image for one in decoded]) if decoded else [])
        records, skipped = list[Record](), Counter[str]()
        for one in piece:
            if isinstance(one, Decoded):
                records.append(to_record(_outcome(one, next(scores))))
            elif isinstance(one, Outcome):
                records.append(to_record(one))
            else:
                skipped[one.kind] += 1
        return records, skipped

    @cached_property
    def _prepared(self) -> "tuple[Scorer, partial[Record]]":
        self._job.enter()
        classifier = self._job.load()
        plan = plan_of(classifier, self._job.options)
        threads = plan.threads if self._job.gpu else 1
        scorers = [scorer_of(classifier, plan) for _ in range(threads)]
        to_record = partial(record_of, classifier, self._job.threshold, 0.0, self._job.names)
        if threads == 1:
            return scorers[0], to_record
        return partial(_on_threads, scorers, ThreadPoolExecutor(threads, "score")), to_record


def _on_threads(
    scorers: list[Scorer], pool: ThreadPoolExecutor, images: list[DecodedImage]
) -> list[Score | ImageError]:
    """Score shares of some images at once, so that one batch is uploaded while another runs."""
    share = -(-len(images) // len(scorers))
    shares = [images[start : start + share] for start in range(0, len(images), share)]
    futures = [pool.submit(score, of) for score, of in zip(scorers, shares, strict=False)]
    return list(chain.from_iterable(future.result() for future in futures))


def _outcome(one: Decoded, found: Score | ImageError) -> Outcome:
    score, error = (found, None) if isinstance(found, Score) else (None, found)
    return Outcome(one.location, score, error, one.sha256, one.sha1)


def serialized(records: list[Record]) -> bytes:
    """Return records as one batch in Arrow's stream format."""
    batch = to_batch(records)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
