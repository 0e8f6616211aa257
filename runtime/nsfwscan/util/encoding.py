"""Text files in another encoding than UTF-8."""

import codecs


def not_utf8(error: UnicodeDecodeError) -> str:
    """Say in which encoding a file is, and what to do, to follow the file's name."""
    utf_16 = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return f"is {'in UTF-16' if utf_16 else 'not in UTF-8'}; save it as UTF-8"
