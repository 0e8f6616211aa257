"""Train image classifiers on a labelled collection of your own.

`read_run` and `read_runs` load pandas when they are first used: importing the package is cheap.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsfwtrain.run.results import Run, read_run, read_runs

__all__ = ["Run", "read_run", "read_runs"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nsfwtrain.run import results

    return getattr(results, name)
