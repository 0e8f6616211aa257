"""Make untrusted text, such as file names, safe to print."""

import json
import re
from typing import Any

# Control characters (C0, DEL, C1); line and paragraph separators; bidirectional and zero-width
# marks, which can disguise a name; and lone surrogates, which stand for bytes that are not UTF-8.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
# The json module escapes C0 in strings. Any C0 in its output is white space between tokens.
_IN_JSON = re.compile(UNPRINTABLE.pattern.replace("\x00-\x1f", ""))
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""Escape characters that could move a cursor or disguise a name.

    Control characters and bytes that are not UTF-8 become ``\xff``, others ``\u202e``.
    """

    def escape(match: re.Match[str]) -> str:
        code = ord(match[0])
        if 0xDC80 <= code <= 0xDCFF:
            code -= 0xDC00  # os.fsdecode represents a byte in this way
        return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

    return UNPRINTABLE.sub(escape, text)


def to_json(value: dict[str, Any], *, indent: int | None = None) -> str:
    """Return an object as JSON that is valid UTF-8 and safe to print.

    Parameters
    ----------
    value
        The object. Lone surrogates, with which `os.fsdecode` represents bytes that are not UTF-8,
        are escaped, so that ``os.fsencode`` restores the name.
    indent
        Spaces per level. None: a single line.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
