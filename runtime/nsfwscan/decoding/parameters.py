"""The parameters of preprocessing. `nsfwscan.decoding.preprocess` implements the steps."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

REVISION = 2
"""Increased whenever the steps give different pixels. Stored features and scores depend on it."""

MAX_SIZE = 4096
"""Largest side in pixels of a `Preprocess`. The inputs of image classifiers are much smaller."""

Interpolation = Literal["box", "bilinear", "hamming", "bicubic", "lanczos", "nearest"]
Fit = Literal["stretch", "shorter-side"]


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """The parameters of the steps, stored in a model's manifest.

    Attributes
    ----------
    size
        Side S in pixels of the model's square input, 1 to `MAX_SIZE`.
    resize
        Side in pixels to resize to, before the centre is cropped to `size`. None: `size`, without
        a crop.
    fit
        ``stretch`` resizes both sides to `resize`. ``shorter-side`` keeps the aspect ratio and
        resizes the shorter side to `resize`.
    interpolation
        Pillow's filter with this name. All but ``nearest`` use every source pixel (antialiasing).
    jpeg_draft_margin
        The JPEG decoder scales down as long as both sides keep at least this many times `resize`,
        1 or more. None: it decodes at full size.
    revision
        The steps that a model was trained on, 1 to `REVISION`. Revision 1 takes all colours for
        sRGB.

    Raises
    ------
    ValueError
        If a number is out of range or a word is unknown.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    size: int
    resize: int | None = None
    fit: Fit = "stretch"
    interpolation: Interpolation = "bilinear"
    jpeg_draft_margin: int | None = 2
    revision: int = REVISION

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.size <= MAX_SIZE:
            raise ValueError(f"size must be 1 to {MAX_SIZE}, got {self.size}")
        if self.interpolation not in get_args(Interpolation) or self.fit not in get_args(Fit):
            raise ValueError(f"unknown interpolation or fit: {self.interpolation}, {self.fit}")
        if self.resize is not None and not self.size <= self.resize <= MAX_SIZE:
            raise ValueError(
                f"resize must be from size ({self.size}) to {MAX_SIZE}, got {self.resize}"
            )
        if self.jpeg_draft_margin is not None and self.jpeg_draft_margin < 1:
            raise ValueError(f"jpeg_draft_margin must be 1 or more, got {self.jpeg_draft_margin}")
        if not 1 <= self.revision <= REVISION:
            raise ValueError(
                f"this version of nsfwscan has the revisions 1 to {REVISION} of preprocessing, got "
                f"{self.revision}; a newer version may have it"
            )

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Preprocess":
        """Read the stored parameters of a run.

        Facts without a revision are of a run before there were revisions, which is revision 1.

        Raises
        ------
        TypeError, ValueError
            If a field is unknown, a required one is missing, or a value is out of range.
        """
        values = {"jpeg_draft_margin" if k == "draft_margin" else k: v for k, v in facts.items()}
        values.setdefault("revision", 1)
        if unknown := sorted(values.keys() - {field.name for field in fields(cls)}):
            raise ValueError(
                f"preprocessing has no field {', '.join(unknown)}; a newer version of nsfwscan may "
                "have it"
            )
        return cls(**values)

    @property
    def target(self) -> int:
        """The side in pixels to resize images to, before the crop."""
        return self.size if self.resize is None else self.resize
