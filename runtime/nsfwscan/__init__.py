"""Find indecent images in folders, on your own machine.

>>> from nsfwscan import Classifier, scan
>>> for record in scan("photos", Classifier.load()):  # doctest: +SKIP
...     print(record.path, record.status, record.score)

The package loads each name on first use, so that importing it costs nothing. It logs to the logger
``nsfwscan`` and prints nothing.
"""

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsfwscan.cache.store import Cache
    from nsfwscan.decoding.parameters import Preprocess
    from nsfwscan.decoding.pixels import DecodedImage
    from nsfwscan.decoding.preprocess import decode
    from nsfwscan.errors import (
        CacheError,
        ConfigError,
        DeviceError,
        EngineError,
        ImageError,
        InputError,
        ManifestError,
        ModelError,
        NsfwScanError,
        OutputError,
        Reason,
    )
    from nsfwscan.inference.classifier import Classifier
    from nsfwscan.inference.manifest import InputSpec, Manifest, OutputSpec
    from nsfwscan.limits import ScanOptions
    from nsfwscan.record import Record
    from nsfwscan.scanner import Scan, scan
    from nsfwscan.sources.entry import Entry
    from nsfwscan.sources.selection import Selection
    from nsfwscan.sources.shard import Shard

    Picture, PictureError = DecodedImage, ImageError

__version__ = "0.1.0"

_HOMES = {
    "cache.store": ("Cache",),
    "inference.classifier": ("Classifier",),
    "errors": (
        "CacheError",
        "ConfigError",
        "DeviceError",
        "EngineError",
        "InputError",
        "ManifestError",
        "ModelError",
        "NsfwScanError",
        "OutputError",
        "ImageError",
        "Reason",
    ),
    "inference.manifest": ("InputSpec", "Manifest", "OutputSpec"),
    "decoding.parameters": ("Preprocess",),
    "decoding.pixels": ("DecodedImage",),
    "decoding.preprocess": ("decode",),
    "limits": ("ScanOptions",),
    "record": ("Record",),
    "scanner": ("Scan", "scan"),
    "sources.entry": ("Entry",),
    "sources.selection": ("Selection",),
    "sources.shard": ("Shard",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_FORMER = {"Picture": "DecodedImage", "PictureError": "ImageError"}

logging.getLogger(__name__).addHandler(logging.NullHandler())

# ONNX Runtime 1.29 and newer sends telemetry and stores a machine ID in the user's cache folder,
# unless this variable is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = [
    "Cache",
    "CacheError",
    "Classifier",
    "ConfigError",
    "DecodedImage",
    "DeviceError",
    "EngineError",
    "Entry",
    "ImageError",
    "InputError",
    "InputSpec",
    "Manifest",
    "ManifestError",
    "ModelError",
    "NsfwScanError",
    "OutputError",
    "OutputSpec",
    "Picture",
    "PictureError",
    "Preprocess",
    "Reason",
    "Record",
    "Scan",
    "ScanOptions",
    "Selection",
    "Shard",
    "__version__",
    "decode",
    "scan",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it. Former names still work."""
    name = _FORMER.get(name, name)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return __all__
