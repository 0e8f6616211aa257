"""Write a comparison: a page, its charts, and tables for spreadsheets."""

from importlib.resources import files
from pathlib import Path

import jinja2

from nsfwexport.evaluation import table
from nsfwexport.evaluation.charts import draw
from nsfwexport.evaluation.compare import Evaluation
from nsfwexport.evaluation.metrics import RESAMPLES, Disagreement
from nsfwscan.util.escape import printable
from nsfwscan.util.files import atomic_path, atomic_write, check_outputs

FILES = ("compare.html", "models.csv", "images.csv", "roc.png", "speed-and-quality.png")
"""The files of a comparison."""

_MOST = 200  # rows of a list on the page
_CSS = files("nsfwexport.evaluation") / "templates" / "compare.css"


def _finalized(value: object) -> object:
    """Make text printable before the template escapes it."""
    return printable(value) if type(value) is str else value


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `FILES` into a folder, which exists; list them.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    check_outputs(folder, FILES)
    texts = {
        "compare.html": render(evaluation),
        "models.csv": table.models_csv(evaluation),
        "images.csv": table.images_csv(evaluation),
    }
    for name, figure in draw(evaluation).items():
        with atomic_path(folder / name) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    for name, text in texts.items():
        with atomic_write(folder / name) as stream:
            stream.write(text)
    return [folder / name for name in FILES]


def render(evaluation: Evaluation) -> str:
    """Return the page."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("nsfwexport.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    return templates.get_template("compare.html.j2").render(
        evaluation=evaluation,
        zeros=int((evaluation.labels == 0).sum()),
        ones=int((evaluation.labels == 1).sum()),
        sections=table.sections(evaluation),
        lists=_lists(evaluation),
        most=_MOST,
        resamples=RESAMPLES,
        css=_CSS.read_text(encoding="utf-8"),
    )


def _lists(evaluation: Evaluation) -> list[tuple[str, str, list[Disagreement]]]:
    """Return title, explanation and images of each list of the page."""
    first = evaluation.models[0].name
    if not evaluation.reference:
        said = "Each model decides at its own threshold."
        return [("Images on which the models decide differently", said, [*evaluation.differing])]
    found = []
    for number, model in enumerate(evaluation.models[1:], 1):
        for flagged, word in ((True, "flagged"), (False, "safe")):
            said = f"{first} decides otherwise."
            images = evaluation.changed(number, flagged=flagged)
            found.append((f"Newly {word} by {model.name}", said, images))
    return found
