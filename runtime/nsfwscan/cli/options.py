"""The options of ``nsfwscan scan``, in the order and under the headings of its help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nsfwscan.cli.framework import option
from nsfwscan.limits import LEAST_MEMORY, LEAST_TIMEOUT

_INPUT, _SCORING, _CACHE, _OUTPUT = "Input", "Scoring", "Cache", "Output"


class Format(StrEnum):
    """Report formats."""

    TEXT = "text"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH", show_default=False, help="Files and folders, searched recursively."
    ),
]
FilesFrom = Annotated[
    str | None,
    option(
        "--files-from",
        panel=_INPUT,
        metavar="FILE",
        help="Also scan the paths listed in FILE, one a line; - is standard input.",
    ),
]
Null = Annotated[
    bool, option("--null", panel=_INPUT, help="In that list, NUL bytes end the paths.")
]
Glob = Annotated[
    list[str] | None,
    option(
        "-g",
        "--glob",
        panel=_INPUT,
        metavar="GLOB",
        show_default=False,
        help="Only files that match, or, as !GLOB, all but those; the last match decides.",
    ),
]
NoIgnore = Annotated[
    bool, option("--no-ignore", panel=_INPUT, help="Disregard .nsfwscanignore files.")
]
Hidden = Annotated[
    bool, option("--hidden", panel=_INPUT, help="Also files and folders named .something.")
]
MaxDepth = Annotated[
    int | None,
    option(
        "--max-depth",
        panel=_INPUT,
        metavar="N",
        min=1,
        help="Enter N levels of folders; 1 is the named folder alone.",
    ),
]
MaxPixels = Annotated[
    int,
    option(
        "--max-pixels",
        panel=_INPUT,
        metavar="N",
        min=1,
        help="An image of more pixels is an error.",
    ),
]
MaxFilesize = Annotated[
    int,
    option(
        "--max-filesize",
        panel=_INPUT,
        metavar="BYTES",
        min=1,
        help="An image file of more bytes is an error.",
    ),
]
Timeout = Annotated[
    float,
    option(
        "--timeout",
        panel=_INPUT,
        metavar="SECONDS",
        min=LEAST_TIMEOUT,
        help="A file that takes longer to read and decode is an error.",
    ),
]
MaxMemory = Annotated[
    int,
    option(
        "--max-memory",
        panel=_INPUT,
        metavar="BYTES",
        min=LEAST_MEMORY,
        help="An image that takes a decoding process more memory is an error.",
    ),
]
Threshold = Annotated[
    float | None,
    option(
        "-t",
        "--threshold",
        panel=_SCORING,
        metavar="SCORE",
        min=0.0,
        max=1.0,
        help="Flag images from this score on; the default is the model's own.",
    ),
]
Model = Annotated[
    Path | None,
    option(
        "-m",
        "--model",
        panel=_SCORING,
        metavar="FILE",
        help="An ONNX model; the default is open_nsfw.",
    ),
]
Manifest = Annotated[
    Path | None,
    option(
        "--manifest",
        panel=_SCORING,
        metavar="FILE",
        help="The JSON description of a model that carries none.",
    ),
]
Device = Annotated[
    str,
    option("-d", "--device", panel=_SCORING, metavar="DEVICE", help="auto, cpu, cuda or cuda:N."),
]
Frames = Annotated[
    int,
    option(
        "--frames",
        panel=_SCORING,
        metavar="N",
        min=1,
        help="Score up to N frames of an animation; the highest score counts.",
    ),
]
Exact = Annotated[
    bool,
    option(
        "--exact",
        panel=_SCORING,
        help="Decode JPEG files in full: slower, and scores change little.",
    ),
]
BatchSize = Annotated[
    int | None,
    option(
        "--batch-size",
        panel=_SCORING,
        metavar="N",
        min=1,
        help="Images scored at a time; the default depends on the device.",
    ),
]
Workers = Annotated[
    int | None,
    option(
        "--workers",
        panel=_SCORING,
        metavar="N",
        min=1,
        help="Processes that read and decode; the default is one a core.",
    ),
]
Threads = Annotated[
    int | None,
    option(
        "--threads",
        panel=_SCORING,
        metavar="N",
        min=1,
        help="Threads that score on the CPU; the default is one a core.",
    ),
]
CacheFile = Annotated[
    Path | None,
    option(
        "--cache",
        panel=_CACHE,
        metavar="FILE",
        show_default=False,
        help="Keep scores there; the default is a file in the user's cache folder.",
    ),
]
NoCache = Annotated[
    bool, option("--no-cache", panel=_CACHE, help="Neither use nor keep earlier scores.")
]
Rehash = Annotated[
    bool,
    option("--rehash", panel=_CACHE, help="Read every file, even one that looks unchanged."),
]
ReportFormat = Annotated[
    Format,
    option(
        "-f",
        "--format",
        panel=_OUTPUT,
        metavar="FORMAT",
        help="Print the results as text, jsonl, json or csv.",
    ),
]
Output = Annotated[
    Path | None,
    option(
        "-o",
        "--output",
        panel=_OUTPUT,
        metavar="FILE",
        help="Write the results there, not to standard output.",
    ),
]
FilesWithMatches = Annotated[
    bool,
    option(
        "-l",
        "--files-with-matches",
        panel=_OUTPUT,
        help="Print only the paths of flagged files, one a line.",
    ),
]
Print0 = Annotated[
    bool, option("-0", "--print0", panel=_OUTPUT, help="The same, ended by NUL bytes.")
]
ExitZero = Annotated[
    bool, option("--exit-zero", panel=_OUTPUT, help="Exit 0, not 1, if something is flagged.")
]
Quiet = Annotated[bool, option("-q", "--quiet", panel=_OUTPUT, help="Results only.")]
Verbose = Annotated[
    bool,
    option(
        "-v",
        "--verbose",
        panel=_OUTPUT,
        help="Also say which settings are in use and what is skipped.",
    ),
]
NoProgress = Annotated[bool, option("--no-progress", panel=_OUTPUT, help="Show no progress bar.")]
ColorWhen = Annotated[
    Color,
    option(
        "--color",
        panel=_OUTPUT,
        metavar="WHEN",
        help="Colour text: auto, always or never; NO_COLOR is heeded.",
    ),
]
