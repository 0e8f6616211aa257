"""Single files of web servers, by urllib3."""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, NewConnectionError
from urllib3.exceptions import TimeoutError as TimedOutError
from urllib3.util import Retry, Timeout, make_headers

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.store import Limits
from nsfwscan.sources.remote.stream import Details, ObjectStream, stamp_of_object

_PIECE_BYTES = 1 << 16
_CONNECTIONS = 64
_REDIRECTS = 5


class Web:
    """All web servers. A key is a whole URL.

    Parameters
    ----------
    limits
        Times.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        options: dict[str, Any] = {
            "maxsize": _CONNECTIONS,
            "timeout": Timeout(connect=limits.connect, read=limits.stall),
            # Only redirections are followed here: `nsfwscan.sources.reader` tries again.
            "retries": Retry(total=None, connect=0, read=0, other=0, redirect=_REDIRECTS),
        }
        self._direct = urllib3.PoolManager(**options)
        self._proxies = {
            scheme: urllib3.ProxyManager(proxy, **options)
            for scheme, proxy in getproxies().items()
            if scheme in {"http", "https"}
        }

    def list(self, _prefix: str, /) -> Iterator[Details]:
        """Refuse to list: a web server has no list."""
        raise SourceError(
            Reason.NOT_FOUND, "a web address is that of one image, and cannot be listed"
        )

    def look(self, key: str) -> Details:
        """Ask for what is known of a file."""
        with _errors():
            answer = self._request("HEAD", key)
            answer.release_conn()
        _check(answer)
        return _details(key, answer.headers)

    def open(self, key: str) -> ObjectStream:
        """Ask for a file."""
        with _errors():
            answer = self._request("GET", key)
        try:
            _check(answer)
        except SourceError:
            answer.close()
            raise
        return ObjectStream(_pieces(answer), _details(key, answer.headers), self._limits.total)

    def _request(self, method: str, url: str) -> urllib3.BaseHTTPResponse:
        parts = urlsplit(url)
        # The bytes are wanted as they are stored, so that size and tag are theirs.
        headers = {"Accept-Encoding": "identity", "User-Agent": "nsfwscan"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers |= make_headers(basic_auth=login)
            url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        direct = proxy_bypass(parts.hostname or "")
        pool = self._direct if direct else self._proxies.get(parts.scheme.lower(), self._direct)
        return pool.request(method, url, headers=headers, preload_content=False)


def _check(answer: urllib3.BaseHTTPResponse) -> None:
    status = answer.status
    if status == 200:
        return
    said = f"the server answered {status} {http.client.responses.get(status, '')}".rstrip()
    if status in {404, 410}:
        raise SourceError(Reason.NOT_FOUND, said)
    raise SourceError(Reason.UNREADABLE, said, passing=status >= 500 or status in {408, 429})


def _details(key: str, headers: Mapping[str, str]) -> Details:
    length, modified = headers.get("Content-Length", ""), None
    if "Content-Encoding" in headers or not (length.isascii() and length.isdigit()):
        size = None
    else:
        size = int(length)
    try:
        modified = parsedate_to_datetime(headers.get("Last-Modified", ""))
    except ValueError:
        modified = None
    # Many servers make the tag of the time in seconds.
    return Details(key, size, modified, stamp_of_object(headers.get("ETag"), size, modified))


def _pieces(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    with _errors():
        try:
            yield from answer.stream(_PIECE_BYTES, decode_content=True)
        finally:
            answer.close() if answer.length_remaining else answer.release_conn()


@contextmanager
def _errors() -> Iterator[None]:
    """Convert urllib3's errors. Their messages have the URL, and are not passed on."""
    try:
        yield
    except LocationValueError as error:
        raise SourceError(Reason.NOT_FOUND, "this is no web address") from error
    except HTTPError as error:
        cause = error.reason if isinstance(error, MaxRetryError) else error
        # A connection that is refused is a timeout, too, for urllib3.
        if isinstance(cause, TimedOutError) and not isinstance(cause, NewConnectionError):
            raise SourceError(
                Reason.TIMEOUT, "the server did not answer in time", passing=True
            ) from error
        raise SourceError(
            Reason.UNREADABLE, "the connection to the server failed", passing=True
        ) from error
