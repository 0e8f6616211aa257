"""What a scan needs before it begins: the model, the inputs, the cache and the allow-list."""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from nsfwscan.cli.config import OPTIONS_FILE, overrides
from nsfwscan.errors import CacheError, InputError, ModelError, OutputError
from nsfwscan.limits import TIMEOUT
from nsfwscan.util.escape import printable

if TYPE_CHECKING:
    from nsfwscan.cache.store import Cache
    from nsfwscan.inference.classifier import Classifier
    from nsfwscan.record import Record
    from nsfwscan.review.allowlist import Allowance
    from nsfwscan.review.screen import Screen
    from nsfwscan.sources.entry import Entry, Source
    from nsfwscan.sources.selection import Selection

    _Models = tuple[Classifier, Classifier | None]

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a scan works with."""

    classifier: "Classifier"
    fast: "Classifier | None"
    cache: "Cache | None"
    sources: "Iterable[Source]"
    selection: "Selection"
    screen: "Screen"
    terminal: Any  # rich's console of standard error, if that is a terminal
    say: Callable[[str], None]


def check_outputs(given: SimpleNamespace) -> None:
    """Refuse, before the work, an output that cannot be written or that is an input.

    A list is read as the scan goes, and a folder is walked, so any image may be an input.
    """
    if given.format_ == "parquet":
        check_regular_file(given.output)
    if given.output is None and given.review is None:
        return
    from nsfwscan.cache.database import default_path, files_of
    from nsfwscan.sources.reader import is_image
    from nsfwscan.util import files as outputs

    own = (given.model, given.companion, given.manifest, given.allow, given.baseline)
    named = (*own, given.files_from, *(given.paths or ()))
    files = [Path(name) for name in named if name is not None and str(name) != STDIN]
    files += _built_in_models(given)
    with suppress(CacheError):  # the user has no home, and no cache
        cache = files_of(given.cache or default_path())
        # Even if it does not exist yet.
        if given.output and os.path.realpath(given.output) in map(os.path.realpath, cache):
            raise OutputError(f"cannot write {given.output}: it is the cache; name another file")
        files += cache
    options_file = given.context.meta.get(OPTIONS_FILE)
    files += [] if options_file is None else [options_file]
    stdin = [0] if STDIN in map(str, (given.files_from, *(given.paths or ()))) else []
    inputs: list[Path | int] = [*stdin, *(file for file in files if not file.is_dir())]
    if given.review is not None:
        from nsfwscan.review.build import PAGE, RESULTS

        outputs.check_outputs(given.review, (PAGE, RESULTS), inputs)
    if given.output is None:
        return
    if given.review is not None:
        review, output = map(os.path.realpath, (given.review, given.output))
        if os.path.commonpath((review, output)) == review:
            raise OutputError(
                f"cannot write {given.output}: it lies in the folder of --review; name another file"
            )
    outputs.check_output(given.output, inputs)
    if is_image(given.output):
        raise OutputError(f"cannot write {given.output}: it is an image; name another file")


def check_regular_file(output: Path | None) -> None:
    """Refuse to write Parquet to standard output, a terminal or a pipe.

    The file would be complete only at its end, and is read from there.
    """
    from nsfwscan.util.files import is_special

    if output is None or is_special(output):
        name = "standard output" if output is None else output
        raise OutputError(
            f"cannot write {name}: Parquet goes to a regular file; name one with --output"
        )


def _built_in_models(given: SimpleNamespace) -> Iterator[Path]:
    """Yield the files of the models that are used without being named."""
    if given.model is None:
        from nsfwscan.inference.modelfile import default_model_path

        with suppress(ModelError):  # loading says so
            yield default_model_path()
    if given.fast and given.companion is None:
        from nsfwscan.inference.companion import BUILT_IN

        yield BUILT_IN


def load(given: SimpleNamespace, stack: ExitStack) -> Loaded:
    """Load the model and open the inputs and the cache.

    The model is loaded on a thread, and a worker process starts, while this thread imports.
    """
    loading = stack.enter_context(_loading(given))

    from nsfwscan.reports.console import console

    selection = selection_of(given)
    terminal = console(sys.stderr, given.color.value) if sys.stderr.isatty() else None
    write = partial(typer.echo, err=True) if terminal is None else terminal.print

    def say(text: str) -> None:
        with suppress(OSError):  # standard error is closed or full; the scan goes on
            write(text)

    screen = _screen(given, say)
    sources = _sources(given, stack)
    classifier, fast = loading.result()
    cache = None
    if not given.no_cache or overrides(given.context, "cache", "no_cache"):
        cache = _open_cache(given, stack, say)
    return Loaded(classifier, fast, cache, sources, selection, screen, terminal, say)


def selection_of(given: SimpleNamespace) -> "Selection":
    """Collect the options that select files."""
    from nsfwscan.sources.selection import Selection

    return Selection(
        glob=given.glob or (),
        ignore=not given.no_ignore,
        hidden=given.hidden,
        follow=given.follow,
        max_depth=given.max_depth,
    )


def _screen(given: SimpleNamespace, say: Callable[[str], None]) -> "Screen":
    """Read the allow-list and the baseline, as far as they are given."""
    from nsfwscan.review.allowlist import read_allow_list, today
    from nsfwscan.review.baseline import Baseline
    from nsfwscan.review.screen import Screen

    def on_expired(record: "Record", entry: "Allowance") -> None:
        if given.verbose:
            say(f"nsfwscan: allowed until {entry.until} only: {printable(record.path)}")

    return Screen(
        {} if given.allow is None else read_allow_list(given.allow),
        None if given.baseline is None else Baseline(given.baseline, say),
        today(),
        on_expired,
    )


@contextmanager
def _loading(given: SimpleNamespace) -> "Iterator[Future[_Models]]":
    from nsfwscan.decoding.worker_pool import acquire, release

    release(acquire())

    from nsfwscan.inference.session import engine

    engine()  # the thread creates the session and does not wait for the import lock

    def load() -> "_Models":
        from nsfwscan.inference.classifier import Classifier

        model = Classifier.load(given.model, manifest=given.manifest, device=given.device)
        if not (given.fast or given.companion) or model.device != "cpu":
            return model, None
        from nsfwscan.inference.companion import load_companion

        return model, load_companion(given.companion)

    loader = ThreadPoolExecutor(1, "load")
    try:
        yield loader.submit(load)
    finally:
        loader.shutdown(wait=False)  # an interrupted scan does not wait for a pipe to open


def _sources(given: SimpleNamespace, stack: ExitStack) -> "Iterable[Source]":
    """Give the paths, with standard input as an entry, and then the paths of the list."""
    sources: list[Source] = list(dict.fromkeys(given.paths or ()))
    if STDIN in sources:
        sources[sources.index(STDIN)] = _image_from_stdin(given.max_filesize)
    return list_of(sources, given, stack, given.timeout)


def list_of(
    sources: "list[Source]",
    given: SimpleNamespace,
    stack: ExitStack,
    timeout: float = TIMEOUT,
) -> "Iterable[Source]":
    """Give some sources and then the paths of the list, if there is one.

    A URL of the list is that of an object, unless it ends with a slash: nobody asks the store.
    """
    if given.files_from is None:
        return sources
    from nsfwscan.sources.entry import Problem, SourceError
    from nsfwscan.sources.remote.entries import Remote
    from nsfwscan.sources.remote.url import is_url, parse_url
    from nsfwscan.sources.tables import is_table, read_table
    from nsfwscan.sources.walk import read_list

    remote = Remote(timeout)

    def source(named: "str | Problem") -> "Source":
        if isinstance(named, Problem) or not is_url(named):
            return named
        with suppress(SourceError):  # which the entry is then
            if parse_url(named).is_prefix:
                return named
        return remote.entry(named)

    stream = stack.enter_context(_open_list(given.files_from))
    if is_table(given.files_from):
        if given.null:
            raise InputError(f"--null is for a list of bare paths; {given.files_from} is a table")
        return chain(sources, map(source, read_table(stream, given.files_from)))
    return chain(sources, map(source, read_list(stream, null=given.null)))


def _image_from_stdin(max_filesize: int) -> "Entry":
    """Read standard input here: the main thread can be interrupted, and a retry needs the bytes."""
    from nsfwscan.sources.entry import Entry
    from nsfwscan.sources.reader import read_up_to

    try:
        data = read_up_to(_stdin(), max_filesize + 1)
    except OSError as error:
        raise InputError(f"cannot read standard input: {error.strerror}") from error
    return Entry(STDIN, explicit=True, open=lambda: io.BytesIO(data))


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise InputError("standard input is closed")
    return sys.stdin.buffer


def _open_list(name: Path) -> AbstractContextManager[Any]:
    if str(name) == STDIN:
        return nullcontext(_stdin())
    from nsfwscan.util.inputs import open_input

    return open_input(name, "the list")


def _open_cache(
    given: SimpleNamespace, stack: ExitStack, say: Callable[[str], None]
) -> "Cache | None":
    """Open the cache. If the default one is unusable, the scan goes on without a cache."""
    from nsfwscan.cache.database import default_path
    from nsfwscan.cache.store import Cache

    if given.cache is not None:
        return stack.enter_context(Cache(given.cache, max_size=given.max_cache_size))
    try:
        return stack.enter_context(Cache(default_path(), max_size=given.max_cache_size))
    except CacheError as error:
        say(f"nsfwscan: {printable(str(error))}; scanning without it")
        return None
