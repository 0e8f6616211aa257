"""Write the generated parts of the documentation, or check that they are current.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

import inspect
import json
import os
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import licences
import typer
from typer.testing import CliRunner

import nsfwexport.cli.app
import nsfwscan.cli.app
import nsfwtrain.cli.app
from nsfwscan import errors
from nsfwscan.inference.card import card
from nsfwscan.inference.known import BUILT_IN, KNOWN, OPEN_NSFW_SHA256
from nsfwscan.inference.manifest import Manifest
from nsfwscan.limits import ScanOptions
from nsfwscan.record import Record
from nsfwscan.reports.summary import EXIT_CODES
from nsfwscan.sources.filetype import FORMATS, Kind
from nsfwscan.util.markdown import table

DOCS = Path(__file__).parent
FILES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
VALUES = {
    "int": "integer",
    "integer": "integer",
    "float": "number",
    "threshold_of": "number or string",
}
TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def commands(app: typer.Typer, program: str) -> str:
    """Give the help of each command of a program, 80 columns wide, under a heading."""
    os.environ["COLUMNS"] = "80"
    sections = []
    for words in _command_words(typer.main.get_command(app)):
        if words == ("scan",):  # the default command: its options are the program's
            continue
        done = CliRunner().invoke(app, [*words, "--help"], prog_name=program)
        name = " ".join((program, *words))
        sections.append(f"### {name}\n\n```text\n{done.output.rstrip()}\n```\n")
    return "\n" + "\n".join(sections) + "\n"


def _command_words(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _command_words(inner, *words, name)


def option_names() -> str:
    """List how each option of a scan is spelled in the options file and as a variable."""
    command = typer.main.get_command(nsfwscan.cli.app.app).commands["scan"]  # type: ignore[attr-defined]
    rows = [
        (f"`{parameter.opts[-1].removeprefix('--')}`", f"`{parameter.envvar}`", _value(parameter))
        for parameter in command.params
        if parameter.envvar and not parameter.hidden
    ]
    return table(("key in `nsfwscan.toml`", "variable", "value in the file"), *rows)


def _value(parameter: Any) -> str:
    if parameter.is_flag:
        return "true or false"
    if parameter.multiple:
        return "array of strings"
    return VALUES.get(parameter.type.name.removesuffix(" range"), "string")


def formats() -> str:
    """List the formats that are decoded."""
    rows = [
        (row.name, ", ".join(row.extensions), "all frames" if row.animated else "first image")
        for row in FORMATS
        if row.plugin
    ]
    return table(("format", "usual extensions", "scored"), *rows)


def formats_not_decoded() -> str:
    """Name the formats that are recognised only."""
    return ", ".join(row.name for row in FORMATS if not row.plugin) + ".\n"


def kinds() -> str:
    """Name the kinds of skipped entries."""
    return ", ".join(Kind) + ".\n"


def reasons() -> str:
    """List the reasons why a file has no score."""
    rows = ((f"`{word}`", said) for word, said in errors.REASONS.items())
    return table(("reason", "meaning"), *rows)


def exit_codes() -> str:
    """List the exit codes."""
    rows = ((str(int(code)), said) for code, said in EXIT_CODES.items())
    return table(("exit code", "meaning"), *rows)


def exceptions() -> str:
    """List the exceptions, each below its base."""
    types_ = [
        (name, value)
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.NsfwScanError)
    ]
    rows = (
        (f"`{name}`", f"`{value.__bases__[0].__name__}`", str(value.__doc__).splitlines()[0])
        for name, value in types_
    )
    return table(("exception", "base", "meaning"), *rows)


def meanings(of: type) -> dict[str, str]:
    """Read what a class's docstring says of each attribute, constants replaced by their values."""
    _, _, text = inspect.cleandoc(str(of.__doc__)).partition("Attributes\n----------\n")
    text = text.partition("\n\nRaises\n")[0]
    constants = vars(sys.modules[of.__module__])
    text = re.sub(r"`([A-Z_]+)`", lambda m: f"{constants[m[1]]}", text)
    found = re.findall(r"^(\w[^\n:]*)[^\n]*\n((?:    [^\n]*\n?)+)", text, re.MULTILINE)
    return {
        name: " ".join(said.split()).replace("``", "`")
        for names, said in found
        for name in names.strip().split(", ")
    }


def record() -> str:
    """List the fields of a record in their order."""
    rows = ((name, values, said) for name, values, _, said in json_fields(Record))
    return table(("field", "type", "meaning"), *rows)


def manifest() -> str:
    """List the fields of a manifest, those of its parts included."""
    return table(("field", "type", "default", "meaning"), *json_fields(Manifest))


def json_fields(of: type, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Give name, type, default and meaning of each field, in JSON's words."""
    said, hints = meanings(of), get_type_hints(of)
    for field in fields(of):
        inner = hints[field.name]
        if is_dataclass(inner) and isinstance(inner, type):
            yield from json_fields(inner, f"{field.name}.")
        else:
            meaning = re.sub(r"\bNone\b", "`null`", said[field.name])
            yield f"`{prefix}{field.name}`", _json_type(inner), _default(field), meaning
            many = "[]" if get_origin(inner) is tuple else ""
            for part in get_args(inner)[:1]:
                if is_dataclass(part) and isinstance(part, type):
                    yield from json_fields(part, f"{field.name}{many}.")


def _json_type(hint: Any) -> str:
    """Say in JSON's words which values a type has."""
    if get_origin(hint) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(hint))
    if get_origin(hint) in {types.UnionType, Union}:
        return " or ".join(map(_json_type, get_args(hint)))
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        size = "" if inner[-1] is Ellipsis else f"{len(inner)} "
        return f"array of {size}{TYPES.get(inner[0], 'object')}s"
    if is_dataclass(hint) or get_origin(hint) is dict:
        return "object"
    return TYPES.get(hint, "string")


def _default(field: "Field[Any]") -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return "required" if value is MISSING else f"`{json.dumps(value)}`"


def known_models() -> str:
    """List the foreign models whose manifests are built in."""
    rows = (
        (f"`{name}`", one.name, str(one.threshold), _score(one), str(one.licence))
        for name, one in KNOWN.items()
    )
    return table(("name", "model", "threshold", "score", "licence"), *rows)


def _score(manifest: Manifest) -> str:
    spec = manifest.output
    if spec.reduction == "column":
        return f"of {spec.classes[spec.column]}"
    return f"{spec.reduction} of {', '.join(spec.counted)}"


def scan_options() -> str:
    """List the fields of `ScanOptions`."""
    said, hints = meanings(ScanOptions), get_type_hints(ScanOptions)
    rows = (
        (f"`{field.name}`", f"`{_python_type(hints[field.name])}`", f"`{field.default}`",
         said[field.name])
        for field in fields(ScanOptions)
    )  # fmt: skip
    return table(("field", "type", "default", "meaning"), *rows)


def _python_type(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def shipped() -> str:
    """List the packages that the images carry, and their licences."""
    path = DOCS / "licences.md"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    return table(("packages", "licence", "in"), *licences.rows(DOCS.parent / "locks", page))


PARTS = {
    "nsfwscan": lambda: commands(nsfwscan.cli.app.app, "nsfwscan"),
    "nsfwtrain": lambda: commands(nsfwtrain.cli.app.app, "nsfwtrain"),
    "nsfwexport": lambda: commands(nsfwexport.cli.app.app, "nsfwexport"),
    "option-names": option_names,
    "formats": formats,
    "formats-not-decoded": formats_not_decoded,
    "kinds": kinds,
    "reasons": reasons,
    "exit-codes": exit_codes,
    "exceptions": exceptions,
    "record": record,
    "manifest": manifest,
    "known-models": known_models,
    "model-card": lambda: card(BUILT_IN[OPEN_NSFW_SHA256], OPEN_NSFW_SHA256),
    "scan-options": scan_options,
    "licences": shipped,
}


def current(text: str) -> str:
    """Give a document with its generated parts as they should be."""
    return PART.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}{m[4]}", text)


def main() -> int:
    """Rewrite the documents, or with ``--check`` list those that are out of date."""
    stale = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if current(text) != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(current(text), encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"out of date, run make docs: {', '.join(stale)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
