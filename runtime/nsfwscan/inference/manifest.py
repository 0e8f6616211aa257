"""The manifest of a model, which tells a scanner how to use it.

Our own models embed it as JSON in the ONNX metadata under `METADATA_KEY`. For other models the
same JSON is in a separate file, or in `nsfwscan.inference.known` under the model's SHA-256. The
scanner never guesses.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nsfwscan.dataset.labels import DEFAULT_NAMES
from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.errors import ManifestError
from nsfwscan.inference.cascade import Cascade
from nsfwscan.inference.operating import LEVELS, OperatingPoint
from nsfwscan.util.digest import is_digest
from nsfwscan.util.encoding import not_utf8
from nsfwscan.util.escape import to_json
from nsfwscan.util.inputs import open_input

if TYPE_CHECKING:
    from pydantic import TypeAdapter

METADATA_KEY = "nsfwscan"
SCHEMA = 1
_MAX_BYTES = 1 << 20
NOT_STATED = "not stated"

_FORMER_FIELD = re.compile(rb'(?<!\\)"draft_margin"(?=\s*:)')
"""The field `Preprocess.jpeg_draft_margin` as version 0.1.0 called it."""

OPEN = "fill in: "
"""The beginning of a field in a draft that its graph and its configuration do not tell."""

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}

PerChannel = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """A model's input. The defaults describe our own models, which take unchanged pixels.

    A pixel value v in 0-255 becomes ``(v - mean) * scale``.

    Attributes
    ----------
    name
        Name of the input. None: the only one, whatever its name.
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
        If `mean` or `scale` is not finite, `scale` is 0, or one is given for an integer input.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str | None = "image"
    dtype: Literal["uint8", "float32", "float16"] = "uint8"
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: PerChannel = (0.0, 0.0, 0.0)
    scale: PerChannel = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Check that the fields agree."""
        if not all(map(math.isfinite, self.mean + self.scale)):
            raise ValueError("mean and scale must be finite numbers")
        if 0 in self.scale:
            raise ValueError("scale must not be 0: the model would not see the image")
        if self.dtype == "uint8" and self.normalises:
            raise ValueError("an input of dtype uint8 takes unchanged pixels: omit mean and scale")

    @property
    def normalises(self) -> bool:
        """Whether `mean` or `scale` changes the pixels."""
        return self.mean != (0.0, 0.0, 0.0) or self.scale != (1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """A model's output, and how its columns become one score. The defaults describe our own models.

    Attributes
    ----------
    name
        Name of the output. None: the only one, whatever its name.
    column
        Index of the positive class in the output's last axis, 0 or more, for the reduction
        ``column``.
    activation
        Function to apply: ``none`` if the output holds probabilities, ``sigmoid`` for independent
        logits, ``softmax`` for logits of mutually exclusive classes.
    classes
        The names of all columns, in their order. Empty: they have none.
    counted
        The classes that make up the score, for the reductions other than ``column``.
    reduction
        The score: the probability in one ``column``, or of the counted classes the ``sum``, the
        ``maximum``, or the ``complement``, which is 1 minus their sum.

    Raises
    ------
    ValueError
        If `column` is negative, two classes have one name, or the fields contradict each other.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str | None = "probability"
    column: int = 0
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    classes: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    reduction: Literal["column", "sum", "maximum", "complement"] = "column"

    def __post_init__(self) -> None:
        """Check that the fields agree."""
        if self.column < 0:
            raise ValueError(f"column must be 0 or more, got {self.column}")
        for name in ("classes", "counted"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} names a class twice")
        if self.classes and (complaint := self.contradiction(len(self.classes))):
            raise ValueError(complaint)
        if self.reduction == "column":
            if self.counted:
                raise ValueError("counted needs the reduction sum, maximum or complement")
            return
        if unknown := [name for name in self.counted if name not in self.classes]:
            raise ValueError(f"counted names {unknown[0]!r}, which is not one of the classes")
        if not self.counted:
            raise ValueError(f"the reduction {self.reduction} needs classes, and counted")
        if self.reduction == "maximum":
            return
        if self.activation == "sigmoid" and len(self.counted) > 1:
            raise ValueError(
                f"the {self.reduction} of several classes needs mutually exclusive ones, and the "
                "activation sigmoid is for independent ones: use maximum"
            )
        if len(self.counted) == len(self.classes) > 1:
            raise ValueError("counted names all classes: the score would not depend on the image")

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns that the score is computed from."""
        if self.reduction == "column":
            return (self.column,)
        return tuple(map(self.classes.index, self.counted))

    def contradiction(self, columns: int) -> str | None:
        """Say why this does not describe an output of so many columns, or return None."""
        if self.classes and columns != len(self.classes):
            return f"output.classes names {len(self.classes)} classes: {', '.join(self.classes)}"
        if self.reduction == "column" and self.column >= columns:
            return (
                f"output.column is {self.column}, and the columns are 0 to {columns - 1}"
                if columns > 1
                else f"output.column is {self.column}, and the only column is 0"
            )
        if self.activation == "softmax" and columns == 1:
            return "output.activation is softmax, which makes 1 of a single column: use sigmoid"
        return None


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
    operating_points
        What this and other thresholds find, as measured. No name occurs twice.
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
    training_data
        What is known of the images that the model was trained on.
    limits
        What the model is not made for.
    digest
        The model file's SHA-256, in lower-case hex. If the file contains these 64 digits, as one
        with an embedded manifest does, 64 zeros replace them before the file is hashed. None: the
        file is not compared.
    cascade
        Of a fast model made from another one: when that one scores again. None: never.

    Raises
    ------
    ValueError
        If the threshold is not in [0, 1], the schema is not `SCHEMA`, two operating points have one
        name, the names are in another order than the thresholds, the digest is no SHA-256, or JSON
        cannot represent a value.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    schema: int = SCHEMA
    name: str
    variant: str | None = None
    labels: tuple[str, str] = DEFAULT_NAMES
    threshold: float = 0.5
    threshold_choice: str = NOT_STATED
    operating_points: tuple[OperatingPoint, ...] = ()
    preprocess: Preprocess
    input: InputSpec = field(default_factory=InputSpec)
    output: OutputSpec = field(default_factory=OutputSpec)
    training: dict[str, Any] | None = None
    parity: dict[str, Any] | None = None
    tools: dict[str, str] = field(default_factory=dict)
    licence: str | None = None
    source: str | None = None
    training_data: str | None = None
    limits: str | None = None
    digest: str | None = None
    cascade: Cascade | None = None

    def __post_init__(self) -> None:
        """Check schema, threshold, digest and facts."""
        if self.schema != SCHEMA:
            raise ValueError(
                f"this version of nsfwscan reads schema {SCHEMA}, got {self.schema}; a newer "
                "version may read it"
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {self.threshold}")
        names = [point.name for point in self.operating_points if point.name is not None]
        if len(set(names)) < len(names):
            raise ValueError("two operating points have the same name")
        levels = {point.name: point.threshold for point in self.operating_points}
        known = [levels[name] for name in LEVELS if name in levels]
        if known != sorted(known):
            raise ValueError("the threshold must rise from sensitive to balanced to strict")
        if self.digest is not None and not is_digest("sha256", self.digest):
            raise ValueError("digest must be a SHA-256: 64 digits of lower-case hex")
        self.to_json()  # raises for values that JSON cannot represent, such as NaN

    def threshold_named(self, name: str) -> float:
        """Return the threshold of the operating point with a name.

        Raises
        ------
        ValueError
            If there is none.
        """
        points = {point.name: point for point in self.operating_points if point.name is not None}
        if name not in points:
            names = ", ".join(sorted(points)) or "none"
            raise ValueError(
                f"the model {self.name} has no threshold called {name!r}; give a number from 0 to "
                f"1, or a name: it has {names}"
            )
        return points[name].threshold

    def to_json(self) -> str:
        """Return the manifest as JSON, with all fields in their documented order."""
        return to_json(asdict(self), indent=2)


def open_fields(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a draft that are to be filled in: their names, and with what."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from open_fields(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, str) and value.startswith(OPEN):
        yield name, value.removeprefix(OPEN)


def _check_complete(text: str, where: str) -> None:
    """Raise `ManifestError` if the text is a draft with open fields."""
    try:
        left = [name for name, _ in open_fields(json.loads(text))]
    except (ValueError, RecursionError):
        return  # it is no JSON, and refused as such
    if left:
        raise ManifestError(f"{where}: the draft is not complete: fill in {', '.join(left)}")


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

    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{where} {not_utf8(error)}") from error
    _check_complete(text, where)
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
    with open_input(path, "the manifest", ManifestError) as stream:
        return parse_manifest(stream.read(_MAX_BYTES + 1), str(path))
