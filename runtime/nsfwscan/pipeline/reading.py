"""Read and decode one entry with the worker processes of some work."""

from collections.abc import Callable
from contextlib import closing

from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.decoding.pixels import DecodedImage
from nsfwscan.decoding.protocol import Digests
from nsfwscan.errors import ImageError
from nsfwscan.limits import ScanOptions
from nsfwscan.pipeline.inflight import Outcome, Result
from nsfwscan.pipeline.supervision import Supervisor
from nsfwscan.sources.entry import Entry, Problem, Skipped


def read_and_decode(
    entry: Entry,
    supervisor: Supervisor,
    preprocess: Preprocess,
    options: ScanOptions,
    claim: Callable[[Digests | Skipped | Problem], bool],
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
            seen = worker.read(entry, options)
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


def as_result(found: Skipped | Problem) -> Result:
    """Return the result of an entry that is not to be decoded."""
    if isinstance(found, Skipped):
        return found
    return Outcome(found.location, error=ImageError(found.reason, found.detail))
