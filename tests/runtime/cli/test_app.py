"""Whole commands, through the installed console script."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import onnxruntime
import pytest
import typer
from conftest import Run
from helpers import encoded, load_photo, mean_model
from PIL import Image

from nsfwscan import Manifest, Preprocess, __version__
from nsfwscan.cli.app import app
from nsfwscan.inference.modelfile import default_model_path
from nsfwscan.record import FIELDS
from nsfwscan.util.escape import UNPRINTABLE

OURS = Manifest(name="redness", preprocess=Preprocess(size=8), threshold=0.6)
SCRIPT = Path(sysconfig.get_path("scripts")) / "nsfwscan"
SUMMARY = re.compile(r"([\d,]+) found: ([\d,]+) safe, ([\d,]+) flagged, ([\d,]+) errors?")


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mean_model(tmp_path_factory.mktemp("model") / "redness.onnx", OURS)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Create a folder with two red images, a dark image, a broken image and a text file."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for name, level in (("red.png", 255), ("deep/reddish.png", 200), ("dark.png", 20)):
        Image.new("RGB", (30, 20), (level, 0, 0)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    (folder / "notes.txt").write_text("notes")
    return folder


def test_a_folder_is_scanned_with_the_default_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("astronaut", "coffee"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(
            encoded(load_photo(f"{name}.png"), "JPEG")
        )
    done = run("./photos")
    assert done.returncode == 0
    assert re.fullmatch(
        r"2 found: 2 safe, 0 flagged, 0 errors; [\d.]+ s, [\d.]+ images/s\n", done.stdout
    )
    assert done.stderr == (
        "nsfwscan: open_nsfw on cpu, flagging as indecent from score 0.327 on "
        "(its own: recall 93 %, false alarms 7 %; PhotoPrism, October 2026)\n"
    )


def test_text_lists_flagged_images_errors_and_the_summary(
    run: Run, photos: Path, model: Path
) -> None:
    done = run("photos", "--model", model)
    *lines, last = done.stdout.splitlines()
    assert lines[:2] == [
        "flagged  1.000  photos/red.png",
        "flagged  0.784  photos/deep/reddish.png",
    ]
    assert lines[2].startswith("error    corrupt  photos/broken.jpg: the JPEG ")
    assert len(lines) == 3
    assert last.startswith("5 found: 1 safe, 2 flagged, 1 error, 1 skipped (1 text file); ")
    assert done.stderr == (
        "nsfwscan: redness on cpu, flagging as indecent from score 0.6 on (its own)\n"
    )
    assert done.returncode == 2


def test_scan_is_the_default_command(run: Run, photos: Path, model: Path) -> None:
    plain = run("photos", "-m", model, "-f", "jsonl", "--no-cache")
    named = run("scan", "photos", "-m", model, "-f", "jsonl", "--no-cache")
    before = run("-m", model, "-f", "jsonl", "--no-cache", "photos")
    assert plain.stdout == named.stdout == before.stdout
    assert len(plain.stdout.splitlines()) == 4


def test_a_folder_named_like_a_command_needs_a_leading_dot(
    run: Run, photos: Path, model: Path
) -> None:
    photos.rename(photos.with_name("model"))
    done = run("./model", "-m", model)
    assert "flagged  1.000  ./model/red.png" in done.stdout


@pytest.mark.parametrize(
    ("names", "options", "code"),
    [
        (["dark.png"], [], 0),
        (["dark.png", "red.png"], [], 1),
        (["red.png"], ["--exit-zero"], 0),
        (["red.png", "broken.jpg"], [], 2),
        (["red.png", "broken.jpg"], ["--exit-zero"], 2),
        (["red.png", "gone.png"], [], 2),
        (["notes.txt"], [], 0),
        (["red.png"], ["--threshold", "1"], 1),
        (["deep/reddish.png"], ["-t", "0.9"], 0),
    ],
)
def test_exit_codes(
    run: Run, photos: Path, model: Path, names: list[str], options: list[str], code: int
) -> None:
    done = run(*names, "--model", model, *options, cwd=photos)
    assert done.returncode == code
    assert ("flagged  1.000  red.png" in done.stdout) == ("red.png" in names)


def test_all_formats_contain_the_same_records(run: Run, photos: Path, model: Path) -> None:
    outputs = {
        f: run("photos", "-m", model, "-f", f, "--no-cache") for f in ("jsonl", "json", "csv")
    }
    records = json.loads(outputs["json"].stdout)
    assert [json.loads(line) for line in outputs["jsonl"].stdout.splitlines()] == records
    rows = list(csv.DictReader(io.StringIO(outputs["csv"].stdout)))
    assert tuple(rows[0]) == FIELDS == tuple(records[0])
    assert [row["path"] for row in rows] == [record["path"] for record in records]
    for done in outputs.values():
        assert SUMMARY.search(done.stderr)
        assert not SUMMARY.search(done.stdout)


def test_paths_of_flagged_images_are_printed(run: Run, photos: Path, model: Path) -> None:
    done = run("-l", "photos", "-m", model)
    assert done.stdout == "photos/red.png\nphotos/deep/reddish.png\n"
    assert "corrupt  photos/broken.jpg" in done.stderr
    assert run("-0", "photos", "-m", model).stdout == "photos/red.png\0photos/deep/reddish.png\0"
    refused = run("-l", "photos", "--format", "json")
    assert refused.returncode == 2
    assert "leave --format json out" in refused.stderr


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "csv"])
@pytest.mark.slow
def test_output_goes_to_a_file(run: Run, photos: Path, model: Path, format_: str) -> None:
    to_stdout = run("photos", "-m", model, "-f", format_, "-q", "--no-cache")
    done = run("photos", "-m", model, "-f", format_, "-o", "report", "-q", "--no-cache")
    assert (done.stdout, done.stderr) == ("", "")
    assert (photos.parent / "report").read_text() == to_stdout.stdout


def test_an_unwritable_output_is_reported_before_the_scan(
    run: Run, photos: Path, model: Path
) -> None:
    done = run("photos", "-m", model, "-o", "gone/report.json")
    assert done.returncode == 2
    assert done.stderr == "nsfwscan: cannot write gone/report.json: there is no folder gone\n"


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.slow
def test_the_cache_is_no_output(
    run: Run, photos: Path, model: Path, *, named: bool, suffix: str
) -> None:
    cache = photos.parent / "c" if named else Path(os.environ["XDG_CACHE_HOME"], "nsfwscan")
    cache = cache if named else cache / "verdicts.sqlite"
    target = f"{cache}{suffix}"
    scan = ("photos", "-m", model, *(("--cache", cache) if named else ()))
    cache.parent.mkdir(parents=True, exist_ok=True)
    for before in (None, b""):  # before and after the first scan
        done = run(*scan, "-f", "jsonl", "-o", target)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"nsfwscan: cannot write {target}: it is the cache; name another file\n"
        )
        assert cache.exists() == (before is not None)
        assert run(*scan).returncode == 2  # broken.jpg
    (photos.parent / "link").symlink_to(cache)
    assert "it is the cache" in run(*scan, "-o", "link").stderr
    assert cache.read_bytes().startswith(b"SQLite format 3")


def test_lists_of_files_are_scanned(run: Run, photos: Path, model: Path) -> None:
    lines = run("--files-from", "-", "-m", model, "-l", stdin="photos/red.png\n\nphotos/deep\r\n")
    assert lines.stdout == "photos/red.png\nphotos/deep/reddish.png\n"
    (photos / "list").write_bytes(b"photos/red.png\0photos/new\nline.png\0")
    done = run("--files-from", "photos/list", "--null", "-m", model, "-f", "jsonl", "photos/deep")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["path"], r["reason"]) for r in records] == [
        ("photos/deep/reddish.png", None),
        ("photos/red.png", None),
        ("photos/new\nline.png", "not-found"),
    ]
    gone = run("--files-from", "gone", "-m", model)
    assert gone.returncode == 2
    assert gone.stderr == "nsfwscan: cannot read the list gone: No such file or directory\n"


@pytest.mark.parametrize("quiet", [[], ["-q"]])
@pytest.mark.slow
def test_a_scan_without_images_says_so(
    run: Run, photos: Path, model: Path, quiet: list[str]
) -> None:
    empty = photos / "empty"
    empty.mkdir()
    (photos.parent / "list").write_text("")
    for arguments, reason in (
        ([empty], "there are no files"),
        (["--files-from", photos.parent / "list"], "there are no files"),
        ([photos, "-g", f"{photos}/*.png"], "globs are relative to the scanned folder"),
    ):
        done = run(*arguments, "-m", model, "--no-cache", *quiet)
        assert done.returncode == 0
        lines = [line for line in done.stderr.splitlines() if "no images: " in line]
        assert len(lines) == 1
        assert reason in lines[0]
    assert "no images" not in run(photos, "-m", model, "--no-cache", *quiet).stderr


def test_selection_options_apply(run: Run, photos: Path, model: Path) -> None:
    (photos / ".hidden.png").write_bytes((photos / "red.png").read_bytes())
    (photos / ".nsfwscanignore").write_text("deep/\n")

    def flagged(*options: str) -> list[str]:
        done = run("photos", "-m", model, "-l", *options)
        return [Path(line).name for line in done.stdout.splitlines()]

    assert flagged() == ["red.png"]
    assert flagged("--hidden") == [".hidden.png", "red.png"]
    assert flagged("--no-ignore") == ["red.png", "reddish.png"]
    assert flagged("--no-ignore", "--max-depth", "1") == ["red.png"]
    assert flagged("--no-ignore", "-g", "!red.png") == ["reddish.png"]
    assert flagged("--no-ignore", "-g", "deep/*", "-g", "!*.jpg") == ["reddish.png"]
    verbose = run("photos", "-m", model, "-v").stderr
    assert "skipped, ignored folder: photos/deep\n" in verbose
    assert "skipped, text file: photos/notes.txt\n" in verbose


@pytest.mark.slow
def test_flags_override_variables_files_and_defaults(
    run: Run, photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def threshold(*options: str) -> float:
        done = run("photos/dark.png", "-m", model, "-f", "jsonl", *options)
        return float(json.loads(done.stdout)["threshold"])

    assert threshold() == 0.6
    (photos.parent / "nsfwscan.toml").write_text("threshold = 0.1\n")
    assert threshold() == 0.1
    monkeypatch.setenv("NSFWSCAN_THRESHOLD", "0.2")
    assert threshold() == 0.2
    assert threshold("--threshold", "0.3") == 0.3


@pytest.mark.slow
def test_cache_and_no_cache_override_each_other_by_their_source(
    run: Run, photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_used(*options: str) -> bool:
        run("photos/dark.png", "-m", model, *options, cwd=photos.parent)
        used = (tmp_path / "c").exists()
        (tmp_path / "c").unlink(missing_ok=True)
        return used

    place = str(tmp_path / "c")
    (photos.parent / "nsfwscan.toml").write_text("no-cache = true\n")
    assert not is_used()
    assert is_used("--cache", place)
    monkeypatch.setenv("NSFWSCAN_CACHE", place)
    assert is_used()
    assert not is_used("--no-cache")
    (photos.parent / "nsfwscan.toml").write_text(f'cache = "{place}"\n')
    monkeypatch.delenv("NSFWSCAN_CACHE")
    assert is_used()
    assert not is_used("--no-cache")


def test_an_options_file_and_its_errors_are_reported(run: Run, photos: Path, model: Path) -> None:
    config = photos.parent / "nsfwscan.toml"
    config.write_text(f'model = "{model}"\nglob = "*.png"\nexit-zero = true\n')
    done = run("photos")
    assert done.returncode == 0
    assert done.stderr.startswith("nsfwscan: options from nsfwscan.toml\n")
    assert "1 skipped" not in done.stdout
    config.write_text("treshold = 0.5\n")
    done = run("photos")
    assert done.returncode == 2
    assert done.stderr.endswith(
        "nsfwscan: nsfwscan.toml: there is no option 'treshold'; did you mean 'threshold'?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threshold", "2", "x"], "'--threshold'"),
        (["--frames", "0", "x"], "'--frames'"),
        (["--format", "xml", "x"], "'--format'"),
        (["--no-such-option", "x"], "--no-such-option"),
        (["--null", "x"], "--null describes the list of --files-from"),
        (["-", "--files-from", "-"], "either an image (-) or a list (--files-from -)"),
        (["--glob", "!", "x"], "the glob '!' matches nothing"),
        (["--device", "gpu", "x"], "device 'gpu' is unknown: write auto, cpu, cuda or cuda:N"),
        (["--model", "gone.onnx", "x"], "cannot read the model gone.onnx: No such file"),
        (["--manifest", "gone.json", "x"], "cannot read the manifest gone.json: No such file"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="has CUDA"
)
def test_a_missing_gpu_is_an_error_only_if_requested(run: Run, photos: Path, model: Path) -> None:
    done = run("photos", "-m", model, "--device", "cuda:1")
    assert done.returncode == 2
    assert "was built without CUDA" in done.stderr
    assert "on cpu" in run("photos", "-m", model, "--device", "auto").stderr


def test_the_error_for_a_model_without_manifest_describes_the_fix(run: Run, tmp_path: Path) -> None:
    mean_model(tmp_path / "plain.onnx")
    done = run("--model", "plain.onnx", ".")
    assert done.returncode == 2
    assert "has no manifest; write one (size, channel order, mean and scale, output" in done.stderr


def test_another_model_is_used_with_its_manifest(run: Run, photos: Path) -> None:
    mean_model(photos.parent / "plain.onnx")
    manifest = {"name": "foreign", "preprocess": {"size": 8}, "output": {"activation": "none"}}
    (photos.parent / "plain.json").write_text(json.dumps(manifest))
    done = run("photos/red.png", "--model", "plain.onnx", "--manifest", "plain.json")
    assert done.returncode == 1
    assert "flagged  1.000  photos/red.png" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.slow
def test_unusual_names_are_kept_and_escaped_on_the_terminal(
    run: Run, tmp_path: Path, model: Path
) -> None:
    data = encoded(Image.new("RGB", (9, 9), "red"), "PNG")
    names = [
        b"new\nline.png",
        b"latin-\xe9.png",
        b"esc\x1b[31m.png",
        "schön \u202egnp.png".encode(),
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(data)
    done = run(".", "-m", model, "-f", "jsonl")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert {os.fsencode(r["path"]) for r in records} == {b"./" + name for name in names}
    text = run(".", "-m", model)
    assert len(text.stdout.splitlines()) == len(names) + 1
    assert "\x1b" not in text.stdout
    assert "\u202e" not in text.stdout
    nul = run("-0", ".", "-m", model).stdout
    assert {os.fsencode(n) for n in nul.split("\0")} == {b"", *(b"./" + name for name in names)}
    again = run("--files-from", "-", "--null", "-m", model, "-0", stdin=nul).stdout
    assert again == nul


@pytest.mark.slow
def test_image_libraries_print_nothing(run: Run, tmp_path: Path, model: Path) -> None:
    """Libtiff prints messages about a damaged TIFF, and Pillow warns of a large image."""
    data = bytearray(encoded(load_photo("chelsea.png"), "TIFF", compression="tiff_lzw"))
    data[5000:5100] = b"\xff" * 100
    (tmp_path / "a.tif").write_bytes(data)
    Image.new("1", (12_000, 9_000)).save(tmp_path / "b.png")
    done = run(".", "-m", model, "-q")
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.slow
def test_model_takes_the_model_of_the_options_file(run: Run, tmp_path: Path, model: Path) -> None:
    assert "open_nsfw" in run("model").stdout
    (tmp_path / "nsfwscan.toml").write_text(f'model = "{model}"\n')
    assert str(model) in run("model").stdout
    assert "open_nsfw" in run("model", default_model_path()).stdout


def test_version_names_package_engine_and_model(run: Run) -> None:
    assert run("-q", "--version").stdout == run("--version").stdout
    assert run("--version").stdout.splitlines() == [
        f"nsfwscan {__version__}",
        f"onnxruntime {onnxruntime.__version__}",
        "open-nsfw 864bb37bf886",
    ]


def test_model_prints_the_manifest(run: Run, model: Path) -> None:
    default = run("model")
    head, brace, body = default.stdout.partition("{")
    assert "sha256    864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa" in head
    assert "input     input:0: float32 [N, 224, 224, 3]" in head
    assert "output    outputs: float32 [N, 2]" in head
    assert "manifest  built in" in head
    assert json.loads(brace + body)["licence"] == "BSD-2-Clause"
    mine = run("model", model)
    assert json.loads(mine.stdout[mine.stdout.index("{") :])["name"] == "redness"
    assert "manifest  embedded" in mine.stdout
    gone = run("model", "gone.onnx")
    assert (gone.returncode, gone.stdout) == (2, "")


def test_help_names_every_option(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    group = typer.main.get_command(app)
    scan = group.commands["scan"]  # type: ignore[attr-defined]  # it is a group
    names = [name for one in (*group.params, *scan.params) for name in one.opts]
    options = [name for name in names if name.startswith("-")]
    assert len(options) > 40
    assert [
        name for name in options if not re.search(rf"^  .*{name}\b", done.stdout, re.MULTILINE)
    ] == []


def test_without_arguments_help_is_printed(run: Run) -> None:
    for done in (run(), run("scan"), run("-q")):
        assert done.returncode == 2
        assert done.stderr.startswith("Usage: nsfwscan [OPTIONS] [PATH]")
        assert done.stdout == ""


def test_a_closed_pipe_prints_no_error(photos: Path, model: Path) -> None:
    for i in range(300):
        Image.new("RGB", (9, 9), "red").save(photos / f"{i}.png")
    command: list[str | Path] = [
        SCRIPT,
        photos,
        "-m",
        model,
        "-f",
        "jsonl",
        "-q",
        "--batch-size",
        "1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $SCAN is the command."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=os.environ | {"SCAN": str(SCRIPT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_text_report_to_a_closed_pipe_exits_with_141(photos: Path, model: Path) -> None:
    done = shell(f"$SCAN photos -m {model} -q | true; echo ${{PIPESTATUS[0]}}", photos.parent)
    assert (done.stdout, done.stderr) == ("141\n", "")


@pytest.mark.slow
def test_closed_streams_are_handled(photos: Path, model: Path) -> None:
    here = photos.parent
    without_stderr = shell(f"$SCAN photos -m {model} -f jsonl 2>&-", here)
    assert len([json.loads(line) for line in without_stderr.stdout.splitlines()]) == 4
    without_stdout = shell(f"$SCAN photos -m {model} >&-", here)
    assert without_stdout.returncode == 2
    assert "standard output is closed; name a file with --output" in without_stdout.stderr
    to_file = shell(f"$SCAN photos -m {model} -f json -o out.json >&- 2>&-", here)
    assert to_file.returncode == 2
    assert len(json.loads((here / "out.json").read_text())) == 4
    without_stdin = shell(f"$SCAN --files-from - -m {model} <&-", here)
    assert without_stdin.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.slow
def test_full_disks_are_reported(photos: Path, model: Path) -> None:
    here = photos.parent
    without_messages = shell(f"$SCAN photos/dark.png -m {model} -v 2>/dev/full", here)
    assert without_messages.returncode == 0
    assert without_messages.stdout.startswith("1 found: 1 safe")
    for what in (f"photos -m {model}", "--help", "--version"):
        done = shell(f"$SCAN {what} >/dev/full", here)
        assert done.returncode == 2
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_terminal_of_width_0_shows_everything(photos: Path, model: Path, run: Run) -> None:
    done = run("photos", "-m", model, environment={"COLUMNS": "0"})
    assert len(done.stdout.splitlines()) == 4


def test_a_report_can_go_to_a_pipe(photos: Path, model: Path) -> None:
    done = shell(f"$SCAN photos -m {model} -f json -q -o >(cat)", photos.parent)
    assert len(json.loads(done.stdout)) == 4
    done = shell(f"$SCAN photos -m {model} -q -o /dev/stdout | cat", photos.parent)
    assert done.stdout.startswith("flagged  1.000")


@pytest.mark.parametrize("format_", ["text", "json", "jsonl"])
@pytest.mark.slow
def test_a_failing_model_keeps_the_earlier_results(run: Run, tmp_path: Path, format_: str) -> None:
    """The model returns 2.0, which is not a probability, for an image that is all red."""
    steep = mean_model(tmp_path / "m.onnx", OURS, weights=((2 / 255,), (0.0,), (0.0,)))
    for name, level in (("a.png", 100), ("b.png", 255), ("c.png", 1)):
        Image.new("RGB", (9, 9), (level, 0, 0)).save(tmp_path / name)
    done = run("a.png", "b.png", "c.png", "-m", steep, "--batch-size", "1", "-f", format_)
    assert done.returncode == 2
    assert "m.onnx returned 2.0, which is not a probability" in done.stderr
    assert "Incomplete: " in done.stderr + done.stdout
    if format_ == "json":
        assert [record["path"] for record in json.loads(done.stdout)] == ["a.png"]
    else:
        assert "a.png" in done.stdout


@pytest.mark.slow
def test_limits_frames_and_exact_apply(run: Run, photos: Path, model: Path) -> None:
    def record(*options: str) -> dict[str, object]:
        done = run(photos / "day.png", "-m", model, "-f", "jsonl", *options)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    frames = [Image.new("RGB", (40, 30), (20 * i, 0, 0)) for i in range(12)]
    frames[0].save(photos / "day.png", save_all=True, append_images=frames[1:])
    assert record()["frames"] == 12
    assert record("--frames", "3")["frames"] == 3
    verbose = run(photos / "day.png", "-m", model, "--no-cache", "--frames", "3", "-v")
    assert "day.png': 9 more frames or views differ" in verbose.stderr
    assert record("--max-filesize", "10")["reason"] == "too-large"
    assert record("--max-pixels", "1199")["reason"] == "too-large"
    assert record("--max-pixels", "1200", "--max-filesize", "1" + "0" * 20)["reason"] is None
    (photos / "day.png").write_bytes(encoded(load_photo("coffee.png"), "JPEG"))
    assert record()["score"] != record("--exact")["score"]


def test_a_variable_or_file_can_set_the_list(run: Run, photos: Path, model: Path) -> None:
    (photos.parent / "list").write_text("photos/red.png\n")
    environment = {"NSFWSCAN_FILES_FROM": "list", "NSFWSCAN_MODEL": str(model)}
    assert "flagged  1.000" in run(environment=environment).stdout
    (photos.parent / "nsfwscan.toml").write_text(f'files-from = "list"\nmodel = "{model}"\n')
    assert "flagged  1.000" in run().stdout
    assert run("-q").stderr == ""


@pytest.mark.parametrize("format_", ["json", "jsonl", "text"])
@pytest.mark.slow
def test_an_interrupted_scan_prints_its_results(
    tmp_path: Path, photos: Path, model: Path, format_: str
) -> None:
    os.mkfifo(tmp_path / "list")
    command: list[str | Path] = [
        SCRIPT, "--files-from", tmp_path / "list", "-m", model, "-f", format_,
        "-o", tmp_path / "report", "--batch-size", "1", "--workers", "1", "-v",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with (tmp_path / "list").open("w") as stream:
        stream.write(f"{photos}/red.png\n{photos}/notes.txt\n" + f"{photos}/red.png\n" * 2000)
        stream.flush()
        assert process.stderr is not None
        err = ""
        while "skipped, text file" not in err:  # results have the order of the list
            err += process.stderr.readline()
        process.send_signal(signal.SIGINT)
        err += process.stderr.read()  # communicate() would miss what readline() has buffered
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Interrupted: " in err
    report = (tmp_path / "report").read_text()
    if format_ == "text":
        assert report.startswith("flagged  1.000")
        assert re.match(r"Interrupted: [\d,]+ found: 0 safe, [1-9]", report.splitlines()[-1])
    else:
        lines = json.loads(report) if format_ == "json" else map(json.loads, report.splitlines())
        assert {record["score"] for record in lines} == {1.0}
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def on_a_terminal(*arguments: str | Path, cwd: Path) -> str:
    """Run the command with all streams on a terminal, and return its output."""
    ours, theirs = pty.openpty()
    command = [SCRIPT, *arguments]
    environment = os.environ | {"TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment
    )
    os.close(theirs)
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0.2)[0]:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    process.wait()
    os.close(ours)
    return shown.decode(errors="replace")


@pytest.mark.slow
def test_a_terminal_shows_a_bar_and_colours(photos: Path, model: Path) -> None:
    shown = on_a_terminal("photos", "-m", model, cwd=photos.parent)
    assert "scanning" in shown
    assert "\x1b[1;31mflagged" in shown
    plain = on_a_terminal(
        "photos", "-m", model, "--no-progress", "--color", "never", cwd=photos.parent
    )
    assert "scanning" not in plain
    assert "\x1b" not in plain
    stream = on_a_terminal("photos", "-m", model, "-f", "jsonl", cwd=photos.parent)
    assert "scanning" not in stream


UGLY = "a\x07b\x1b]0;x\x07\u202egpj\x9b31m\u00ad"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.slow
def test_no_command_shows_a_control_character_of_a_name_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ugly = tmp_path / UGLY
    ugly.mkdir()
    Image.new("RGB", (9, 9), "red").save(ugly / f"{UGLY}.png")
    (ugly / f"{UGLY}.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    text = ugly / f"{UGLY}.txt"
    text.write_text("no cache, no model and no manifest" * 20)
    named = Manifest(name=UGLY, preprocess=Preprocess(size=8), threshold=0.6, labels=("a", UGLY))
    ours = mean_model(ugly / f"{UGLY}.onnx", named)
    plain = mean_model(tmp_path / "plain.onnx", input_name=UGLY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(ugly / "cache"))
    scan: list[str | Path] = [ugly, "-m", ours]
    formats = [[*scan, "-v", "-f", f] for f in ("text", "jsonl", "json", "csv")]
    wrong: list[list[str | Path]] = [
        [*scan, "-o", ugly / UGLY / "x"],
        [ugly, "-m", text],
        [ugly, "-m", plain, "--manifest", text],
        ["--files-from", ugly / UGLY],
        [*scan, "--cache", text],
        ["--cache", f"~{UGLY}", ugly],
        [f"--{UGLY}", ugly],
        ["-d", UGLY, ugly],
        ["-t", UGLY, ugly],
        ["-g", f"!{UGLY}[z-a]", ugly],
        ["model", plain],
        ["model", ugly / "gone.onnx"],
        ["model", ours, UGLY],
        ["cache", UGLY],
        ["cache", "clear", "--cache", text],
        ["cache", "prune", "--cache", text],
        ["doctor", "-d", UGLY],
        [UGLY + UGLY],
    ]
    right: list[list[str | Path]] = [
        [*scan, "-l", "-v"],
        [*scan, "-f", "csv", "-o", "/dev/stdout"],
        ["model", ours],
        ["cache", "info"],
        ["cache", "prune"],
        ["cache", "clear"],
        ["cache", "clear"],
        ["doctor", "-d", "cpu", "--cache", text],
    ]
    for command in (*formats, *wrong, *right):
        shown = on_a_terminal(*command, cwd=tmp_path)
        shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)  # our own colours and progress bar
        found = UNPRINTABLE.findall(shown.replace("\r", "").replace("\n", ""))
        assert found == [], command
        assert "gpj" in shown, command
        assert "Traceback" not in shown, command
    (ugly / "nsfwscan.toml").write_text('"z\\u202e\\u001b]gpj" = 1\n')
    for variables in ({}, {"NSFWSCAN_THRESHOLD": UGLY}, {"NSFWSCAN_CACHE": f"~{UGLY}"}):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        shown = on_a_terminal(plain, cwd=ugly)
        assert UNPRINTABLE.findall(shown.replace("\r", "").replace("\n", "")) == []
        assert "gpj" in shown


def cached(done: subprocess.CompletedProcess[str]) -> list[bool]:
    return [json.loads(line)["cached"] for line in done.stdout.splitlines()]


def test_a_second_scan_uses_the_cache(run: Run, photos: Path, model: Path) -> None:
    scan = ("photos", "-m", model, "-f", "jsonl")
    assert not any(cached(run(*scan)))
    assert cached(run(*scan)) == cached(run(*scan, "--rehash")) == [False, True, True, True]
    assert not any(cached(run(*scan, "--no-cache")))
    assert not any(cached(run(*scan, "--cache", "other")))
    assert (photos.parent / "other").exists()
    assert run("cache", "clear").stdout.startswith("deleted ")
    assert not any(cached(run(*scan)))


@pytest.mark.slow
def test_an_unusable_cache_ends_a_scan_only_if_explicit(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes").write_text("these are notes, no cache\n" * 20)
    done = run("photos", "-m", model, "--cache", "notes")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nsfwscan: cannot use the cache notes: file is not a database")
    home = tmp_path / "home"
    (home / "nsfwscan").mkdir(parents=True)
    (home / "nsfwscan" / "verdicts.sqlite").write_text("damaged by a bad disk\n" * 20)
    done = run("photos", "-m", model, environment={"XDG_CACHE_HOME": str(home)})
    assert "verdicts.sqlite: file is not a database; scanning without it" in done.stderr
    assert "1 safe, 2 flagged, 1 error" in done.stdout
    assert run("cache", "clear", environment={"XDG_CACHE_HOME": str(home)}).returncode == 0


def test_verbose_explains_how_the_work_is_divided(run: Run, photos: Path, model: Path) -> None:
    more = ("--workers", "3", "--threads", "1", "--batch-size", "5")
    said = run("photos", "-m", model, "-v", *more).stderr
    assert re.search(
        "nsfwscan: decoding in 3 processes, scoring up to 5 frames at a time on 1 thread; "
        r"\d+ cores? available\n",
        said,
    )


@pytest.mark.slow
def test_limits_on_time_and_memory_are_respected(run: Run, photos: Path, model: Path) -> None:
    Image.new("1", (13_000, 13_000)).save(photos / "huge.png")
    slow = run("photos", "-m", model, "--timeout", "0.2", "--no-cache")
    assert slow.returncode == 2
    assert "huge.png: it took longer than 0.2 s to read and decode" in slow.stdout
    assert "1 safe, 2 flagged, 2 errors" in slow.stdout
    for option, value in (("--max-memory", "1000"), ("--timeout", "nan"), ("--threshold", "nan")):
        refused = run("photos", "-m", model, option, value)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert option in refused.stderr
    vast = run("photos", "-m", model, "--max-memory", "9" * 30, "--timeout", "inf", "--no-cache")
    assert "2 safe, 2 flagged, 1 error" in vast.stdout


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX users")
def test_a_user_without_a_home_folder_has_no_cache(
    photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container can run with a user ID that has no user."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    script = (
        "import os, pwd, sys; from nsfwscan.cli.app import main\n"
        "pwd.getpwuid = lambda number: {}[number]\n"
        "sys.argv = ['nsfwscan', *sys.argv[1:]]; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, photos / "dark.png", "-m", model],
        capture_output=True, text=True, check=False, cwd=photos,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split(";")[0]) == (
        0,
        "1 found: 1 safe, 0 flagged, 0 errors",
    )
    assert "the cache has no default path" in done.stderr
    assert "scanning without it" in done.stderr


def test_an_image_is_scanned_from_standard_input(run: Run, photos: Path, model: Path) -> None:
    path = next(photos.glob("*.png"))
    expected = json.loads(run(path, "-m", model, "-f", "jsonl", "--no-cache").stdout)
    command: list[str | Path] = [SCRIPT, "-", "-", path, "-m", model, "-f", "jsonl", "--no-cache"]
    with path.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, check=False)
    first, second = map(json.loads, done.stdout.splitlines())  # standard input is scanned once
    assert first == expected | {"path": "-"}
    assert second == expected


@pytest.mark.parametrize(
    ("data", "arguments", "reason"),
    [
        (b"", [], "empty"),
        (b"hello", [], "not-a-picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), [], "corrupt"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), ["--max-filesize", "50"], "too-large"),
    ],
)
@pytest.mark.slow
def test_standard_input_without_an_image_is_an_error(
    model: Path, data: bytes, arguments: list[str], reason: str
) -> None:
    command: list[str | Path] = [SCRIPT, "-", "-m", model, "-f", "jsonl", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["reason"] == reason
    assert b"Traceback" not in done.stderr
