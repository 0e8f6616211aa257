"""URLs of objects: what they name, and what a record may have of them. Nothing is opened."""

import os
import re
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, urlsplit, urlunsplit

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError

BUCKETS = ("s3", "gs", "az")
"""Schemes of stores: what follows is a bucket or container, a slash, and a key as it is."""

WEB = ("https", "http")
"""Schemes of single files, whose URLs are percent-encoded."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True, slots=True)
class Url:
    """A URL.

    Attributes
    ----------
    scheme
        One of `BUCKETS` and `WEB`.
    root
        The scheme and the bucket or host, as a record has them: ``s3://bucket``.
    bucket
        The bucket, the container, or the host.
    key
        What follows the slash. In a store, it is the very key: nothing is percent-encoded.
    whole
        The URL as it was given.
    """

    scheme: str
    root: str
    bucket: str
    key: str
    whole: str

    @property
    def location(self) -> str:
        """The URL as a record has it."""
        return recorded(self.whole)


def is_url(path: str) -> bool:
    """Tell whether a path is a URL, of any scheme."""
    return _URL.match(path) is not None


def parse_url(text: str) -> Url:
    """Take a URL apart.

    Raises
    ------
    SourceError
        If it has another scheme, or names no bucket.
    """
    match = _URL.match(text)
    scheme = "" if match is None else match[1].lower()
    if match is None or scheme not in (*BUCKETS, *WEB):
        known = ", ".join(f"{one}://" for one in (*BUCKETS, *WEB))
        raise SourceError(
            Reason.NOT_FOUND, f"such URLs are not read; those that are begin with {known}"
        )
    if scheme in WEB:
        parts = urlsplit(text)
        bucket, key = parts.hostname or "", parts.path.removeprefix("/")
    else:
        bucket, _, key = text[match.end() :].partition("/")
    if not bucket:
        what = "host" if scheme in WEB else "bucket"
        raise SourceError(Reason.NOT_FOUND, f"the URL names no {what}")
    return Url(scheme, f"{scheme}://{bucket}", bucket, key, text)


def encoded(url: str) -> str:
    """Return a recorded URL as a valid one, for a link: the key of an object is percent-encoded.

    A link of a scheme that is not read leads nowhere, because it could be that of a script.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in (*BUCKETS, *WEB):
        return "about:blank"
    safe = "/:@%!$&'()*+,;=[]" if scheme.lower() in WEB else "/"
    return f"{scheme}://{quote_from_bytes(os.fsencode(rest), safe)}"


def recorded(path: str) -> str:
    """Return a path as records, reports and messages have it.

    User, password, query and fragment of a web address are left out: they may be credentials, and
    a signed URL is one. All other paths are unchanged.
    """
    match = _URL.match(path)
    if match is None or match[1].lower() not in WEB:
        return path
    try:
        parts = urlsplit(path)
    except ValueError:  # brackets that are no IPv6 address
        return f"{match[0]}..."
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
