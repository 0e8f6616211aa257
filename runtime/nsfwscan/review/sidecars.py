"""Which files belong to an image: its sidecars, by their names in its folder.

=============  ==========================================  ===================================
Name           Content                                     Belongs to
=============  ==========================================  ===================================
IMG.jpg.xmp    metadata                                    IMG.jpg
IMG.xmp        metadata                                    each image whose name without the
IMG.aae        edits on an iPhone                          extension is IMG
IMG.mov        the moving part of a Live Photo
=============  ==========================================  ===================================

The extension of a sidecar may be in upper case.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nsfwscan.sources.filetype import Kind, extension_of, kind_by_name, promised_format

_XMP = ".xmp"
_SHARED = frozenset({_XMP, ".aae", ".mov"})

ByStem = Mapping[str, Collection[str]]


def by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """Group the names of a folder by what precedes their extension."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(os.path.splitext(name)[0], []).append(name)
    return found


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The sidecars of some images that have the same name without the extension.

    Attributes
    ----------
    own
        Names of those that belong to these images only.
    shared
        Names of those that another image needs too, with the name of that image.
    """

    own: tuple[str, ...]
    shared: tuple[tuple[str, str], ...]


def sidecars_of(images: Collection[str], stem: str, listing: ByStem) -> Sidecars:
    """Return the sidecars of images of one folder.

    Parameters
    ----------
    images
        Names that are `stem` and an extension.
    stem
        What precedes the extension.
    listing
        All names of the folder.
    """
    own = [name for image in images for name in listing.get(image, ()) if _is(name, {_XMP})]
    common = [
        name
        for name in listing.get(stem, ())
        if _is(name, _SHARED) and name not in images and name not in own
    ]
    others = _others(images, stem, listing)
    if not others:
        return Sidecars((*own, *common), ())
    return Sidecars(tuple(own), tuple((name, others[0]) for name in common))


def xmp_name(image: str, listing: ByStem) -> str:
    """Return the name of the XMP sidecar to write: an existing one of this image, or a new one."""
    stem = os.path.splitext(image)[0]
    candidates = [name for name in listing.get(image, ()) if _is(name, {_XMP})]
    if not _others({image}, stem, listing):
        candidates += [name for name in listing.get(stem, ()) if _is(name, {_XMP})]
    return candidates[0] if candidates else image + _XMP


def _is(name: str, extensions: Collection[str]) -> bool:
    return extension_of(name) in extensions


def _others(images: Collection[str], stem: str, listing: ByStem) -> list[str]:
    return [
        name
        for name in listing.get(stem, ())
        if name not in images
        and (promised_format(name) is not None or kind_by_name(name) is Kind.CAMERA_RAW)
    ]
