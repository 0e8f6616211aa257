"""The code blocks of the documentation."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "browser" / "README.md",
]


@dataclass(frozen=True)
class Block:
    """A code block, and the invisible comment above it.

    Attributes
    ----------
    note
        The comment: empty or ``exit codes: N ...`` if the block is run as it stands, ``run by
        FILE`` if another file runs it, ``not run: REASON``, or ``generated: NAME``.
    language
        The language after the fence.
    text
        The lines between the fences.
    """

    note: str
    language: str
    text: str

    def commands(self) -> list[str]:
        """Return the lines after a prompt of a console block, or a script as a whole."""
        if self.language != "console":
            return [self.text]
        joined = self.text.replace("\\\n", " ")
        return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]


def all_blocks(path: Path) -> list[Block]:
    """Find the code blocks of a document."""
    text = path.read_text(encoding="utf-8")
    pattern = r"(?:^<!-- ([^\n]*) -->\n)?^```(\w+)\n(.*?)^```"
    found = re.findall(pattern, text, re.DOTALL | re.MULTILINE)
    return [Block(*one) for one in found]
