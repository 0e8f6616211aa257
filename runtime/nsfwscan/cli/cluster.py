"""The command ``nsfwscan cluster``: a scan by many machines, with Ray."""

import hashlib
import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli import termination
from nsfwscan.cli.framework import errors_as_exit_codes, option, show_progress
from nsfwscan.cli.streams import silent_libraries
from nsfwscan.limits import BLOCK, ScanOptions
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.cluster.job import Job
    from nsfwscan.cluster.run import Identity
    from nsfwscan.inference.classifier import Classifier
    from nsfwscan.sources.entry import Found

_DEFAULTS = ScanOptions()
_CLUSTER = "Cluster"


def cluster(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, a URL, or a table of paths or URLs: .parquet, .csv or .jsonl.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "-o",
            "--out",
            metavar="FOLDER",
            help="The result: an empty folder that all nodes have, or s3://BUCKET/PREFIX.",
        ),
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run of that folder.")
    ] = False,
    address: Annotated[
        str | None,
        option(
            "--address ADDRESS",
            _CLUSTER,
            "Join the Ray cluster there, or auto; the default runs on this machine alone.",
        ),
    ] = None,
    decoders: Annotated[
        int | None,
        option(
            "--decoders N",
            _CLUSTER,
            "Most actors that read and decode; the default is one per core.",
            min=1,
        ),
    ] = None,
    scorers: Annotated[
        int | None,
        option(
            "--scorers N",
            _CLUSTER,
            "Most actors that score; the default is one per core, or what the GPUs have room for.",
            min=1,
        ),
    ] = None,
    gpus: Annotated[
        float,
        option(
            "--gpus FRACTION",
            _CLUSTER,
            "GPUs of each actor that scores, such as 0.25; 0 scores on the CPU.",
            min=0,
        ),
    ] = 0.0,
    block_size: Annotated[
        int,
        option(
            "--block-size N",
            _CLUSTER,
            "Files of a part of the result, which is also what is repeated after a failure.",
            min=1,
            max=1 << 16,
        ),
    ] = BLOCK,
    glob: o.Glob = None,
    no_ignore: o.NoIgnore = False,
    hidden: o.Hidden = False,
    follow: o.Follow = False,
    max_depth: o.MaxDepth = None,
    max_pixels: o.MaxPixels = _DEFAULTS.max_pixels,
    max_filesize: o.MaxFilesize = _DEFAULTS.max_filesize,
    timeout: o.Timeout = _DEFAULTS.timeout,
    max_memory: o.MaxMemory = _DEFAULTS.max_memory,
    threshold: o.Threshold = None,
    model: o.Model = None,
    manifest: o.Manifest = None,
    frames: o.Frames = _DEFAULTS.frames,
    views: o.Views = _DEFAULTS.views,
    exact: o.Exact = False,
    batch_size: o.BatchSize = None,
    classes: o.Classes = False,
    exit_zero: o.ExitZero = False,
    quiet: o.Quiet = False,
    no_progress: o.NoProgress = False,
) -> None:
    """Scan on a Ray cluster: records in Parquet, block by block.

    The files are listed once. Actors on the CPUs decode, and others score. A run that was
    interrupted goes on with --resume. When it is complete, the folder has _SUCCESS.json.
    """
    given = SimpleNamespace(**locals())
    if not out:
        raise typer.BadParameter("--out is empty; name a folder, or s3://BUCKET/PREFIX")
    if not math.isfinite(gpus):
        raise typer.BadParameter(f"--gpus must be a number, got {gpus}")
    with errors_as_exit_codes(extra="ray"), ExitStack() as stack:
        stack.enter_context(silent_libraries())
        from nsfwscan.cluster.run import score_source
        from nsfwscan.cluster.stream import Pools, load_ray
        from nsfwscan.reports.progress import no_progress as silent
        from nsfwscan.reports.summary import Summary

        load_ray(address)  # before the work, because it may be missing
        classifier = _classifier(given)
        identity, job = _described(given, classifier)
        if not quiet:
            typer.echo(f"nsfwscan: {_setting(given, classifier, job)}", err=True)
        summary, started = Summary(), time.monotonic()
        try:
            with termination.unwrapped():
                score_source(
                    lambda: _found(given),
                    identity,
                    job,
                    pools=Pools(decoders=decoders, scorers=scorers, gpus=gpus),
                    address=address,
                    resume=resume,
                    summary=summary,
                    progress=silent if quiet or no_progress else show_progress("nsfwscan"),
                )
        except KeyboardInterrupt:
            summary.interrupted = True
        if not quiet:
            prefix = "Interrupted: " if summary.interrupted else ""
            took = f"{time.monotonic() - started:.1f} s"
            typer.echo(f"{prefix}{summary.counts()}; {took}", err=True)
        if summary.interrupted:
            typer.echo(f"nsfwscan: go on with --resume; {printable(out)} has the rest", err=True)
    raise typer.Exit(summary.exit_code(exit_zero=exit_zero))


def _classifier(given: SimpleNamespace) -> "Classifier":
    """Load the model here, to find out before the work whether it can be."""
    from nsfwscan.inference.classifier import Classifier

    return Classifier.load(given.model, manifest=given.manifest, device="cpu")


def _described(given: SimpleNamespace, classifier: "Classifier") -> "tuple[Identity, Job]":
    """Collect what the run is, and what its actors do."""
    from nsfwscan.cli.thresholds import resolved
    from nsfwscan.cluster.job import Job
    from nsfwscan.cluster.run import Identity
    from nsfwscan.scanner import names_of, preprocess_of
    from nsfwscan.sources.tables import is_table
    from nsfwscan.util.digest import file_sha256

    described, source = classifier.manifest, Path(given.source)
    threshold, _ = resolved(described, given.threshold, None)
    names = ("frames", "views", "exact", "max_pixels", "max_filesize", "timeout", "max_memory")
    chosen = {name: getattr(given, name) for name in names}
    options = ScanOptions(**chosen, batch_size=given.batch_size)
    identity = Identity(
        source=given.source,
        digest=file_sha256(source) if is_table(source) and source.is_file() else None,
        folder=None if _is_absolute(given.source) else os.getcwd(),
        model=classifier.sha256,
        manifest=hashlib.sha256(described.to_json().encode()).hexdigest(),
        threshold=threshold,
        classes=given.classes,
        options=chosen,
        selection={
            name: getattr(given, name)
            for name in ("glob", "no_ignore", "hidden", "follow", "max_depth")
        },
        block=given.block_size,
    )
    job = Job(
        folder=os.getcwd(),
        out=given.out,
        entries=0,
        model=None if given.model is None else os.path.abspath(given.model),
        sha256=classifier.sha256,
        manifest=described,
        preprocess=preprocess_of(described, options),
        options=options,
        threshold=threshold,
        names=names_of(described, classes=given.classes),
        gpu=given.gpus > 0,
    )
    return identity, job


def _is_absolute(source: str) -> bool:
    """Tell whether no path of a source depends on the current folder. A table may have some."""
    from nsfwscan.sources.remote.url import is_url
    from nsfwscan.sources.tables import is_table

    return is_url(source) or (os.path.isabs(source) and not is_table(Path(source)))


def _found(given: SimpleNamespace) -> "Iterator[Found]":
    """List the source: what a table names, or what a folder has."""
    from nsfwscan.cli.preparation import selection_of
    from nsfwscan.sources.remote.url import is_url
    from nsfwscan.sources.tables import is_table, read_table
    from nsfwscan.sources.walk import discover
    from nsfwscan.util.inputs import open_input

    path, selection = Path(given.source), selection_of(given)
    if is_url(given.source) or not is_table(path):
        yield from discover([given.source], selection, given.timeout)
        return
    with open_input(path, "the list") as stream:
        yield from discover(read_table(stream, path), selection, given.timeout)


def _setting(given: SimpleNamespace, classifier: "Classifier", job: "Job") -> str:
    """Describe the model and where it runs."""
    from nsfwscan.cli.thresholds import origin

    described = classifier.manifest
    where = "the Ray cluster" if given.address is not None else "this machine, with Ray"
    why = origin(described, given.threshold, None)
    return printable(
        f"{described.name} on {where}, flagging as {described.labels[1]} from score "
        f"{job.threshold} on ({why})"
    )
