"""The steps of a plan, as the journal holds them."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

Action = Literal["move", "copy", "link", "trash", "tag"]
Operation = Literal["folder", "move", "drop", "copy", "link", "trash", "tag"]


class NotDoneError(Exception):
    """A step that was refused. The message says why, without the file's name."""


def why(error: Exception) -> str:
    """Return why a step could not be done, without the file's name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a file was when its content was verified.

    Attributes
    ----------
    sha256
        Lower-case hex digest of the content; of what a symbolic link points to.
    link
        The text of a symbolic link that is acted upon itself; None: the file is.
    leads_to
        The file that this link names: an absolute path without symbolic links above the file.
    size, mtime_ns, ctime_ns, inode, device, mode
        As `os.stat_result` has them.
    """

    sha256: str
    link: str | None = None
    leads_to: str | None = None
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of one file or folder. It can be done twice and undone twice.

    Attributes
    ----------
    op
        ``folder`` creates `path`, ``drop`` removes `path` because `target` has the same content,
        and ``tag`` writes the sidecar `target` of the image `path`.
    path, target
        Absolute.
    unit
        Number of the image and the sidecars that belong together.
    is_image
        Whether `path` is an image of the report, and not a sidecar or a folder.
    state
        What `path` was; None for a folder.
    link
        The text of the symbolic link that `target` becomes; None: that of `state`.
    score
        The score that a sidecar gets.
    before, previous
        Content (Base64) and state of the sidecar that is extended; None: there is none.
    """

    op: Operation
    path: str
    target: str = ""
    unit: int = 0
    is_image: bool = False
    state: State | None = None
    link: str | None = None
    score: float | None = None
    before: str | None = None
    previous: State | None = None

    def moved(self, state: State) -> State:
        """Return what `target` becomes when a file of this state is moved."""
        return state if self.link is None else replace(state, link=self.link)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, without those that have their default."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            f.name: asdict(values[f.name]) if isinstance(values[f.name], State) else values[f.name]
            for f in fields(self)
            if values[f.name] != f.default
        }


def step_of(value: dict[str, Any]) -> Step:
    """Return the step that `Step.to_dict` has described.

    Raises
    ------
    TypeError
        If a field is missing or unknown.
    """
    states = {name: State(**value[name]) for name in ("state", "previous") if name in value}
    given: dict[str, Any] = value | states
    return Step(**given)
