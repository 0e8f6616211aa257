"""Write files completely or not at all, and keep what they replace.

Every output of the three commands goes through this module:

1. `check_output` proves, before the work, that the file can be written and is none of the inputs.
2. `atomic_path` and `atomic_write` collect the new content in a temporary folder.
3. At the end, the new file takes over mode, owner and access list of the old one, and its name.
   Where a file cannot be replaced in this way, its content is: a hard link, the target of a bind
   mount, a file in a folder that is not writable, a file of somebody else.

A temporary folder is locked by its process. The next process that writes into the same place
removes those whose lock is free.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TextIO

from nsfwscan.errors import OutputError
from nsfwscan.util.lock import InUseError, locked

_BLOCK = 1 << 20  # bytes of a write

_folders = set[str]()
"""Names of the temporary folders of this process."""

_NAME = re.compile(r"\.nsfwscan-\w{8}\.tmp", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]+:[/\\]", re.IGNORECASE)  # a drive has one letter
_LOCK = ".nsfwscan-lock"
"""A file in each temporary folder."""


def is_temporary(name: str) -> bool:
    """Return whether this process now has a temporary folder of this name.

    The names are random. Any folder that looked like one would be a place to hide images from a
    scan.
    """
    return name in _folders


def check_local(target: Path) -> None:
    """Raise `OutputError` for a URL, of which `Path` would make a folder such as ``s3:``."""
    if _URL.match(str(target)) and not Path(target.parts[0]).exists():
        raise OutputError(
            f"cannot write {target}: nothing is written to URLs; name a file or folder of this "
            "machine"
        )


@contextmanager
def write_errors(target: object) -> Iterator[None]:
    """Raise `OSError` as `OutputError`, except if the reader closed the pipe."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def check_output(target: Path, inputs: Iterable[Path | int] = ()) -> None:
    """Check that a file can be written and is none of the inputs, without changing anything.

    Parameters
    ----------
    target
        The output.
    inputs
        Files, folders and file descriptors that the command reads. No output may lie below an
        input folder. Inputs that do not exist are ignored.

    Raises
    ------
    OutputError
        If the target cannot be written, or is an input.
    """
    if target == Path("-"):
        raise OutputError("cannot write -: this output does not go to standard output; name a file")
    check_local(target)
    with write_errors(target):
        final = _checked(target)
        for source in inputs:
            if _is_input(final, source):
                name = "standard input" if source == 0 else source
                raise OutputError(f"cannot write {target}: {name} is an input; name another file")
        with temporary_folder(final):
            pass


def check_outputs(folder: Path, names: Iterable[str], inputs: Iterable[Path | int] = ()) -> None:
    """Check several files of a folder, which may not exist yet, as `check_output` does.

    Raises
    ------
    OutputError
        If a file or the folder cannot be written, or a file is an input.
    """
    check_local(folder)
    with write_errors(folder):
        place = next(path for path in (folder, *folder.parents) if path.exists())
    missing = folder.relative_to(place).parts[:1]
    for name in missing or names:
        check_output(place / name, inputs)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path, and make it the target at the end of the ``with`` block.

    If the block raises, the target is unchanged. If the target is a symbolic link, it stays one,
    and the file that it points to is written.

    Raises
    ------
    OutputError
        If the target cannot be written.
    """
    with write_errors(target):
        final = _checked(target)
        with temporary_folder(final) as folder:
            temporary = Path(folder, final.name)
            yield temporary
            _publish(temporary, final)


@contextmanager
def atomic_write(
    target: Path, *, stream: bool = False, encoding: str = "utf-8", errors: str = "strict"
) -> Iterator[TextIO]:
    """Open a text file for writing, and make it the target at the end, as `atomic_path` does.

    A target that is not a regular file (a pipe, a terminal, ``/dev/null``) is written directly.

    Parameters
    ----------
    target
        The file.
    stream
        Write directly to the file, for readers that follow it as it grows.
    encoding, errors
        As for `open`. Line endings are not translated.

    Raises
    ------
    OutputError
        If the target cannot be written.
    """
    with write_errors(target):
        if stream or is_special(target):
            _checked(target)
            with target.open("w", encoding=encoding, errors=errors, newline="") as file:
                yield file
            return
        with (
            atomic_path(target) as temporary,
            temporary.open("w", encoding=encoding, errors=errors, newline="") as file,
        ):
            yield file


def _checked(target: Path) -> Path:
    """Return the file behind a path, if it can be written or its folder exists."""
    final = Path(os.path.realpath(target))  # Path.resolve() raises RuntimeError for a loop
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        if not final.parent.is_dir():
            why = f"there is no folder {target.parent}"
            raise OutputError(f"cannot write {target}: {why}") from None
        return final
    if stat.S_ISDIR(mode):
        raise OutputError(f"cannot write {target}: it is a folder")
    if stat.S_ISREG(mode):
        os.close(os.open(target, os.O_WRONLY))  # the only proof; truncates nothing
    return final if final.exists() else target  # in /dev/fd, a pipe or a deleted file has no path


def _is_input(final: Path, source: Path | int) -> bool:
    """Return whether a file is the input or lies below it. A device or a pipe is no input."""
    try:
        read = os.stat(source)
    except OSError:
        return False
    if isinstance(source, Path) and stat.S_ISDIR(read.st_mode):
        return Path(os.path.realpath(source)) in final.parents
    return stat.S_ISREG(read.st_mode) and final.exists() and os.path.samestat(read, final.stat())


def is_special(path: Path) -> bool:
    """Return whether a path exists and is neither a regular file nor a folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


@contextmanager
def temporary_folder(final: Path) -> Iterator[str]:
    """Create a folder for new content beside a target, until the block ends.

    `is_temporary` knows its name. What killed processes have left in the same place is removed
    first.

    It is a new folder, because another user could create a link at a predictable name. Nobody else
    can enter it, so that the content of a private file stays private.
    """
    with ExitStack() as stack:
        folder = _new_folder(final, stack)
        name = os.path.basename(folder)
        _folders.add(name)
        stack.callback(_folders.discard, name)
        yield folder


def _new_folder(final: Path, stack: ExitStack) -> str:
    """Create a folder beside the target, or else where the system has its temporary files."""
    if not final.exists():
        return _created_in(final.parent, stack)
    if not is_special(final):
        with suppress(OSError):
            return _created_in(final.parent, stack)
    return _created_in(Path(gettempdir()), stack)


def _created_in(place: Path, stack: ExitStack) -> str:
    with suppress(OSError):  # a folder can be writable and not readable
        for name in filter(_NAME.fullmatch, os.listdir(place)):
            if name not in _folders:
                _remove_left_over(place / name)
    while True:
        folder = stack.enter_context(TemporaryDirectory(".tmp", ".nsfwscan-", place))
        try:
            stack.enter_context(locked(Path(folder, _LOCK)))
        except (InUseError, FileNotFoundError):
            continue  # another process is removing it
        except OSError:
            pass  # the file system has no locks
        return folder


def _remove_left_over(folder: Path) -> None:
    """Remove a temporary folder, if the process that created it has ended."""
    with suppress(OSError, InUseError):  # it is another user's, or in use
        if (folder / _LOCK).is_file():
            with locked(folder / _LOCK):
                shutil.rmtree(folder)


def _publish(temporary: Path, final: Path) -> None:
    """Give the target the new content."""
    if not final.exists():
        temporary.replace(final)
        return
    if not is_special(final) and final.stat().st_nlink == 1:
        with suppress(OSError):  # the owner cannot be kept, or the name is that of a bind mount
            take_over(temporary, final)
            temporary.replace(final)
            return
    _write_in_place(temporary, final)


def take_over(temporary: Path, final: Path) -> None:
    """Give a new file the owner, the mode and the access list of the old one."""
    if hasattr(os, "chown"):
        old = final.stat()
        os.chown(temporary, old.st_uid, old.st_gid)  # clears special modes, so it comes first
    shutil.copystat(final, temporary)
    os.utime(temporary)


def _write_in_place(temporary: Path, final: Path) -> None:
    """Write the new content into the existing file.

    What lies beyond the old end is written first. If the disk is full, it is cut off again, and the
    old content is intact.
    """
    with temporary.open("rb", buffering=0) as new, _open_in_place(final) as out:
        if is_special(final):
            _copy(new, out)
            return
        before = out.seek(0, os.SEEK_END)
        size = new.seek(0, os.SEEK_END)
        try:
            new.seek(before)
            _copy(new, out)
            os.fsync(out.fileno())  # a network file system finds out only now
        except BaseException:
            out.truncate(before)
            raise
        new.seek(0)
        out.seek(0)
        _copy(new, out)
        out.truncate(size)


def _open_in_place(final: Path) -> FileIO:
    """Open an existing file for writing, without truncating it."""
    unwanted = os.O_CREAT | os.O_TRUNC
    return FileIO(final, "w", opener=lambda name, flags: os.open(name, flags & ~unwanted))


def _copy(source: FileIO, out: FileIO) -> None:
    while block := source.read(_BLOCK):
        left = memoryview(block)
        while left:
            left = left[out.write(left) :]
