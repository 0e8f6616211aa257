"""Train image classifiers on your own labelled collection.

Importing the package is cheap: `read_run` and `read_runs` load pandas on first use.
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
