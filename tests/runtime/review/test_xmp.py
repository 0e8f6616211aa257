import re
import xml.etree.ElementTree as ET

import pytest

from nsfwscan.review.steps import NotDoneError
from nsfwscan.review.xmp import NAMESPACE, extended

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/elements/1.1/}"
DIGIKAM = "{http://www.digikam.org/ns/1.0/}"
LIGHTROOM = "{http://ns.adobe.com/lightroom/1.0/}"
HIERARCHIES = (f"{DIGIKAM}TagsList", f"{LIGHTROOM}hierarchicalSubject")

OF_LIGHTROOM = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
   crs:Exposure2012="+0.50">
   <!-- kept -->
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Berlin &amp; Köln</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>place|Berlin</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()

OF_DIGIKAM = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="1"/>
<rdf:Description rdf:about="" xmlns:digiKam="http://www.digikam.org/ns/1.0/">
<digiKam:TagsList><rdf:Seq><rdf:li>trips</rdf:li></rdf:Seq></digiKam:TagsList>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"""


def keywords(content: bytes, tag: str) -> list[str | None]:
    (found,) = ET.fromstring(content).iter(tag)
    return [item.text for item in found.iter(f"{RDF}li")]


def container_of(content: bytes, tag: str) -> str:
    ((container,),) = ET.fromstring(content).iter(tag)
    return container.tag


def score(content: bytes) -> str | None:
    (found,) = ET.fromstring(content).iter(f"{{{NAMESPACE}}}Score")
    return found.text


def canonical(text: str) -> str:
    """Return a document so that equal ones are the same text; with comments and instructions."""
    return ET.canonicalize(text.removeprefix("\ufeff"), with_comments=True, strip_text=True)


def without_ours(made: bytes, content: bytes) -> str:
    """Remove what has been added to a sidecar, as text."""
    text = made.decode()
    if b"dc:subject" not in content:
        text = re.sub(r"(?s)<dc:subject .*?</dc:subject>", "", text)
    return re.sub(r"<rdf:li>indecent</rdf:li>|<nsfwscan:Score .*?</nsfwscan:Score>", "", text)


def test_a_new_sidecar() -> None:
    made = extended(None, 0.93)
    assert keywords(made, f"{DC}subject") == ["indecent"]
    assert keywords(made, f"{DIGIKAM}TagsList") == ["indecent"]
    assert [container_of(made, tag) for tag in (f"{DC}subject", f"{DIGIKAM}TagsList")] == [
        f"{RDF}Bag", f"{RDF}Seq",
    ]  # fmt: skip
    assert score(made) == "0.93"
    assert made.splitlines()[0] == (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode()
    )
    assert made.endswith(b'\n<?xpacket end="w"?>\n')
    assert b"Score" not in extended(None, None)


@pytest.mark.parametrize(
    ("content", "hierarchy"),
    [(OF_LIGHTROOM, f"{LIGHTROOM}hierarchicalSubject"), (OF_DIGIKAM, f"{DIGIKAM}TagsList")],
    ids=["Lightroom", "digiKam"],
)
def test_an_existing_sidecar_is_extended(content: bytes, hierarchy: str) -> None:
    made = extended(content, 0.5)
    assert keywords(made, f"{DC}subject")[-1] == "indecent"
    assert keywords(made, hierarchy) == [*keywords(content, hierarchy), "indecent"]
    assert score(made) == "0.5"
    assert canonical(without_ours(made, content)) == canonical(content.decode())
    other = next(tag for tag in HIERARCHIES if tag != hierarchy)
    assert not list(ET.fromstring(made).iter(other))
    assert extended(made, 0.5) == made
    assert score(extended(made, 0.75)) == "0.75"


def test_programs_that_read_another_list_still_find_all_keywords() -> None:
    """Immich reads no `dc:subject`, and digiKam reads it only without the other lists."""
    before, _, rest = OF_LIGHTROOM.decode().partition("   <lr:hierarchicalSubject>")
    content = (before + rest.partition("</lr:hierarchicalSubject>\n")[2]).encode()
    made = extended(content, 0.5)
    all_ = ["Berlin & Köln", "indecent"]
    assert keywords(made, f"{DC}subject") == all_
    assert keywords(made, f"{DIGIKAM}TagsList") == all_
    assert extended(made, 0.5) == made


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "iso-8859-1"])
def test_the_encoding_is_kept(encoding: str) -> None:
    name = encoding.removesuffix("-sig")
    body = OF_LIGHTROOM.decode().replace("\ufeff", "").replace("Berlin ", "&#8364; ")
    content = f'<?xml version="1.0" encoding="{name}"?>\n{body}'.encode(encoding)
    made = extended(content, 0.5)
    assert made[:4] == content[:4]
    assert keywords(made, f"{DC}subject") == ["\u20ac & Köln", "indecent"]


BILLION = (
    b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n'
    + OF_DIGIKAM.replace(b"trips", b"&b;").partition(b"\n")[2]
)
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n<a>&a;</a>'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no XML"),
        (b"<a", "is no XML"),
        (b"\x89PNG\r\n", "is no XML"),
        (b"<a>" * 5000, "is no XML"),
        (b"<a/>", "is no XMP"),
        (BILLION, "declares a document type"),
        (OUTSIDE, "declares a document type"),
        (OF_LIGHTROOM.replace(b"rdf:Bag", b"x:Bag"), "are no list"),
    ],
)
def test_what_is_no_xmp_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(NotDoneError, match=why):
        extended(content, 0.5)


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.0, "0.0"), (5e-05, "0.00005"), (0.9, "0.9"), (1.0, "1.0"), (0.123456, "0.123456")],
)
def test_a_score_is_a_real_number_of_xmp(score: float, text: str) -> None:
    (found,) = ET.fromstring(extended(None, score)).iter(f"{{{NAMESPACE}}}Score")
    assert found.text == text


def test_keywords_in_an_attribute_are_refused() -> None:
    """A second `dc:subject`, as an element, would be no XMP."""
    with_attribute = OF_DIGIKAM.replace(
        b'tiff:Orientation="1"', b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:subject="cat"'
    )
    with pytest.raises(NotDoneError, match="has keywords that are no list"):
        extended(with_attribute, 0.9)
