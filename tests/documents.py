"""What the documents tell one to run."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """Something to run, and the comment before it, which no reader of the page sees."""

    note: str
    language: str
    text: str

    def commands(self) -> list[str]:
        """Give the commands: of a console those behind the prompt, of a script all of it."""
        if self.language != "console":
            return [self.text]
        joined = self.text.replace("\\\n", " ")
        return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]


def all_blocks(path: Path) -> list[Block]:
    """Find the blocks of a document."""
    text = path.read_text(encoding="utf-8")
    pattern = r"(?:^<!-- ([^\n]*) -->\n)?^```(\w+)\n(.*?)^```"
    found = re.findall(pattern, text, re.DOTALL | re.MULTILINE)
    return [Block(*one) for one in found]
