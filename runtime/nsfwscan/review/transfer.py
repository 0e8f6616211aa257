"""Look at files, copy them and move them, without ever replacing one."""

import errno
import hashlib
import os
import shutil
import stat
from contextlib import suppress

from nsfwscan.review.steps import NotDoneError, State


def read_state(path: str, *, follow: bool) -> State:
    """Return what a file is, and the digest of its content.

    Parameters
    ----------
    path
        A regular file, or a symbolic link to one.
    follow
        Whether a symbolic link stands for the file that it points to.

    Raises
    ------
    OSError
        If it cannot be read.
    NotDoneError
        If it is no file.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
        raise NotDoneError("it is not a file")
    info = os.stat(path, follow_symlinks=follow)
    link = leads_to = None
    if stat.S_ISLNK(info.st_mode):
        link = os.readlink(path)
        head, name = os.path.split(os.path.join(os.path.dirname(path), link))
        leads_to = os.path.join(os.path.realpath(head), name)
    return State(
        sha256=digest(path),
        link=link,
        leads_to=leads_to,
        size=info.st_size,
        mtime_ns=info.st_mtime_ns,
        ctime_ns=info.st_ctime_ns,
        inode=info.st_ino,
        device=info.st_dev,
        mode=stat.S_IMODE(info.st_mode),
    )


def digest(path: str) -> str:
    """Return the SHA-256 of a file's content, in lower-case hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def holds(path: str, sha256: str | None, link: str | None) -> bool:
    """Return whether a path holds a file of this content, or a symbolic link of this text."""
    try:
        mode = os.lstat(path).st_mode
        if link is not None:
            return stat.S_ISLNK(mode) and os.readlink(path) == link
        return stat.S_ISREG(mode) and digest(path) == sha256
    except FileNotFoundError:
        return False


def is_same_entry(path: str, other: str) -> bool:
    """Return whether two paths lead to one name of one file, as through a link to a folder.

    Deleting one of them would delete the other. Two hard links are two names.
    """
    try:
        info, other_info = os.lstat(path), os.lstat(other)
    except FileNotFoundError:
        return False
    if not os.path.samestat(info, other_info):
        return False
    places = [
        os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p))
        for p in (path, other)
    ]
    return places[0] == places[1] or info.st_nlink == 1  # where case makes no difference


def check_unchanged(path: str, state: State) -> None:
    """Check that a file is what it was. It is read again only if its stamps differ.

    Raises
    ------
    NotDoneError
        If it is not.
    """
    try:
        info = os.stat(path, follow_symlinks=state.link is None)
    except FileNotFoundError:
        raise NotDoneError("it is no longer there") from None
    stamps = info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev
    if stamps == (state.size, state.mtime_ns, state.ctime_ns, state.inode, state.device):
        return
    if state.link is not None:
        same = holds(path, None, state.link)
    else:
        same = stat.S_ISREG(info.st_mode) and digest(path) == state.sha256
    if not same:
        raise NotDoneError("it has changed meanwhile")


def discard(path: str) -> None:
    """Delete a temporary file, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def claim(source: str, target: str) -> None:
    """Rename a file within a file system, unless the target exists.

    A hard link is the one operation of POSIX that never replaces a file. Where a file system has
    none (FAT), a look at the target precedes the renaming.

    Raises
    ------
    FileExistsError
        If the target exists.
    OSError
        With the number EXDEV if the target lies on another file system.
    """
    if os.name == "nt":
        os.rename(source, target)  # fails if the target exists
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        os.rename(source, target)
    else:
        _remove(source, target)


def replicate(source: str, target: str, temporary: str, state: State) -> None:
    """Copy a file with its times and mode, and verify the copy before it gets its name.

    Parameters
    ----------
    source
        The file.
    target
        A name that is free.
    temporary
        A name in the same folder, which a killed copy leaves.
    state
        What the copy must be.

    Raises
    ------
    FileExistsError
        If the target exists.
    OSError
        If it cannot be read or written.
    NotDoneError
        If the copy differs.
    """
    try:
        if state.link is not None:
            os.symlink(state.link, temporary)
        else:
            _copy(source, temporary, state)
        restore_stamps(temporary, state)
        claim(temporary, target)
    except BaseException:
        discard(temporary)
        raise
    sync_folder(os.path.dirname(target))


def transfer(source: str, target: str, temporary: str, state: State) -> None:
    """Move a file, across file systems too, unless the target exists.

    A symbolic link gets the text of the state. The arguments and exceptions are those of
    `replicate`.
    """
    if state.link is None or os.readlink(source) == state.link:
        try:
            claim(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return
    replicate(source, target, temporary, state)
    _remove(source, target)


def write_new(path: str, content: bytes, mode: int) -> None:
    """Write a file that does not exist yet, onto the disk.

    Raises
    ------
    OSError
        If it cannot be written. Nothing is left of it.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(path, flags, mode), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        raise
    except BaseException:
        discard(path)
        raise


def restore_stamps(path: str, state: State) -> None:
    """Give a file the mode and the time stamp that it had."""
    if state.link is None:
        os.chmod(path, state.mode)
    times = os.stat(path, follow_symlinks=False).st_atime_ns, state.mtime_ns
    if os.utime in os.supports_follow_symlinks:
        os.utime(path, ns=times, follow_symlinks=False)
    elif state.link is None:
        os.utime(path, ns=times)


def sync_folder(folder: str) -> None:
    """Wait until the names of a folder are on the disk, where the system can do that."""
    with suppress(OSError):  # Windows opens no folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _copy(source: str, temporary: str, state: State) -> None:
    """Copy content, extended attributes and, where it is allowed, the owner, and verify them."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with (
        open(source, "rb") as old,
        open(os.open(temporary, flags, 0o600), "wb") as new,
    ):
        shutil.copyfileobj(old, new, 1 << 20)
        new.flush()
        os.fsync(new.fileno())
    if hasattr(os, "chown"):
        info = os.stat(source)
        with suppress(OSError):
            os.chown(temporary, info.st_uid, info.st_gid)
    shutil.copystat(source, temporary)
    if digest(temporary) != state.sha256:
        raise NotDoneError("its copy differs")


def _remove(source: str, target: str) -> None:
    """Remove the old name of a file that has a new one, or else the new one."""
    try:
        os.unlink(source)
    except OSError:
        os.unlink(target)
        raise
