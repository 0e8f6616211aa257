"""The page: one HTML file with its styles, its script and its data."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from typing import Any

import jinja2

from nsfwscan.util.escape import to_json

_ITEMS, _FACTS = "\0items\0", "\0facts\0"


def render(
    title: str, items: Iterable[list[Any]], facts: Callable[[], dict[str, Any]], *, single: bool
) -> Iterator[str]:
    """Yield the parts of the page, without holding all items in memory.

    Parameters
    ----------
    title
        Its title: untrusted text.
    items
        The rows of data, see `nsfwscan.review.items.Items`.
    facts
        Called for the facts of the scan after the items are consumed.
    single
        Whether the thumbnails are in the page, and not in files beside it.
    """
    folder = files("nsfwscan.review").joinpath("page")
    template, style, script = (
        folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("index.html.j2", "page.css", "page.js")
    )
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_source(script)}",
            f"style-src {_source(style)}",
            "img-src data:" if single else "img-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(template).render(
        title=title, policy=policy, style=style, script=script, items=_ITEMS, facts=_FACTS
    )
    head, _, rest = page.partition(_ITEMS)
    middle, _, tail = rest.partition(_FACTS)
    yield head
    separator = "["
    for item in items:
        yield f"{separator}\n{_in_script(item)}"
        separator = ","
    yield "[]" if separator == "[" else "\n]"
    yield middle
    yield _in_script(facts())
    yield tail


def _source(text: str) -> str:
    """Return the source expression of an inline element (Content Security Policy, level 2)."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _in_script(value: Any) -> str:
    """Return JSON that cannot end the script element that it is in (HTML, 4.12.1.3)."""
    return to_json(value).replace("<", "\\u003c")
