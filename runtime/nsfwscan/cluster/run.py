"""A run on a cluster: list once, score block by block, go on after an interruption, check."""

import hashlib
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from nsfwscan import __version__
from nsfwscan.cluster import blocks as listed
from nsfwscan.cluster.folder import Folder, folder_at
from nsfwscan.cluster.job import Job
from nsfwscan.cluster.parts import (
    Collector,
    blocks_in,
    check_complete,
    pieces_of,
    read_parts,
    write_part,
)
from nsfwscan.cluster.stream import Pools, check_gpus, ray_cluster, stream
from nsfwscan.errors import InputError, OutputError
from nsfwscan.inference.session import engine_version
from nsfwscan.record import SCHEMA
from nsfwscan.reports.footer import Footer, Origin
from nsfwscan.reports.progress import Progress
from nsfwscan.reports.summary import Summary
from nsfwscan.sources.entry import Found
from nsfwscan.sources.filetype import Kind
from nsfwscan.util.escape import to_json

SUCCESS = "_SUCCESS.json"
"""The file that a complete run has, and no other."""

_RUN = "run.json"
"""The file that says what a run is. It is written when the list is complete."""

_PASSES = 3
"""How often blocks are scored that were not complete in the end, as after the loss of a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What must be the same for a run to go on.

    Attributes
    ----------
    source
        Where the entries come from, as the user gave it.
    digest
        The SHA-256 of a source that is a table, so that it cannot change in between; else None.
    folder
        The current folder, to which relative paths refer; None if there are none.
    model, manifest
        The SHA-256 of the model, and of its manifest in JSON.
    threshold, classes, options, selection, block
        The settings, by name.
    version, schema
        Those of nsfwscan and of its records.
    """

    source: str
    digest: str | None
    folder: str | None
    model: str
    manifest: str
    threshold: float
    classes: bool
    options: dict[str, Any]
    selection: dict[str, Any]
    block: int
    version: str = __version__
    schema: int = SCHEMA

    def facts(self) -> dict[str, Any]:
        """Return each fact under the words for it in a message, as it is read from JSON."""
        values: dict[str, Any] = json.loads(to_json(asdict(self)))
        chosen = (
            values.pop("options") | values.pop("selection") | {"classes": values.pop("classes")}
        )
        options = {f"choice of --{name.replace('_', '-')}": one for name, one in chosen.items()}
        words = {
            "digest": "content of the source", "block": "--block-size", "folder": "current folder",
            "version": "version of nsfwscan", "schema": "schema of the records",
        }  # fmt: skip
        return {words.get(name, name): one for name, one in values.items()} | options


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run whose list is complete."""

    identity: Identity
    entries: int
    skipped: dict[str, int]
    started: str

    @property
    def key(self) -> str:
        """What marks the parts of this run."""
        return hashlib.sha256(to_json(asdict(self)).encode()).hexdigest()

    @property
    def sizes(self) -> dict[int, int]:
        """The entries of each block."""
        size = self.identity.block
        count = -(-self.entries // size)
        return {block: min(size, self.entries - block * size) for block in range(count)}


def score_source(
    found: Callable[[], Iterable[Found]],
    identity: Identity,
    job: Job,
    *,
    pools: Pools,
    address: str | None,
    resume: bool,
    summary: Summary,
    progress: Progress,
) -> None:
    """Score a source on a cluster.

    Parameters
    ----------
    found
        Lists the source; not called if an earlier run has listed it.
    identity
        What the run is.
    job
        What the actors do; its number of entries is filled in here.
    pools, address
        As in `nsfwscan.cluster.stream`.
    resume
        Whether to go on with what the folder has.
    summary
        Gets the counts of all parts that are there, also if the run ends early.
    progress
        Shows the progress.

    Raises
    ------
    OutputError
        If the folder is not empty, cannot be written, or is not complete at the end.
    InputError
        If the folder has another run, or a damaged part.
    NsfwScanError
        If the work cannot go on.
    """
    started, folder = time.monotonic(), folder_at(job.out)
    names = _checked_names(folder, job.out, resume=resume)
    earlier = _resumed(folder, identity, job.out) if _RUN in names else None
    with ExitStack() as stack:
        if earlier is None:
            _join(stack, address, pools)  # before the list: if it fails, the folder stays empty
        run = earlier or _listed(folder, found, identity, progress)
        summary.skipped.update({Kind(kind): count for kind, count in run.skipped.items()})
        origin = Origin(version=__version__, model=identity.model, threshold=identity.threshold)
        sizes, left, done = run.sizes, run.sizes, 0
        with progress("scanning", run.entries) as advance:
            for block, footer in read_parts(folder, run.key, sizes, sorted(blocks_in(names))):
                _count(summary, footer)
                done += left.pop(block)
            resumed = summary.records
            if left and earlier is not None:
                _join(stack, address, pools)
            job = replace(job, entries=run.entries)
            for block, footer in _scored(folder, run.key, origin, job, left, pools):
                _count(summary, footer)
                done += sizes[block]
                advance(done)
    check_complete(folder, len(sizes))
    if left or SUCCESS not in names:
        seconds = time.monotonic() - started
        _write_json(folder, SUCCESS, _success(run, summary, resumed, seconds))


def _join(stack: ExitStack, address: str | None, pools: Pools) -> None:
    stack.enter_context(ray_cluster(address))
    check_gpus(pools)


def _checked_names(folder: Folder, out: str, *, resume: bool) -> set[str]:
    """Return the names of the files of a folder that a run may use."""
    names = set(folder.names())
    if names and not resume:
        raise OutputError(f"{out} is not empty; go on with --resume, or name another folder")
    if foreign := sorted(names - {listed.NAME}) if _RUN not in names else []:
        raise OutputError(f"{out} has {foreign[0]}, and no run to go on with; name another folder")
    if _RUN in names and listed.NAME not in names:
        raise OutputError(f"{out} has lost {listed.NAME}; name another folder")
    return names


def _resumed(folder: Folder, identity: Identity, out: str) -> _Run:
    """Read what the run of a folder is."""
    try:
        with folder.open(_RUN) as stream:
            values = json.loads(stream.read())
        run = _Run(**values | {"identity": Identity(**values["identity"])})
        run.skipped.update({Kind(kind): int(count) for kind, count in run.skipped.items()})
        if type(run.entries) is not int:
            raise TypeError("not a number of entries")  # noqa: TRY301 - as for other fields
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{out} has no readable {_RUN}; name another folder") from error
    here, there = identity.facts(), run.identity.facts()
    for said in here | there:
        if here.get(said) != there.get(said):
            raise InputError(
                f"{out} was begun with another {said}: {there.get(said)}, not {here.get(said)}; "
                "repeat that command with --resume, or name another folder"
            )
    return run


def _listed(
    folder: Folder, found: Callable[[], Iterable[Found]], identity: Identity, progress: Progress
) -> _Run:
    """List the source, and write what the run is."""
    started, skipped, entries = datetime.now(UTC).isoformat(), Counter[Kind](), 0
    with progress("listing", None) as advance, folder.writing(listed.NAME) as path:
        for count in listed.write_blocks(path, found(), identity.block, skipped):
            entries = count
            advance(count)
    by_kind = {str(kind): count for kind, count in skipped.items()}
    run = _Run(identity=identity, entries=entries, skipped=by_kind, started=started)
    _write_json(folder, _RUN, asdict(run))
    return run


def _scored(
    folder: Folder, run: str, origin: Origin, job: Job, sizes: dict[int, int], pools: Pools
) -> Iterator[tuple[int, Footer]]:
    """Score blocks and write their parts."""
    collector = Collector(sizes)
    for _ in range(_PASSES):
        if not collector.missing:
            return
        with closing(stream(job, collector.missing, pools)) as tables:
            for table in tables:
                for piece in pieces_of(table):
                    if (whole := collector.add(piece)) is not None:
                        yield piece.block, write_part(folder, run, origin, piece.block, whole)
    if collector.missing:
        raise OutputError(
            f"{len(collector.missing):,} blocks are not complete after {_PASSES} passes; go on "
            "with --resume"
        )


def _count(summary: Summary, footer: Footer) -> None:
    summary.safe += footer.safe
    summary.flagged += footer.flagged
    summary.errors += footer.errors
    summary.skipped += footer.skipped


def _success(run: _Run, summary: Summary, resumed: int, seconds: float) -> dict[str, Any]:
    names = ("found", "safe", "flagged", "errors", "skipped")
    return {
        "counts": {name: getattr(summary, name) for name in names},
        "blocks": len(run.sizes),
        **asdict(run.identity),
        "versions": {
            "engine": engine_version(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pillow", "pyarrow", "ray")},
        },
        "started": run.started,
        "finished": datetime.now(UTC).isoformat(),
        "seconds": round(seconds, 3),
        "resumed": resumed,
    }


def _write_json(folder: Folder, name: str, values: dict[str, Any]) -> None:
    with folder.writing(name) as path:
        path.write_text(to_json(values, indent=2) + "\n", encoding="utf-8")
