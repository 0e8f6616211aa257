"""Say in words what an evaluation means."""

from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import binomtest

from nsfwtrain.run.left_out import left_out_lines
from nsfwtrain.run.options import Converged, Study

_SURE = 0.05  # the probability of a chance result below which a model counts as better
_FIX = (
    "look for wrong labels and near-duplicates with nsfwtrain audit, add images of both labels, or "
    "choose a larger variant"
)


_ADVICE = {Study.name: "train with --recipe converged; if that does not help, "}


def summary(facts: Mapping[str, Any]) -> list[str]:
    """Return the lines that a run ends with.

    Parameters
    ----------
    facts
        The facts of the run, see `nsfwtrain.run.folder`.
    """
    metrics, estimate = facts["metrics"], facts.get("estimate")
    lines = left_out_lines(facts)
    loss, accuracy = _interval(metrics, "loss"), _interval(metrics, "accuracy")
    lines.append(f"test: loss {loss}, accuracy {accuracy} on {metrics['images']:,} images")
    if estimate is not None:
        loss, accuracy = _interval(estimate, "loss"), _interval(estimate, "accuracy")
        lines.append(
            f"cross-validation: loss {loss}, accuracy {accuracy} on all {estimate['images']:,} "
            f"images, {estimate['repeats']} times in {estimate['folds']} folds"
        )
    return [*lines, verdict(metrics, estimate, facts["options"]["recipe"])]


def _interval(values: Mapping[str, Any], name: str) -> str:
    low, high = values[f"{name}_95_low"], values[f"{name}_95_high"]
    return f"{values[name]:.4f} ({low:.4f} to {high:.4f})"


def verdict(
    metrics: Mapping[str, Any], estimate: Mapping[str, Any] | None, recipe: str = Converged.name
) -> str:
    """Say whether a model is better than always giving the more frequent label.

    A one-sided exact binomial test decides. A large test part is tested on its own. Otherwise the
    cross-validated estimate is tested, in which both labels have the same weight.

    Parameters
    ----------
    metrics
        See `nsfwtrain.run.metrics.evaluate`.
    estimate
        The fields of a `nsfwtrain.run.resampling.Estimate`, or None.
    recipe
        The recipe that the model was trained with.
    """
    if estimate is None:
        confusion: Sequence[Sequence[int]] = metrics["confusion"]
        total, right = metrics["images"], confusion[0][0] + confusion[1][1]
        constant = max(sum(row) for row in confusion) / total
        accuracy, where = metrics["accuracy"], f"the {total:,} test images"
    else:
        total, accuracy, constant = estimate["independent"], estimate["accuracy"], 0.5
        right = round(accuracy * total)
        where = f"{estimate['images']:,} images, cross-validated"
    chance = binomtest(right, total, constant, alternative="greater").pvalue
    compared = (
        f"accuracy {accuracy:.3f} instead of {constant:.3f}, {accuracy - constant:+.3f}, on {where}"
    )
    if chance >= _SURE:
        return (
            "The model is not shown to be better than always giving the more frequent label: "
            f"{compared} (p = {chance:.2f}); {_ADVICE.get(recipe, '')}{_FIX}"
        )
    shown = "p < 0.001" if chance < 0.001 else f"p = {chance:.3f}"
    return f"The model is better than always giving the more frequent label: {compared} ({shown})"
