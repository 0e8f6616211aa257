"""Choose or check the band of a cascade, and write it into the manifest of the fast model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nsfwexport import modelfile
from nsfwexport.errors import ConversionError, ParityError
from nsfwexport.parity import scan_files
from nsfwexport.samples import require_enough
from nsfwscan import Classifier, Manifest
from nsfwscan.decision import is_flagged
from nsfwscan.inference.cascade import Cascade, log_odds
from nsfwscan.inference.companion import differences
from nsfwscan.reports.progress import Progress, no_progress
from nsfwscan.util.files import atomic_path

MARGIN = 2
"""A chosen band is so many times the needed one, for images that were not seen."""

LEAST = 2.5
"""The smallest band that is chosen: in INT8, open_nsfw needed 0.2 on 1,399 photos of pets, and 1.8
on one panorama."""

_STEPS = 10  # a band is rounded up to a multiple of 1 / 10


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Images and their scores in a scan by the fast model and by the original, in one order."""

    paths: tuple[str, ...]
    fast: tuple[float, ...]
    original: tuple[float, ...]

    def differing(self, threshold: float) -> list[int]:
        """Return the indices of the images on which the models decide differently."""
        return [
            i
            for i, scores in enumerate(zip(self.fast, self.original, strict=True))
            if len({is_flagged(score, threshold) for score in scores}) > 1
        ]

    def distance(self, i: int, threshold: float) -> float:
        """Return how far an image's score by the fast model is from a threshold, in log-odds."""
        return abs(log_odds(self.fast[i]) - log_odds(threshold))


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a cascade does at one threshold.

    Attributes
    ----------
    threshold
        Lowest score that is flagged.
    names
        ``default``, and the operating points with this threshold.
    differing
        Indices of the images on which the fast model alone decides differently.
    remaining
        Indices of those that are not scored again.
    again
        Number of images that the original scores again.
    """

    threshold: float
    names: tuple[str, ...]
    differing: tuple[int, ...]
    remaining: tuple[int, ...]
    again: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a band does on some images.

    Attributes
    ----------
    band
        In log-odds.
    chosen
        Whether the band was chosen on these images.
    needed
        The smallest band with which every decision is that of the original; 0 if none differs.
    images
        Number of images.
    effects
        One for each threshold; that of the default threshold is the first.
    left_out
        Images that have no score, with the reason.
    """

    band: float
    chosen: bool
    needed: float
    images: int
    effects: tuple[Effect, ...]
    left_out: Mapping[str, str]


def cascade(
    model: Path,
    fast: Path,
    out: Path,
    images: Sequence[Path],
    *,
    manifest: Path | None = None,
    band: float | None = None,
    progress: Progress = no_progress,
) -> Verdict:
    """Write a fast model's file whose manifest names the original and a band.

    Parameters
    ----------
    model
        The original, also of another project.
    fast
        A file that `nsfwexport.quantization.quantize.quantize` made from it.
    out
        The new file. An existing one stays if anything fails.
    images
        Images such as the models will score.
    manifest
        That of the original, as in `nsfwscan.Classifier.load`.
    band
        The band in log-odds, above 0 and finite. None: chosen on the images.

    Raises
    ------
    ConversionError
        If the models preprocess images differently, or their scores mean different things.
    InputError
        If there are too few images.
    ParityError
        If a decision differs with the band.
    NsfwScanError
        If a file cannot be used or written.
    """
    original = Classifier.load(model, manifest=manifest, device="cpu")
    faster = Classifier.load(fast, device="cpu")
    if faster.sha256 == original.sha256:
        raise ConversionError(
            f"{fast} is the original itself; give the file of nsfwexport quantize"
        )
    graph, embedded = modelfile.read(fast)
    require_same_meaning(original, faster)
    scored, left_out = _score(original, faster, images, progress)
    thresholds = thresholds_of(original.manifest)
    needed = needed_band(scored, list(thresholds))
    joined = Cascade(model=original.sha256, band=chosen_band(needed) if band is None else band)
    verdict = Verdict(
        band=joined.band,
        chosen=band is None,
        needed=needed,
        images=len(scored.paths),
        effects=tuple(effect(scored, joined, *named) for named in thresholds.items()),
        left_out=left_out,
    )
    require(scored, verdict)
    with atomic_path(out) as temporary:
        changed = replace(embedded, cascade=joined)
        temporary.write_bytes(modelfile.embed(graph, changed, proven=embedded.digest is not None))
    return verdict


def _score(
    original: Classifier, fast: Classifier, images: Sequence[Path], progress: Progress
) -> tuple[Scored, dict[str, str]]:
    """Score files as a scan does, one of those with the same bytes; say why others have no score.

    Raises
    ------
    InputError
        If too few have a score.
    """
    paths = list(map(str, images))
    found = []
    for one in (fast, original):
        with progress(f"scanning with {one.manifest.name}", len(paths)) as advance:
            found.append(scan_files(one, paths, advance))
    scores: dict[str | None, tuple[str, float, float]] = {}
    left_out: dict[str, str] = {}
    for path in paths:
        if any(path not in records for records in found):
            continue  # it is no image
        record, other = (records[path] for records in found)
        if record.score is None or other.score is None:
            left_out[path] = str(record.detail or other.detail)
        else:
            scores.setdefault(record.sha256, (path, record.score, other.score))
    require_enough(len(scores), "to choose a band on")
    used, faster, originals = zip(*scores.values(), strict=True)
    return Scored(paths=used, fast=faster, original=originals), left_out


def require_same_meaning(original: Classifier, fast: Classifier) -> None:
    """Raise `ConversionError` unless two models make scores of one meaning of the same pixels."""
    differing = differences(original.manifest, fast.manifest)
    if differing:
        raise ConversionError(
            f"{fast.path} is no fast copy of {original.path}: their manifests differ in "
            f"{' and '.join(differing)}; make it with nsfwexport quantize"
        )


def thresholds_of(manifest: Manifest) -> dict[float, tuple[str, ...]]:
    """Return the thresholds that a user can choose by name, and their names, the default first."""
    found: dict[float, tuple[str, ...]] = {manifest.threshold: ("default",)}
    for point in manifest.operating_points:
        if point.name is not None:
            found[point.threshold] = (*found.get(point.threshold, ()), point.name)
    return found


def needed_band(scored: Scored, thresholds: Sequence[float]) -> float:
    """Return the smallest band with which no decision differs, in log-odds; 0 if none does."""
    return max(
        (scored.distance(i, threshold) for threshold in thresholds
         for i in scored.differing(threshold)),
        default=0.0,
    )  # fmt: skip


def chosen_band(needed: float) -> float:
    """Return a band with a margin for images that were not seen."""
    return max(LEAST, rounded_up(MARGIN * needed))


def rounded_up(band: float) -> float:
    """Round a band up to one decimal."""
    return math.ceil(band * _STEPS) / _STEPS


def effect(scored: Scored, cascade: Cascade, threshold: float, names: tuple[str, ...]) -> Effect:
    """Count what a cascade does at a threshold."""
    low, high = cascade.interval([threshold])
    again = {i for i, score in enumerate(scored.fast) if low <= score <= high}
    differing = scored.differing(threshold)
    return Effect(
        threshold=threshold,
        names=names,
        differing=tuple(differing),
        remaining=tuple(i for i in differing if i not in again),
        again=len(again),
    )


def require(scored: Scored, verdict: Verdict) -> None:
    """Raise `ParityError` if a decision differs with the band."""
    for one in verdict.effects:
        if one.remaining:
            worst = max(one.remaining, key=lambda i: scored.distance(i, one.threshold))
            raise ParityError(
                f"with a band of {verdict.band:g}, {len(one.remaining)} of {verdict.images} "
                f"decisions differ at the threshold {one.threshold}, such as "
                f"{scored.paths[worst]} (fast {scored.fast[worst]:g}, original "
                f"{scored.original[worst]:g}); a band of {rounded_up(verdict.needed):g} is needed, "
                f"and {chosen_band(verdict.needed):g} leaves a margin"
            )
