"""The options of ``nsfwscan scan``, in the order and under the headings of its help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nsfwscan.cli.framework import option
from nsfwscan.cli.shards import shard_option
from nsfwscan.cli.thresholds import band_of, threshold_of
from nsfwscan.limits import LEAST_CACHE_SIZE, LEAST_MEMORY, LEAST_TIMEOUT

_INPUT, _SCORING, _CACHE, _REVIEW, _OUTPUT = "Input", "Scoring", "Cache", "Review", "Output"


class Format(StrEnum):
    """Report formats."""

    TEXT = "text"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    HTML = "html"
    SARIF = "sarif"
    PARQUET = "parquet"


class Color(StrEnum):
    """When to color."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        show_default=False,
        help="Files, and folders with everything below them; URLs (s3, gs, az, https); - is an "
        "image on standard input.",
    ),
]
FilesFrom = Annotated[
    Path | None,
    option(
        "--files-from FILE",
        _INPUT,
        "Also scan the paths and URLs listed in FILE, one per line, or in a table (.parquet, .csv, "
        ".jsonl); - is standard input.",
    ),
]
Null = Annotated[bool, option("--null", _INPUT, "NUL bytes end the paths in that list.")]
Shard = Annotated[
    str | None,
    option(
        "--shard I/N",
        _INPUT,
        "Scan one of N shares of the files, I from 0; auto takes both from an array job.",
        parser=shard_option,
    ),
]
Glob = Annotated[
    list[str] | None,
    option(
        "-g --glob GLOB",
        _INPUT,
        "Scan only files that match, or, with !GLOB, all but those; the last match decides.",
        show_default=False,
    ),
]
NoIgnore = Annotated[bool, option("--no-ignore", _INPUT, "Do not apply .nsfwscanignore files.")]
Hidden = Annotated[
    bool, option("--hidden", _INPUT, "Also scan files and folders whose names begin with a dot.")
]
Follow = Annotated[
    bool,
    option("-L --follow", _INPUT, "Follow links to files and folders; find each target once."),
]
MaxDepth = Annotated[
    int | None,
    option("--max-depth N", _INPUT, "Enter N levels of folders; 1 is the given folder.", min=1),
]
MaxPixels = Annotated[
    int, option("--max-pixels N", _INPUT, "An image with more pixels is an error.", min=1)
]
MaxFilesize = Annotated[
    int, option("--max-filesize BYTES", _INPUT, "A larger image file is an error.", min=1)
]
Timeout = Annotated[
    float,
    option(
        "--timeout SECONDS",
        _INPUT,
        "A file that takes longer to read and decode is an error.",
        min=LEAST_TIMEOUT,
    ),
]
MaxMemory = Annotated[
    int,
    option(
        "--max-memory BYTES",
        _INPUT,
        "An image that needs more memory in a decoding process is an error.",
        min=LEAST_MEMORY,
    ),
]
Threshold = Annotated[
    str | None,
    option(
        "-t --threshold SCORE",
        _SCORING,
        "Flag images with this score or a higher one: a number, or sensitive, balanced or strict. "
        "The default is the model's own.",
        parser=threshold_of,
    ),
]
ReviewBand = Annotated[
    str | None,
    option(
        "--review-band LOW:HIGH",
        _SCORING,
        "Flag images from LOW on, and mark those below HIGH as uncertain: to be looked at.",
        parser=band_of,
    ),
]
Model = Annotated[
    Path | None, option("-m --model FILE", _SCORING, "An ONNX model; the default is open_nsfw.")
]
Manifest = Annotated[
    Path | None,
    option(
        "--manifest FILE",
        _SCORING,
        "The JSON manifest of a model that contains none, or the name of a known model.",
    ),
]
Fast = Annotated[
    bool,
    option(
        "--fast",
        _SCORING,
        "On the CPU, score in 8 bits first, and again in full precision near the threshold.",
    ),
]
Companion = Annotated[
    Path | None,
    option(
        "--companion FILE",
        _SCORING,
        "As --fast, for another model: its copy in 8 bits, from nsfwexport cascade.",
    ),
]
Device = Annotated[str, option("-d --device DEVICE", _SCORING, "auto, cpu, cuda or cuda:N.")]
Frames = Annotated[
    int,
    option(
        "--frames N",
        _SCORING,
        "Score up to N frames of an animation that differ; the highest score counts.",
        min=1,
    ),
]
Views = Annotated[
    int,
    option(
        "--views N",
        _SCORING,
        "Score up to N parts of an image longer than 2:1, besides the whole.",
        min=0,
    ),
]
Exact = Annotated[
    bool,
    option("--exact", _SCORING, "Decode JPEG files at full size: slower, scores change little."),
]
BatchSize = Annotated[
    int | None,
    option(
        "--batch-size N",
        _SCORING,
        "Most frames in one call of the model; the default depends on the device.",
        min=1,
    ),
]
Workers = Annotated[
    int | None,
    option(
        "--workers N",
        _SCORING,
        "Processes that read and decode; the default is one per core.",
        min=1,
    ),
]
Threads = Annotated[
    int | None,
    option(
        "--threads N",
        _SCORING,
        "Threads that call the model; the default is one per core, or 2 on a GPU.",
        min=1,
    ),
]
CacheFile = Annotated[
    Path | None,
    option(
        "--cache FILE",
        _CACHE,
        "Keep scores in FILE; the default is in the user's cache folder.",
        show_default=False,
    ),
]
MaxCacheSize = Annotated[
    int,
    option(
        "--max-cache-size BYTES",
        _CACHE,
        "Drop the scores that were used longest ago when the cache is larger.",
        min=LEAST_CACHE_SIZE,
    ),
]
NoCache = Annotated[bool, option("--no-cache", _CACHE, "Neither use nor keep earlier scores.")]
Rehash = Annotated[bool, option("--rehash", _CACHE, "Read every file, even an unchanged one.")]
Allow = Annotated[
    Path | None,
    option("--allow FILE", _REVIEW, "Take the flagged images that this list allows for safe."),
]
ShowAllowed = Annotated[
    bool, option("--show-allowed", _REVIEW, "Also list the allowed images in text, html and sarif.")
]
Baseline = Annotated[
    Path | None,
    option(
        "--baseline REPORT",
        _REVIEW,
        "Leave out what is flagged or an error in this earlier report (jsonl, json or parquet).",
    ),
]
ReviewFolder = Annotated[
    Path | None,
    option(
        "--review FOLDER", _REVIEW, "Also write the page of the review, as nsfwscan review does."
    ),
]
ReportFormat = Annotated[
    Format,
    option(
        "-f --format FORMAT",
        _OUTPUT,
        "Print results as text, jsonl, json, csv, html, sarif or parquet.",
    ),
]
Classes = Annotated[
    bool,
    option(
        "--classes", _OUTPUT, "Also give the probability of each class, if the model names any."
    ),
]
Output = Annotated[
    Path | None,
    option("-o --output FILE", _OUTPUT, "Write results to FILE; - is standard output."),
]
FilesWithMatches = Annotated[
    bool,
    option(
        "-l --files-with-matches", _OUTPUT, "Print only the paths of flagged files, one per line."
    ),
]
Print0 = Annotated[bool, option("-0 --print0", _OUTPUT, "The same, ended by NUL bytes.")]
ExitZero = Annotated[
    bool, option("--exit-zero", _OUTPUT, "Exit with 0 instead of 1 if an image is flagged.")
]
Quiet = Annotated[bool, option("-q --quiet", _OUTPUT, "Print results only.")]
Verbose = Annotated[
    bool,
    option("-v --verbose", _OUTPUT, "Also print the settings, and what is skipped or left out."),
]
NoProgress = Annotated[
    bool,
    option("--no-progress", _OUTPUT, "Show no progress bar, and no lines in its place."),
]
ColorWhen = Annotated[
    Color,
    option("--color WHEN", _OUTPUT, "Color text: auto, always or never; auto respects NO_COLOR."),
]
