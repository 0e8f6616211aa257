"""URLs of objects, and what they name. Nothing is opened."""

import os
import re
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, urlsplit

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.redaction import BUCKETS, WEB, recorded

_URL = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+)://")


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
        The URL as it was given, without white space before it.
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

    @property
    def place(self) -> str:
        """What is the same for two spellings of one URL."""
        return self.whole if self.scheme in WEB else f"{self.root}/{self.key}"

    @property
    def is_prefix(self) -> bool:
        """Whether it names what lies below it, and never an object."""
        return self.scheme in BUCKETS and (not self.key or self.key.endswith("/"))


def is_url(path: str) -> bool:
    """Tell whether a path is a URL, of any scheme."""
    return _URL.match(path) is not None


def parse_url(text: str) -> Url:
    """Take a URL apart.

    Raises
    ------
    SourceError
        If it has another scheme, names no bucket, or is malformed.
    """
    match = _URL.match(text)
    scheme = "" if match is None else match[1].lower()
    if match is None or scheme not in (*BUCKETS, *WEB):
        known = ", ".join(f"{one}://" for one in (*BUCKETS, *WEB))
        raise SourceError(
            Reason.NOT_FOUND, f"such URLs are not read; those that are begin with {known}"
        )
    text, start = text.lstrip(), match.end() - match.start(1)
    if scheme in WEB:
        text = text.rstrip()
        try:
            parts = urlsplit(text)
            bucket, key, _ = parts.hostname or "", parts.path.removeprefix("/"), parts.port
        except ValueError as error:  # brackets without an IPv6 address, or a port out of range
            raise SourceError(Reason.NOT_FOUND, "this is no valid web address") from error
    else:
        bucket, _, key = text[start:].partition("/")
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
