"""Single files of web servers, by urllib3."""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    LocationValueError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ResponseError,
    SSLError,
    URLSchemeUnknown,
)
from urllib3.exceptions import TimeoutError as TimedOutError
from urllib3.util import Retry, Timeout, make_headers

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.deadline import Deadline
from nsfwscan.sources.remote.store import Limits
from nsfwscan.sources.remote.stream import Details, ObjectStream, stamp_of_object

_FIRST_BYTES, _PIECE_BYTES = 1 << 16, 1 << 20
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
        answer = Deadline(self._limits.total).wait(lambda: self._request("HEAD", key))
        answer.release_conn()
        _check(answer)
        return _details(key, answer.headers)

    def open(self, key: str) -> ObjectStream:
        """Ask for a file."""
        deadline = Deadline(self._limits.total)
        answer = deadline.wait(lambda: self._request("GET", key))
        try:
            _check(answer)
        except SourceError:
            answer.close()
            raise
        return ObjectStream(Body(answer), _details(key, answer.headers), deadline.wait)

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
        with _errors():
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


class Body(Iterator[bytes]):
    """The pieces of an answer's body. Another thread may close it while one is waited for."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer
        self._size = _FIRST_BYTES

    def __next__(self) -> bytes:
        """Wait for a piece: a small one first, which may show that the rest is not wanted."""
        with _errors():
            piece = self._answer.read(self._size, decode_content=True)
        if not piece:
            raise StopIteration
        self._size = _PIECE_BYTES
        return piece

    def close(self) -> None:
        """Give the connection back if all was read. Otherwise end it."""
        with suppress(RuntimeError, ValueError, OSError):  # it was given back, or has broken
            self._answer.shutdown()  # what still reads would let `close` wait
        self._answer.close()


@contextmanager
def _errors() -> Iterator[None]:
    """Convert urllib3's errors. Their messages have the URL, and are not passed on."""
    try:
        yield
    except URLSchemeUnknown as error:
        said = f"the server redirects to a URL that begins with {error.scheme}:, which is not read"
        raise SourceError(Reason.UNREADABLE, said) from error
    except HTTPError as error:
        cause = error.reason if isinstance(error, MaxRetryError) else error
        raise _converted(cause) from error
    except ValueError as error:
        raise _converted(error) from error


def _converted(cause: Exception | None) -> SourceError:
    """Say what happened, as far as it is known."""
    # A connection that is refused is a timeout, too, for urllib3.
    if isinstance(cause, TimedOutError) and not isinstance(cause, NewConnectionError):
        return SourceError(Reason.TIMEOUT, "the server did not answer in time", passing=True)
    reason, said = Reason.UNREADABLE, ""
    match cause:
        case LocationValueError() if type(cause) is LocationValueError:
            said = "the server redirects to a URL without a host, which is not read"
        case ValueError():  # as of urllib3's and Python's parsers of URLs
            reason = Reason.NOT_FOUND
            said = "this is no valid web address, or the server redirects to none"
        case ResponseError():
            said = f"the server redirects more than {_REDIRECTS} times"
        case DecodeError():
            said = "the bytes are not encoded as the server says (Content-Encoding)"
        case SSLError():
            said = "the server offers no connection with TLS that is trusted"
        case ProtocolError(args=(_, http.client.LineTooLong())):
            said = "the server's answer has a line that is too long"
        case ProtocolError(
            args=(_, http.client.RemoteDisconnected() | http.client.IncompleteRead())
        ):
            pass
        case ProtocolError(args=(_, http.client.HTTPException())):
            said = "the server's answer is no valid HTTP"
    if said:
        return SourceError(reason, said)
    unknown = isinstance(cause, NameResolutionError)
    said = (
        "the name of the host is not resolved" if unknown else "the connection to the server failed"
    )
    return SourceError(reason, said, passing=True)
