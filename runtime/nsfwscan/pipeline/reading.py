"""Read and decode entries with the worker processes of some work."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from threading import Semaphore

from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.pixels import DecodedImage
from nsfwscan.decoding.protocol import Digests
from nsfwscan.decoding.worker_pool import keeping
from nsfwscan.errors import ImageError
from nsfwscan.limits import ScanOptions
from nsfwscan.pipeline.fetching import Budget, Share
from nsfwscan.pipeline.inflight import Outcome, Result
from nsfwscan.pipeline.supervision import Supervisor, with_restarts
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped
from nsfwscan.sources.reader import Fetched, fetch
from nsfwscan.sources.remote.entries import RemoteEntry
from nsfwscan.util.parallel import map_ahead

AHEAD = 32
"""Most entries in progress ahead of the next one that is consumed, if there are objects."""


def read_and_decode(
    entry: Entry,
    supervisor: Supervisor,
    preprocess: Preprocess,
    options: ScanOptions,
    claim: Callable[[Digests | Skipped | Problem], bool],
    data: bytearray | None = None,
) -> DecodedImage | None:
    """Read an entry, and decode it if it is wanted.

    Parameters
    ----------
    entry
        What to read.
    supervisor
        Gives the worker, and a second one if the first was refused memory.
    preprocess, options
        The parameters and limits of decoding.
    claim
        Gets what was read, once, and tells whether to decode it. It must not want what is not
        `Digests`.
    data
        The bytes of an object that was fetched; None for another entry.

    Returns
    -------
    DecodedImage or None
        None if it is not wanted.

    Raises
    ------
    ImageError
        If the entry cannot be decoded, or if a process ended during a request.
    EngineError
        If no process starts.
    """
    claimed: Digests | Skipped | Problem | None = None
    failure: ImageError | None = None
    with closing(supervisor.workers(entry.location)) as workers:
        for worker in workers:
            seen = worker.read(entry, options, data)
            if worker.needs_recycling:
                continue
            if claimed is None:
                if not claim(seen):
                    return None
                claimed = seen
            elif seen != claimed:
                break  # the file changed before the retry
            try:
                return worker.decode(preprocess, options)
            except ImageError as error:
                failure = error
    assert failure is not None  # noqa: S101 - a worker that was read from has decoded, or has failed
    raise failure


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image between decoding and scoring.

    Attributes
    ----------
    location
        As in `nsfwscan.sources.entry.Entry`.
    sha256, sha1
        Lower-case hex digests of the bytes.
    image
        The pixels.
    """

    location: str
    sha256: str
    sha1: str
    image: DecodedImage


def decode_all(
    found: Sequence[Found],
    supervisor: Supervisor,
    preprocess: Preprocess,
    options: ScanOptions,
    *,
    workers: int,
) -> Generator[Decoded | Result]:
    """Read and decode entries in worker processes, ahead of what is consumed.

    Parameters
    ----------
    found
        What to read, and what is not to be read.
    supervisor
        Its clock must run.
    preprocess, options
        The parameters and limits of decoding.
    workers
        Processes, 1 or more. Twice as many entries are in progress, or wait to be consumed. With
        objects of a store, it is `AHEAD` entries, whose bytes are within
        `nsfwscan.pipeline.fetching.BYTES`.

    Yields
    ------
    Decoded, Outcome or Skipped
        One for each entry, in order.
    """
    decode = partial(_decode, supervisor=supervisor, preprocess=preprocess, options=options)
    threads, window = workers, 2 * workers + 1
    if any(isinstance(one, RemoteEntry) for one in found):
        decode = partial(_fetch_and_decode, decode, Budget(), Semaphore(workers), options)
        threads = window = AHEAD
    with keeping(workers):
        yield from map_ahead(decode, found, workers=threads, window=window)


def _fetch_and_decode(
    decode: Callable[..., Decoded | Result],
    budget: Budget,
    free: Semaphore,
    options: ScanOptions,
    found: Found,
) -> Decoded | Result:
    """Fetch an object, then decode it when one of the workers is free."""
    with closing(Share(budget)) as share:
        data = None
        if isinstance(found, RemoteEntry):
            got = fetch(found, options.max_filesize, share.take)
            if not isinstance(got, Fetched):
                return as_result(got)
            data = got.data
        with free:
            return decode(found, data)


def _decode(
    found: Found,
    data: bytearray | None = None,
    *,
    supervisor: Supervisor,
    preprocess: Preprocess,
    options: ScanOptions,
) -> Decoded | Result:
    if not isinstance(found, Entry):
        return as_result(found)
    digests: Digests | None = None
    other: Result | None = None

    def claim(seen: Digests | Skipped | Problem) -> bool:
        nonlocal digests, other
        if isinstance(seen, Digests):
            digests = seen
            return True
        other = as_result(seen)
        return False

    decode = partial(read_and_decode, found, supervisor, preprocess, options, claim, data)
    try:
        image = with_restarts(decode)
    except ImageError as error:
        if digests is None:
            return Outcome(found.location, error=error)
        return Outcome(found.location, None, error, digests.sha256, digests.sha1)
    if other is not None:
        return other
    assert digests is not None  # noqa: S101 - it was claimed
    assert image is not None  # noqa: S101 - as above
    return Decoded(found.location, digests.sha256, digests.sha1, image)


def as_result(found: Skipped | Problem) -> Result:
    """Return the result of an entry that is not to be decoded."""
    if isinstance(found, Skipped):
        return found
    return Outcome(found.location, error=ImageError(found.reason, found.detail))
