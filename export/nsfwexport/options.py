"""The options that the commands of ``nsfwexport`` share, and the values that they select."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nsfwexport.comparison import Tolerance


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
        help="Largest difference of a probability; default: 1e-4 (TF32, half precision: 5e-3).",
    ),
]
MaxFlips = Annotated[
    float | None,
    typer.Option(
        "--max-flips",
        metavar="SHARE",
        min=0,
        max=1,
        help="Largest share of decisions that flip; default: 0 (TF32, half precision: 0.001).",
    ),
]
ReportFormat = Annotated[Format, typer.Option("--format", help="Format of the report.")]


def chosen_images(
    images: Path | None, store: Path | None, split: Path | None, part: Parts
) -> Sequence[Path] | None:
    """List the images that the options select; None without these options.

    Raises
    ------
    typer.BadParameter
        If the options contradict each other.
    InputError
        If they select no image.
    """
    from nsfwexport import samples

    if (store is None) != (split is None):
        raise typer.BadParameter("--store and --split go together")
    if images is not None and store is not None:
        raise typer.BadParameter(
            "choose images with --images, or with --store and --split, not both"
        )
    if images is not None:
        return samples.in_folder(images)
    if store is not None and split is not None:
        return samples.in_store(store, split, part.value)
    return None


def chosen_tolerances(
    difference: float | None, flips: float | None, *, half: bool = False
) -> "dict[str, Tolerance] | None":
    """Return the tolerance of each device; None, for the usual ones, without an option.

    An option replaces one value of the usual tolerances.
    """
    from nsfwexport.comparison import HALF_TOLERANCES, TOLERANCES, Tolerance

    if difference is None and flips is None:
        return None
    return {
        device: Tolerance(
            usual.difference if difference is None else difference,
            usual.flips if flips is None else flips,
        )
        for device, usual in (HALF_TOLERANCES if half else TOLERANCES).items()
    }
