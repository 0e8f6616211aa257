"""What a scan says about itself: its lines on standard error, and the head of a report."""

from collections.abc import Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING

from nsfwscan.cli.config import OPTIONS_FILE
from nsfwscan.cli.thresholds import origin
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.inference.classifier import Classifier
    from nsfwscan.reports.about import About
    from nsfwscan.scanner import Scan


def about(
    given: SimpleNamespace, classifier: "Classifier", fast: "Classifier | None", run: "Scan"
) -> "About":
    """Collect what a report for readers says about its scan."""
    from datetime import UTC, datetime

    from nsfwscan import __version__
    from nsfwscan.reports.about import About
    from nsfwscan.sources.remote.redaction import recorded

    chosen = {name: getattr(given, name) for name in ("shard", "allow", "baseline")}
    for name in ("files_from", "glob", "no_ignore", "hidden", "follow", "max_depth"):
        value = getattr(given, name)
        if value is not None and value is not False:
            chosen[name] = ", ".join(value) if isinstance(value, list) else value
    if given.review_band is not None:
        chosen["review_band"] = ":".join(map(str, given.review_band))
    if fast is not None:
        chosen["fast"] = f"{fast.manifest.name} {fast.sha256[:12]}"
    return About(
        version=__version__,
        model=classifier.manifest.name,
        sha256=classifier.sha256,
        label=classifier.manifest.labels[1],
        device=classifier.device,
        threshold=run.threshold,
        sources=tuple(map(recorded, given.paths or ())),
        started=datetime.now(UTC),
        settings={
            name: str(value)
            for name, value in (asdict(run.options) | chosen).items()
            if value is not None
        },
        shard=given.shard,
    )


def settings(
    given: SimpleNamespace, classifier: "Classifier", fast: "Classifier | None", run: "Scan"
) -> Iterator[str]:
    """Describe in lines the model, the device and the settings."""
    options_file = given.context.meta.get(OPTIONS_FILE)
    if options_file is not None:
        yield f"options from {printable(str(options_file))}"
    options = run.options
    if classifier.device_note is not None:
        yield printable(classifier.device_note)
    name = printable(classifier.manifest.name)
    flagged_as = printable(classifier.manifest.labels[1])
    why = printable(origin(classifier.manifest, given.threshold, given.review_band))
    on = f"{name} on {classifier.device}"
    if fast is not None:
        on += f", first {printable(fast.manifest.name)}"
    elif given.fast or given.companion is not None:
        yield f"--fast is for the CPU; on {classifier.device}, {name} scores alone"
    yield f"{on}, flagging as {flagged_as} from score {run.threshold} on ({why})"
    if given.shard is not None:
        yield f"shard {given.shard}: what is in others is neither read nor counted"
    if given.verbose:
        from nsfwscan.util.parallel import available_cores

        yield (
            f"decoding in {_counted(options.workers, 'process', 'es')}, "
            f"scoring up to {_counted(options.batch_size, 'frame')} at a time "
            f"on {_counted(options.threads, 'thread')}; "
            f"{_counted(available_cores(), 'core')} available"
        )
        more = {"model": classifier.path, "threshold": run.threshold, **asdict(options)}
        more["fast"] = None if fast is None else fast.path
        more |= {name: getattr(given, name) for name in ("allow", "baseline")}
        yield from (
            f"{key.replace('_', ' ')}: {printable(str(value))}" for key, value in more.items()
        )


def _counted(count: object, noun: str, ending: str = "s") -> str:
    return f"{count} {noun}" + ("" if count == 1 else ending)
