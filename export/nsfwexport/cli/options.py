"""The options that the commands of ``nsfwexport`` share, and the values that they select."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nsfwscan.inference.modelfile import default_model_path

if TYPE_CHECKING:
    from nsfwexport.comparison import Tolerance
    from nsfwexport.modelfile import Precision


class Device(StrEnum):
    """The devices that a model file is compared on."""

    CPU = "cpu"
    CUDA = "cuda"
    CUDA_TF32 = "cuda-tf32"


class Format(StrEnum):
    """The formats of a report."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


class Parts(StrEnum):
    """The parts of a split."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file made by nsfwexport.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A training run, or a Keras SavedModel.")]


def model_file(text: str) -> Path:
    """Return the file of a model: a path, or ``open_nsfw`` for the default model."""
    return default_model_path() if text == DEFAULT_MODEL and not Path(text).exists() else Path(text)


DEFAULT_MODEL = "open_nsfw"
ANY_MODEL = f"An ONNX file, or {DEFAULT_MODEL}: the default model."
AnyModel = Annotated[Path, typer.Argument(metavar="MODEL", help=ANY_MODEL, parser=model_file)]
ManifestFile = Annotated[
    Path | None,
    typer.Option(
        "--manifest", metavar="FILE", help="Manifest of a model that carries none, or a known name."
    ),
]
Out = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The ONNX file.")]
Variant = Annotated[
    str | None,
    typer.Option(
        "--variant", metavar="NAME", help="Variant of a model that is not a run, such as b0."
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        "--images", metavar="FOLDER", help="Compare on these images; default: generated ones."
    ),
]
Store = Annotated[
    Path | None,
    typer.Option("--store", metavar="STORE", help="Compare on the images of an object store."),
]
Split = Annotated[
    Path | None, typer.Option("--split", metavar="SPLIT", help="CSV: objectId,value,type.")
]
PartOf = Annotated[Parts, typer.Option("--part", help="Part of the split.")]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", metavar="CSV", help="CSV of labelled images: path,label."),
]
Devices = Annotated[
    list[Device] | None,
    typer.Option("--device", help="Device to compare on; repeatable. The default is cpu."),
]
MaxDifference = Annotated[
    float | None,
    typer.Option(
        "--max-difference",
        metavar="P",
        min=0,
        max=1,
        help="Largest difference of a probability; default: 1e-4 (half: 5e-3, INT8: 0.25).",
    ),
]
MaxFlips = Annotated[
    float | None,
    typer.Option(
        "--max-flips",
        metavar="SHARE",
        min=0,
        max=1,
        help="Largest share of decisions that flip; default: 0 (half: 0.001, INT8: 0.01).",
    ),
]
ReportFormat = Annotated[Format, typer.Option("--format", help="Format of the report.")]


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """The options of the commands that compare a model file with the one that it was made from."""

    images: Images = None
    store: Store = None
    split: Split = None
    part: PartOf = Parts.TEST
    device: Devices = None
    max_difference: MaxDifference = None
    max_flips: MaxFlips = None
    format_: ReportFormat = Format.TEXT

    @property
    def devices(self) -> list[Device]:
        """The devices to compare on."""
        return self.device or [Device.CPU]

    def chosen_images(self) -> Sequence[Path] | None:
        """List the images that the options select; None without these options.

        Raises
        ------
        typer.BadParameter
            If the options contradict each other.
        InputError
            If they select no image.
        """
        from nsfwexport import samples

        if (self.store is None) != (self.split is None):
            raise typer.BadParameter("--store and --split go together")
        if self.images is not None and self.store is not None:
            raise typer.BadParameter(
                "choose images with --images, or with --store and --split, not both"
            )
        if self.images is not None:
            return samples.in_folder(self.images)
        if self.store is not None and self.split is not None:
            return samples.in_store(self.store, self.split, self.part.value)
        return None

    def tolerances(self, precision: "Precision" = "single") -> "dict[str, Tolerance] | None":
        """Return the tolerance of each device; None, for the usual ones, without an option.

        An option replaces one value of the usual tolerances.
        """
        from nsfwexport.comparison import Tolerance, usual_tolerances

        difference, flips = self.max_difference, self.max_flips
        if difference is None and flips is None:
            return None
        return {
            device: replace(
                usual if difference is None else Tolerance(difference, usual.flips),
                flips=usual.flips if flips is None else flips,
            )
            for device, usual in usual_tolerances(precision).items()
        }


@dataclass(frozen=True, kw_only=True)
class Calibrating(Comparing):
    """The options of `Comparing` for the command that also calibrates on the images."""

    images: Annotated[
        Path | None,
        typer.Option(
            "--images", metavar="FOLDER", help="Photos of both labels: calibrate and compare."
        ),
    ] = None


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take the fields of its last parameter, a dataclass, as options of its own."""
    *own, group = signature(command).parameters.values()
    options = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(group.annotation)
    ]

    @wraps(command)
    def with_group(**given: Any) -> None:
        chosen = {option.name: given.pop(option.name) for option in options}
        command(**given, **{group.name: group.annotation(**chosen)})

    parameters = [*own, *options]
    with_group.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    with_group.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_group


def labelled_images(
    labels: Path | None, store: Path | None, split: Path | None, part: Parts
) -> tuple[list[tuple[str, int]], str]:
    """List the images and labels of a CSV, or else of a part of a split, and name their origin.

    Raises
    ------
    LabelError
        If a file cannot be read or understood.
    """
    from nsfwexport import calibrate

    if labels is not None:
        return calibrate.read_list(labels), labels.name
    in_store = cast("Path", store), cast("Path", split)
    return calibrate.from_split(*in_store, part.value), f"the {part} part"


def named(*inputs: Path | None) -> list[Path]:
    """List the files that options name."""
    return [path for path in inputs if path is not None]
