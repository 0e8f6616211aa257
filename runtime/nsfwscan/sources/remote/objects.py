"""Buckets of Google Cloud Storage and Azure, and the reading of those of S3, by obstore."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, ObjectStore

from nsfwscan.errors import Reason
from nsfwscan.sources.entry import SourceError
from nsfwscan.sources.remote.store import LISTING_ATTEMPTS, Limits
from nsfwscan.sources.remote.stream import Details, ObjectStream, stamp_of_object
from nsfwscan.sources.remote.url import Url

_PAGE = 1000
_PIECE_BYTES = 1 << 16

_ENDPOINTS = ("GOOGLE_BASE_URL", "GOOGLE_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")

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
    """

    def __init__(self, store: ObjectStore, lister: ObjectStore, limits: Limits) -> None:
        self._store = store
        self._lister = lister
        self._limits = limits

    def list(self, prefix: str, /) -> Iterator[Details]:
        """Yield the objects whose keys begin with a prefix that ends with a slash, or is empty."""
        with _errors():
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
        with _errors():
            return _details(self._lister.head(key))

    def open(self, key: str) -> ObjectStream:
        """Ask for an object."""
        with _errors():
            got = self._store.get(key)
            details = _details(got.meta)
        return ObjectStream(_pieces(got), details, self._limits.total)


def _pieces(got: Any) -> Iterator[bytes]:
    with _errors():
        yield from got.stream(min_chunk_size=_PIECE_BYTES)


def _details(meta: Mapping[str, Any]) -> Details:
    size = meta["size"]
    return Details(meta["path"], size, meta["last_modified"], stamp_of_object(meta["e_tag"], size))


def client_options(limits: Limits, *, plain: bool) -> dict[str, Any]:
    """Return obstore's options of a connection; `plain` allows http."""
    return {
        "allow_http": plain,
        "connect_timeout": timedelta(seconds=limits.connect),
        "read_timeout": timedelta(seconds=limits.stall),
        # Of one request with its body. A stream counts only the time in which it waits.
        "timeout": timedelta(days=1),
    }


def retries(attempts: int, limits: Limits) -> dict[str, Any]:
    """Return obstore's options for so many attempts."""
    seconds = limits.total * attempts
    return {"max_retries": attempts - 1, "retry_timeout": timedelta(seconds=seconds)}


def open_bucket(url: Url, limits: Limits) -> Objects:
    """Return a bucket of Google Cloud Storage or a container of Azure.

    Raises
    ------
    SourceError
        If the credentials or the account are missing.
    """
    once, often = (_opened(url, limits, attempts) for attempts in (1, LISTING_ATTEMPTS))
    return Objects(once, often, limits)


def store_below(url: Url, limits: Limits) -> ObjectStore:
    """Open what lies below a URL; raises as `open_bucket`."""
    return _opened(url, limits, LISTING_ATTEMPTS, prefix=url.key)


def _opened(url: Url, limits: Limits, attempts: int, prefix: str = "") -> ObjectStore:
    plain = any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS)
    emulated = os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in {"1", "true"}
    kind: Any = {"gs": GCSStore, "az": AzureStore}[url.scheme]
    with _errors():
        store: ObjectStore = kind(
            url.bucket,
            prefix=prefix or None,
            client_options=client_options(limits, plain=plain or emulated),
            retry_config=retries(attempts, limits),
        )
    return store


@contextmanager
def _errors() -> Iterator[None]:
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
        raise _converted(str(error)) from error


def _converted(said: str) -> SourceError:
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
    return SourceError(Reason.UNREADABLE, "the connection to the store failed", passing=True)
