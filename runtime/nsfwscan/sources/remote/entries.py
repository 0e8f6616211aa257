"""Entries for URLs: one object, or what lies below a prefix of keys.

This module is imported only for a URL, and a store's library only for a URL of that store.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from nsfwscan.errors import InputError, Reason
from nsfwscan.limits import TIMEOUT
from nsfwscan.sources.entry import Entry, Found, Problem, Skipped, SourceError, Stamp
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.remote.redaction import WEB, recorded
from nsfwscan.sources.remote.store import Limits, Store
from nsfwscan.sources.remote.stream import Details, ObjectStream
from nsfwscan.sources.remote.url import Url, is_url, parse_url
from nsfwscan.sources.selection import Selection, skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteEntry(Entry):
    """An object that may be an image. `nsfwscan.sources.reader.fetch` reads it.

    Attributes
    ----------
    url
        The whole URL.
    get
        Asks the store for the object; raises SourceError. Several threads may call it.
    look
        Asks the store for what is known of the object; raises SourceError.
    listed
        What a listing says of it, so that nobody has to ask. None if it was not listed.
    """

    url: str
    get: Callable[[], ObjectStream]
    look: Callable[[], Details]
    listed: Details | None = None

    @property
    def is_file(self) -> bool:
        """False."""
        return False

    @property
    def address(self) -> str:
        """The whole URL: the query of a web address can make it another image."""
        return self.url

    def details(self) -> Details:
        """Return what is known of the object.

        Raises
        ------
        SourceError
            If its store does not say.
        """
        return self.look() if self.listed is None else self.listed

    def stamp(self, max_filesize: int) -> Stamp | None:
        """Return the stamp of the unread object, as that of a file. It may take a request."""
        try:
            found = self.details()
        except SourceError:
            return None  # reading it reports the problem
        return None if found.size is None or found.size > max_filesize else found.stamp


class Remote:
    """The stores of one scan. Thread-safe.

    Parameters
    ----------
    timeout
        Most seconds that the bytes of an object may take to arrive, in one attempt.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._limits = Limits(timeout)
        self._stores: dict[str, Store | SourceError] = {}
        self._listed = set[str]()
        self._lock = threading.Lock()

    def entry_at(
        self, location: str, *, explicit: bool = True, follow: bool = False
    ) -> Entry | Problem:
        """Return the entry at a path or a URL, without a request. What lies below is not listed.

        Parameters
        ----------
        location, explicit, follow
            As in `Entry`.
        """
        return self.entry(location) if is_url(location) else Entry(location, explicit, follow)

    def entry(self, text: str) -> RemoteEntry | Problem:
        """Return the entry of one object, without a request.

        Parameters
        ----------
        text
            Its URL.
        """
        try:
            return self._entry(parse_url(text))
        except SourceError as error:
            return _problem(text, error)

    def entries(
        self, text: str, selection: Selection, given: Collection[str] | None = None
    ) -> Iterator[Found]:
        """Yield the object that a URL names or, if there is none, what lies below it.

        Parameters
        ----------
        text
            The URL. With a slash at its end, or without a key, it is never that of an object.
        selection
            Which of the objects below it to yield.
        given
            The places (`place_of`) that are given themselves. What is at or below such a place is
            yielded there only, and nothing is listed twice. None if repetitions count.

        Yields
        ------
        RemoteEntry, Skipped or Problem
            In the order of the listing, which is that of the keys. One listed page is in memory. A
            listing that fails ends with a problem.
        """
        try:
            url = parse_url(text)
            if url.scheme in WEB:
                yield self._entry(url)
                return
            store = self._store(url)
            details = _looked(store, url.key)
            if details is not None:
                yield self._entry(url, details)
                return
        except SourceError as error:
            yield _problem(text, error, is_listing=True)
            return
        prefix = f"{url.key.removesuffix('/')}/" if url.key else ""
        if given is not None:
            if (place := f"{url.root}/{prefix}") in self._listed:
                return
            self._listed.add(place)
        yield from _below(url, prefix, store, selection, given or ())

    def _entry(self, url: Url, details: Details | None = None) -> RemoteEntry:
        key = url.whole if url.scheme in WEB else url.key
        if not url.key:
            raise SourceError(Reason.NOT_FOUND, "the URL names no object")
        return RemoteEntry(
            location=url.location,
            explicit=True,
            url=url.whole,
            get=lambda: self._store(url).open(key),
            look=lambda: self._store(url).look(key),
            listed=details,
        )

    def _store(self, url: Url) -> Store:
        root = "web" if url.scheme in WEB else url.root
        with self._lock:  # which all threads wait for, so that a bucket is opened once
            if root not in self._stores:
                try:
                    self._stores[root] = _open_store(url, self._limits)
                except SourceError as error:  # do not ask again for each of a million objects
                    self._stores[root] = error
            store = self._stores[root]
        if isinstance(store, SourceError):
            raise SourceError(store.reason, store.detail)
        return store


def _looked(store: Store, key: str) -> Details | None:
    """Return what is known of an object; None if there is none of this key."""
    if not key or key.endswith("/"):
        return None
    try:
        return store.look(key)
    except SourceError as error:
        if error.reason is Reason.NOT_FOUND:
            return None
        raise


def _open_store(url: Url, limits: Limits) -> Store:
    """Import the library of a store, and prepare its connections.

    Raises
    ------
    SourceError
        If the store cannot be used.
    InputError
        If the library is missing.
    """
    with _installed(url):
        if url.scheme in WEB:
            from nsfwscan.sources.remote.web import Web

            return Web(limits)
        if url.scheme == "s3":
            from nsfwscan.sources.remote.s3 import Bucket

            return Bucket(url, limits)
        from nsfwscan.sources.remote.objects import open_bucket

        return open_bucket(url, limits)


def open_store(url: Url, limits: Limits) -> Any:
    """Open what lies below the URL of a bucket with obstore, for reading and writing.

    Raises
    ------
    SourceError
        If the store cannot be used.
    InputError
        If the library is missing.
    """
    with _installed(url):
        if url.scheme == "s3":
            from nsfwscan.sources.remote.s3 import store_below
        else:
            from nsfwscan.sources.remote.objects import store_below
    return store_below(url, limits)


@contextmanager
def _installed(url: Url) -> Iterator[None]:
    """Say which library of a store is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing(url.location, error) from error


def missing(location: str, error: ModuleNotFoundError) -> InputError:
    """Return the error of a library that is not installed."""
    package = (error.name or "").partition(".")[0]
    return InputError(
        f"cannot read {location}: it needs {package}, which is not installed: "
        'pip install "nsfwscan[remote]"'
    )


def _problem(text: str, error: SourceError, *, is_listing: bool = False) -> Problem:
    return Problem(recorded(text), error.reason, error.detail, is_listing)


def place_of(text: str) -> str:
    """Return what is the same for two spellings of one URL."""
    try:
        return parse_url(text).place
    except SourceError:
        return text


def _below(
    url: Url, prefix: str, store: Store, selection: Selection, given: Collection[str]
) -> Iterator[Found]:
    folders, listed = _Folders(url, prefix, selection), 0
    root = f"{url.root}/{prefix}"
    apart = {one for one in given if one.startswith(root) and one != root}
    below = {f"{one.removesuffix('/')}/" for one in apart}
    try:
        for details in store.list(prefix):
            listed += 1
            location = f"{url.root}/{details.key}"
            if location in apart:  # an object of this name: then only a slash names what is below
                below -= {f"{location}/"} - apart
                continue
            if any(location.startswith(one) for one in below):
                continue
            found = folders.judge(details, location)
            if isinstance(found, Skipped):
                yield found
            elif found:
                key = details.key
                get, look = partial(store.open, key), partial(store.look, key)
                yield RemoteEntry(
                    location=location, url=location, get=get, look=look, listed=details
                )
    except SourceError as error:
        problem = _problem(url.location, error, is_listing=True)
        if listed:
            said = f"the listing ended after {listed:,} objects: {problem.detail}"
            problem = Problem(problem.location, problem.reason, said, is_listing=True)
        yield problem
    else:
        if not listed and url.key:
            said = "there is no such object, and nothing below it"
            yield Problem(url.location, Reason.NOT_FOUND, said, is_listing=True)


class _Folders:
    """Judges the objects below a prefix, in the order of their keys.

    Folders are what the keys have before a slash. As in a walk, one that is not entered is found
    once, whatever lies in it; its keys follow one another.

    Parameters
    ----------
    url
        The prefix.
    prefix
        The same, as all keys begin.
    selection
        What is selected. Its ignore files and links do not exist here.
    """

    def __init__(self, url: Url, prefix: str, selection: Selection) -> None:
        self._root = f"{url.root}/{prefix}"
        self._prefix = len(prefix)
        self._selection = selection
        self._closed: str | None = None
        self._open: str | None = ""

    def judge(self, details: Details, location: str) -> Skipped | bool:
        """Return whether an object is read, or what is skipped for the first time."""
        relative = details.key[self._prefix :]
        if not details.size and (not relative or relative.endswith("/")):
            return False  # the mark of a folder
        if self._closed is not None and relative.startswith(self._closed):
            return False
        folder, _, name = relative.rpartition("/")
        if folder != self._open:
            self._closed = None
            if (closed := self._not_entered(folder)) is not None:
                return closed
            self._open = folder
        reason = skipped(name, relative, is_folder=False, by=self._selection, ignores=())
        return reason is None or Skipped(location, reason)

    def _not_entered(self, folder: str) -> Skipped | None:
        """Return the first folder on a way that is not entered."""
        names, most = folder.split("/") if folder else [], self._selection.max_depth
        for depth, name in enumerate(names, start=1):
            path = "/".join(names[:depth])
            reason = skipped(name, path, is_folder=True, by=self._selection, ignores=())
            if reason is None and most is not None and depth + 1 > most:
                reason = Kind.DEEPER_FOLDER
            if reason is not None:
                self._closed, self._open = f"{path}/", None
                return Skipped(f"{self._root}{path}", reason)
        return None
