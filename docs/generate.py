"""Write the parts of the documentation that the code knows better, or check that they are current.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

import inspect
import os
import re
import sys
from pathlib import Path

import licences
from typer.testing import CliRunner

from nsfwscan.cli.app import app
from nsfwscan.errors import REASONS
from nsfwscan.record import Record
from nsfwscan.reports.summary import EXIT_CODES
from nsfwscan.sources.filetype import FORMATS

DOCS = Path(__file__).parent
FILES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def help_text() -> str:
    """Give the help of the command as it is printed 80 columns wide."""
    os.environ["COLUMNS"] = "80"
    shown = CliRunner().invoke(app, ["--help"], prog_name="nsfwscan").output
    return f"```text\n{shown.rstrip()}\n```\n"


def table(*rows: tuple[str, ...]) -> str:
    """Write a Markdown table; the first row is its head."""
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def formats() -> str:
    """List the formats that are decoded."""
    rows = [
        (row.name, ", ".join(row.extensions), "yes" if row.animated else "first image")
        for row in FORMATS
        if row.plugin
    ]
    return table(("format", "usual extensions", "frames or pages"), *rows)


def reasons() -> str:
    """List the reasons why a file has no score."""
    return table(("reason", "meaning"), *((f"`{word}`", said) for word, said in REASONS.items()))


def exit_codes() -> str:
    """List the exit codes."""
    rows = ((str(int(code)), said) for code, said in EXIT_CODES.items())
    return table(("exit code", "meaning"), *rows)


def record() -> str:
    """List the fields of a record, as its docstring explains them."""
    attributes = inspect.cleandoc(str(Record.__doc__)).partition("Attributes\n----------\n")[2]
    found = re.findall(r"^(\w[^\n]*)\n((?:    [^\n]*\n?)+)", attributes, re.MULTILINE)
    rows = ((names, " ".join(said.split()).replace("``", "`")) for names, said in found)
    return table(
        ("field", "meaning"), *((f"`{names}`".replace(", ", "`, `"), said) for names, said in rows)
    )


def shipped() -> str:
    """List the packages that the images carry, and their licences."""
    path = DOCS / "licences.md"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    return table(("packages", "licence", "in"), *licences.rows(DOCS.parent / "locks", page))


PARTS = {
    "help": help_text,
    "formats": formats,
    "reasons": reasons,
    "exit-codes": exit_codes,
    "record": record,
    "licences": shipped,
}


def current(text: str) -> str:
    """Give a document with its generated parts as they should be."""
    return PART.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}{m[4]}", text)


def main() -> int:
    """Rewrite the documents, or with ``--check`` name those that are out of date."""
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
