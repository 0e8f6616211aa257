"""What records, reports and messages may have of a path that is, or was meant as, a URL."""

import re

BUCKETS = ("s3", "gs", "az")
"""Schemes of stores: what follows is a bucket or container, a slash, and a key as it is."""

WEB = ("https", "http")
"""Schemes of single files, whose URLs are percent-encoded."""

_START = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+)(:/+)")
"""White space, the scheme and what precedes the authority; `pathlib` drops a slash."""

_AUTHORITY = re.compile(r"[^/?#]*")
_NO_PORT = re.compile(r"[^\[\]:]*:(?!\d*\Z)")
"""What begins an authority without an ``@`` if it is no host and port: user and a password."""


def is_meant_as_url(path: str) -> bool:
    """Tell whether what is no file looks like a URL, perhaps one that has lost a slash."""
    match = _START.match(path)
    return match is not None and len(match[2]) <= len("://")


def recorded(path: str) -> str:
    """Return a path as records, reports and messages have it.

    Of whatever looks like a URL, user and password are left out: all before the last ``@`` of the
    authority, or of the whole if what precedes its first slash is no host and port, because a
    password may have a slash. Query and fragment are left out too, except of stores, where they
    are part of the key: they may be credentials, and a signed URL is one. White space around is
    no part of a URL. All other paths are unchanged.
    """
    match = _START.match(path)
    if match is None:
        return path
    scheme, rest = match[1], path[match.end() :]
    is_bucket = scheme.lower() in BUCKETS
    authority = rest.partition("/")[0] if is_bucket else _AUTHORITY.match(rest)[0]  # type: ignore[index]
    if "@" in authority:
        rest = authority.rpartition("@")[2] + rest[len(authority) :]
    elif "@" in rest and _NO_PORT.match(authority):
        rest = rest.rpartition("@")[2]
    if not is_bucket:
        rest = re.split(r"[?#]", rest, maxsplit=1)[0].rstrip()
    return f"{scheme}{match[2]}{rest}"
