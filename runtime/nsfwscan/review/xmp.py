"""Extend XMP sidecars by a keyword and a score. What they contain otherwise stays as it is.

``dc:subject`` has the keywords of an image in XMP (part 1, 8.3), as a bag. Some programs read other
lists, and only the first one that is there:

- Immich: ``digiKam:TagsList``, ``lr:hierarchicalSubject``, and no ``dc:subject``
  (https://docs.immich.app/features/xmp-sidecars);
- digiKam: ``digiKam:TagsList``, ``lr:hierarchicalSubject``, ``dc:subject``, among others
  (``DMetadataSettingsContainer`` in its source).

So the keyword goes into each of these lists that a sidecar has. If it has no list but
``dc:subject``, it gets a ``digiKam:TagsList`` of the same keywords, so that none is lost to those
who read that one.
"""

import re
from collections.abc import Sequence

from lxml import etree

from nsfwscan.review.steps import NotDoneError

KEYWORD = "indecent"
NAMESPACE = "urn:nsfwscan:xmp/"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_DIGIKAM = "http://www.digikam.org/ns/1.0/"
_HIERARCHIES = (
    f"{{{_DIGIKAM}}}TagsList",
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject",
)
_CONTAINERS = _BAG, _SEQ, _ALT = [f"{{{_RDF}}}{name}" for name in ("Bag", "Seq", "Alt")]
_EMPTY = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="nsfwscan">
 <rdf:RDF xmlns:rdf="{_RDF}">
  <rdf:Description rdf:about=""/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()


def extended(content: bytes | None, score: float | None) -> bytes:
    """Return a sidecar with the keyword and the score.

    Parameters
    ----------
    content
        The sidecar so far; None: there is none.
    score
        In [0, 1]; None: it is unknown.

    Raises
    ------
    NotDoneError
        If the content is no XMP, or declares a document type: entities are never expanded.
    """
    content = _EMPTY if content is None else content
    tree = _parse(content)
    rdf = next(tree.iter(f"{{{_RDF}}}RDF"), None)
    if rdf is None:
        raise NotDoneError("its sidecar is no XMP")
    _extend(rdf, score)
    return _written(tree, content)


def _written(tree: "etree._ElementTree", content: bytes) -> bytes:
    """Write a document with the declaration, the mark and the last newline of its old form."""
    encoding = tree.docinfo.encoding or "UTF-8"
    old = content.decode(encoding)
    declared = re.match(r"\ufeff?(<\?xml\s.*?\?>\s*)?", old, re.DOTALL)
    root = tree.getroot()
    before = reversed([*root.itersiblings(preceding=True)])
    nodes = [*before, root, *root.itersiblings()]
    parts = [etree.tostring(node, encoding="unicode", with_tail=False) for node in nodes]
    start = declared[0] if declared else ""
    text = start + "\n".join(parts) + ("\n" if old.endswith("\n") else "")
    return text.encode(encoding, "xmlcharrefreplace")


def _parse(content: bytes) -> "etree._ElementTree":
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, strip_cdata=False
    )
    try:
        tree = etree.fromstring(content, parser).getroottree()
    except (etree.XMLSyntaxError, ValueError) as error:
        raise NotDoneError("its sidecar is no XML") from error
    if tree.docinfo.doctype:
        raise NotDoneError("its sidecar declares a document type, which XMP never does")
    return tree


def _extend(rdf: "etree._Element", score: float | None) -> None:
    about = f"{{{_RDF}}}Description"
    if rdf.find(about) is None:
        _append(rdf, etree.Element(about, {f"{{{_RDF}}}about": ""}))
    descriptions = rdf.findall(about)
    listed = {f"{{{_DC}}}subject", *_HIERARCHIES}
    if any(not listed.isdisjoint(description.attrib) for description in descriptions):
        raise NotDoneError("its sidecar has keywords that are no list")
    subject = _property(descriptions, "dc", _DC, "subject")
    if not len(subject):
        _append(subject, etree.Element(_BAG))
    keywords = _with_keywords(subject, [KEYWORD])
    hierarchies = [one for name in _HIERARCHIES for d in descriptions for one in d.findall(name)]
    if not hierarchies:
        tags = _property(descriptions, "digiKam", _DIGIKAM, "TagsList")
        _append(tags, etree.Element(_SEQ))
        _with_keywords(tags, keywords)
    for listed in hierarchies:
        _with_keywords(listed, [KEYWORD])
    if score is not None:
        for description in descriptions:
            description.attrib.pop(f"{{{NAMESPACE}}}Score", None)
        _property(descriptions, "nsfwscan", NAMESPACE, "Score").text = _real(score)


def _real(score: float) -> str:
    """Write a number as XMP's type Real, which has no exponent, with the score's decimals."""
    return f"{score:.6f}".rstrip("0").ljust(3, "0")


def _with_keywords(listed: "etree._Element", keywords: Sequence[str | None]) -> list[str | None]:
    """Add keywords to a property that lists them, and return all of the list."""
    container = next((one for one in listed if one.tag in _CONTAINERS), None)
    if container is None:
        raise NotDoneError("its sidecar has keywords that are no list")
    found = [item.text for item in container]
    for keyword in keywords:
        if keyword not in found:
            item = etree.Element(f"{{{_RDF}}}li")
            item.text = keyword
            _append(container, item)
            found.append(keyword)
    return found


def _property(
    descriptions: "list[etree._Element]", prefix: str, namespace: str, name: str
) -> "etree._Element":
    """Return a property, which is added where it is missing."""
    tag = f"{{{namespace}}}{name}"
    for description in descriptions:
        found = description.find(tag)
        if found is not None:
            return found
    return _append(descriptions[0], etree.Element(tag, nsmap={prefix: namespace}))


def _append(parent: "etree._Element", child: "etree._Element") -> "etree._Element":
    """Append an element, indented as its siblings are, or by one space more than its parent."""
    outer = (parent.getprevious().tail if parent.getprevious() is not None else None) or (
        parent.getparent().text if parent.getparent() is not None else ""
    )
    if len(parent):
        child.tail, parent[-1].tail = parent[-1].tail, parent.text
    else:
        inner = f"{outer} " if outer and not outer.strip() else None
        parent.text, child.tail = inner, outer if inner else None
    parent.append(child)
    return child
