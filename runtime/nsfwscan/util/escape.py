"""Make untrusted text, such as file names, safe to print."""

import json
import re
from typing import Any

# Control characters (C0, DEL, C1); line and paragraph separators; marks that are invisible or
# change the direction of text, which can disguise a name; and lone surrogates, which stand for
# bytes that are not UTF-8.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001-\U000e007f]"
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
        if code >= 0x10000:
            return f"\\U{code:08x}"
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
    return _IN_JSON.sub(lambda match: json.dumps(match[0])[1:-1], text)


_CODE = "u(005c|d[89a-f][0-9a-f]{2})"
_ESCAPED = re.compile(rf"\\{_CODE}")
_TO_ESCAPE = re.compile(rf"[\ud800-\udfff]|\\(?={_CODE})")


def to_unicode(text: str) -> str:
    r"""Return text that has no lone surrogate, for formats that hold valid Unicode only.

    Lone surrogates become ``\udcff``, as in JSON. A backslash that would begin such an escape, or
    its own, becomes ``\u005c``; all other text is unchanged. `from_unicode` restores the text.
    """
    return _TO_ESCAPE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def from_unicode(text: str) -> str:
    """Restore what `to_unicode` has escaped."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
