"""Buckets of Google Cloud Storage and Azure, and the reading of those of S3, by obstore."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, ObjectStore

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.deadline import Deadline
from nsfwscan.sources.remote.redaction import recorded
from nsfwscan.sources.remote.store import LISTING_ATTEMPTS, Limits
from nsfwscan.sources.remote.stream import Details, ObjectStream, stamp_of_object
from nsfwscan.sources.remote.url import Url

_PAGE = 1000

_ENDPOINTS = {
    "gs": ("GOOGLE_BASE_URL", "GOOGLE_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_NAMES = {"gs": "Google Cloud Storage", "az": "Azure"}

_MISSING = "there is no such object or bucket"

_LOGIN = re.compile(r"//(metadata\.google\.internal|169\.254\.169\.254)|/oauth2/|/token\b")
"""Where credentials are asked for, if there are no others."""

_STATUS = re.compile(r"status code: (\d{3}[\w ]*)")


class Objects:
    """A bucket, read by obstore.

    Parameters
    ----------
    store
        The bucket: without retries, which `nsfwscan.sources.reader` makes.
    lister
        The same bucket, with retries.
    limits
        Times.
    host
        What a message calls the store.
    """

    def __init__(self, store: ObjectStore, lister: ObjectStore, limits: Limits, host: str) -> None:
        self._store = store
        self._lister = lister
        self._limits = limits
        self._host = host

    def list(self, prefix: str, /) -> Iterator[Details]:
        """Yield the objects whose keys begin with a prefix that ends with a slash, or is empty."""
        with _errors(self._host):
            for page in self._lister.list(prefix or None, chunk_size=_PAGE):
                for details in map(_details, page):
                    if details.size or self._exists(details.key):
                        yield details

    def _exists(self, key: str) -> bool:
        """Tell an empty object from the mark of a folder, which is listed without its slash."""
        try:
            self._lister.head(key)
        except FileNotFoundError:
            return False
        return True

    def look(self, key: str) -> Details:
        """Ask for what is known of an object."""
        with _errors(self._host):
            return _details(self._lister.head(key))

    def open(self, key: str) -> ObjectStream:
        """Ask for an object."""
        deadline = Deadline(self._limits.total)
        with _errors(self._host):
            got = deadline.wait(lambda: self._store.get(key))
            details = _details(got.meta)
        return ObjectStream(self._pieces(got), details, deadline.count)

    def _pieces(self, got: Any) -> Iterator[bytes]:
        with _errors(self._host):
            # Each piece as it arrives: to collect many of a slow store could take any time.
            yield from got.stream(min_chunk_size=1)


def _details(meta: Mapping[str, Any]) -> Details:
    size = meta["size"]
    return Details(meta["path"], size, meta["last_modified"], stamp_of_object(meta["e_tag"], size))


def client_options(
    limits: Limits, *, plain: bool, total: timedelta = timedelta(days=1)
) -> dict[str, Any]:
    """Return obstore's options of a connection.

    Parameters
    ----------
    limits
        Times.
    plain
        Whether http is allowed.
    total
        For one request with its body. The default is for streams, of which only the time counts in
        which they are waited for.
    """
    return {
        "allow_http": plain,
        "connect_timeout": timedelta(seconds=limits.connect),
        "read_timeout": timedelta(seconds=limits.stall),
        "timeout": total,
    }


def retries(attempts: int, limits: Limits) -> dict[str, Any]:
    """Return obstore's options for so many attempts, of which none begins after the limit."""
    seconds = limits.total
    return {"max_retries": attempts - 1, "retry_timeout": timedelta(seconds=seconds)}


def open_bucket(url: Url, limits: Limits) -> Objects:
    """Return a bucket of Google Cloud Storage or a container of Azure.

    Raises
    ------
    SourceError
        If the credentials or the account are missing.
    """
    once = _opened(url, limits, 1)
    often = _opened(url, limits, LISTING_ATTEMPTS, total=timedelta(seconds=limits.total))
    return Objects(once, often, limits, _host(url))


def store_below(url: Url, limits: Limits) -> ObjectStore:
    """Open what lies below a URL; raises as `open_bucket`."""
    return _opened(url, limits, LISTING_ATTEMPTS, prefix=url.key)


def _endpoint(url: Url) -> tuple[str, str]:
    """Return the variable that names another endpoint, and its value; empty if there is none."""
    there = (name for name in _ENDPOINTS[url.scheme] if os.environ.get(name))
    name = next(there, "")
    return name, os.environ.get(name, "")


def host_of(endpoint: str) -> str:
    """Return host and port of an endpoint, for a message. Empty if it is no web address."""
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return ""
    is_web = parts.scheme in {"http", "https"} and host
    return parts.netloc.rpartition("@")[2] if is_web else ""


def _host(url: Url) -> str:
    return host_of(_endpoint(url)[1]) or _NAMES[url.scheme]


def _opened(
    url: Url, limits: Limits, attempts: int, prefix: str = "", **options: timedelta
) -> ObjectStore:
    name, endpoint = _endpoint(url)
    if endpoint and not host_of(endpoint):
        raise no_endpoint(endpoint, name)
    plain = endpoint.startswith("http://")
    emulated = os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in {"1", "true"}
    kind: Any = {"gs": GCSStore, "az": AzureStore}[url.scheme]
    with _errors(_host(url)):
        store: ObjectStore = kind(
            url.bucket,
            prefix=prefix or None,
            client_options=client_options(limits, plain=plain or emulated, **options),
            retry_config=retries(attempts, limits),
        )
    return store


def no_endpoint(endpoint: str, names: str) -> SourceError:
    """Return the error of an endpoint that is no web address."""
    said = (
        f"{recorded(endpoint)!r} is no endpoint: set {names} to one such as http://127.0.0.1:9000"
    )
    return SourceError(Reason.UNREADABLE, said)


@contextmanager
def _errors(host: str) -> Iterator[None]:
    """Convert obstore's errors. Their messages quote answers at length, and are not passed on."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(Reason.NOT_FOUND, _MISSING) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise SourceError(Reason.UNREADABLE, "the store denies access") from error
    except (InvalidPathError, ValueError) as error:
        said = "a key with an empty, '.' or '..' name or a control character cannot be read"
        raise SourceError(Reason.UNREADABLE, said) from error
    except BaseError as error:
        raise _converted(str(error), host) from error


def _converted(said: str, host: str) -> SourceError:
    lowered = said.lower()
    if "account must be specified" in lowered:
        detail = "the account is not known: set AZURE_STORAGE_ACCOUNT_NAME"
        return SourceError(Reason.UNREADABLE, detail)
    if _LOGIN.search(said) is not None:
        detail = "there are no credentials: set the variables of the store, or log in with its tool"
        return SourceError(Reason.UNREADABLE, detail)
    if (status := _STATUS.search(said)) is not None:
        answer = status[1].strip()
        if answer[:3] == "404":
            return SourceError(Reason.NOT_FOUND, _MISSING)
        # 408 and 429 ask to come again; other answers of 3xx and 4xx will not change.
        passing = answer[0] == "5" or answer[:3] in {"408", "429"}
        return SourceError(Reason.UNREADABLE, f"the store answered {answer}", passing=passing)
    if "timed out" in lowered or "timedout" in lowered:
        return SourceError(Reason.TIMEOUT, "the store did not answer in time", passing=True)
    return unconnected(host)


def unconnected(host: str) -> SourceError:
    """Return the error of a connection that failed."""
    said = f"the connection to the store failed ({host})"
    return SourceError(Reason.UNREADABLE, said, passing=True)
