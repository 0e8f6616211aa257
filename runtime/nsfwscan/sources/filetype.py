"""The type of a file, by its first bytes.

`sniff` returns the image format. `kind_of` returns the kind of a file that is not an image, for
the counts of skipped files. The name of a file only says which format to expect.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Literal

HEAD_BYTES = 512
"""Number of leading bytes that `sniff` and `kind_of` need."""


class Kind(StrEnum):
    """The kind of a skipped entry. An "s" makes each word plural."""

    VIDEO = "video"
    AUDIO = "audio file"
    CAMERA_RAW = "camera raw file"
    VECTOR = "vector graphic"
    DOCUMENT = "document"
    ARCHIVE = "archive"
    TEXT = "text file"
    EMPTY = "empty file"
    OTHER = "other file"
    LINK = "symbolic link"
    HIDDEN_FILE = "hidden file"
    HIDDEN_FOLDER = "hidden folder"
    IGNORED_FILE = "ignored file"
    IGNORED_FOLDER = "ignored folder"
    UNSELECTED_FILE = "unselected file"
    UNSELECTED_FOLDER = "unselected folder"
    DEEPER_FOLDER = "deeper folder"

    def counted(self, count: int) -> str:
        """Return a count with the word: ``1 video``, ``3 videos``."""
        return f"{count:,} {self}" + ("" if count == 1 else "s")


@dataclass(frozen=True, slots=True)
class Format:
    """An image format.

    Attributes
    ----------
    name
        Common name.
    plugin
        Name of the Pillow plugin that decodes it. None if it is recognised but not decoded.
    extensions
        Extensions of this format, in lower case and with the dot.
    matches
        Tells whether a file's first `HEAD_BYTES` bytes have this format.
    animated
        Whether the other frames are separate images, and not layers, thumbnails, other sizes or
        gain maps of the first frame.
    """

    name: str
    plugin: str | None
    extensions: tuple[str, ...]
    matches: Callable[[bytes], bool]
    animated: bool = False


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _begins(header: re.Pattern[bytes]) -> Callable[[bytes], bool]:
    return lambda head: header.match(head) is not None


def _brands(head: bytes) -> frozenset[bytes]:
    """Return the major and compatible brands of an ISO media file (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    # The four bytes after the major brand are its version.
    return frozenset(head[i : i + 4] for i in range(8, end - 3, 4) if i != 12)


_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset(
    {
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2",
        b"miaf", b"msf1",
    }
)  # fmt: skip


def _is_avif(head: bytes) -> bool:
    return bool(_brands(head) & _AVIF_BRANDS)


def _is_heif(head: bytes) -> bool:
    return bool(_brands(head) & _HEIF_BRANDS) and not _is_avif(head)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_bmp(head: bytes) -> bool:
    # Text can begin with "BM" too, so the size of the second header must also be valid.
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in {
        12, 16, 40, 52, 56, 64, 108, 124,
    }  # fmt: skip


def _is_icon(head: bytes, kind: int) -> bool:
    """Whether a file is a Windows icon (kind 1) or cursor (kind 2)."""
    count = int.from_bytes(head[4:6], "little")
    offset = int.from_bytes(head[18:22], "little")
    return (
        head[:4] == bytes((0, 0, kind, 0))
        and 0 < count < 256
        and head[9:10] in {b"\0", b"\xff"}  # .NET writes the latter
        and offset >= (6 + 16 * count)
    )


_SPACE = rb"(?:\s|#[^\n]*\n)"
_SIDES = rb"%b+\d+%b+\d+" % (_SPACE, _SPACE)
_PNM = re.compile(
    rb"P(?:1%(sides)b%(space)b[01\s]*(?:#|\Z)|4%(sides)b\s"
    rb"|[23]%(sides)b%(space)b+\d+%(space)b[\d\s]*(?:#|\Z)|[56]%(sides)b%(space)b+\d+\s)"
    % {b"sides": _SIDES, b"space": _SPACE}
)
"""The whole header. The samples of P1, P2 and P3 are text of digits."""


_PAM = re.compile(rb"P7\n(?:#|\n|(?:WIDTH|HEIGHT|DEPTH|MAXVAL|TUPLTYPE|ENDHDR)\b)")
_PFM = re.compile(rb"P[Ff]\s+\d+\s+\d+\s+[-+]?[\d.]")
_RADIANCE = re.compile(rb"#\?(?:RADIANCE|RGBE)\n(?s:.*?\n)??(?:FORMAT=|\n)")


def _is_qoi(head: bytes) -> bool:
    return head[:4] == b"qoif" and head[12:13] in {b"\3", b"\4"} and head[13:14] in {b"\0", b"\1"}


def _is_flif(head: bytes) -> bool:
    # The channels and the animation, then the bytes of a channel as a digit.
    return head[:4] == b"FLIF" and re.match(rb"[134ACDQSTacd][012]", head[4:6]) is not None


def _is_apple_icon(head: bytes) -> bool:
    size, first = (int.from_bytes(head[i : i + 4], "big") for i in (4, 12))
    # Four characters of text are a larger number.
    return head[:4] == b"icns" and 8 <= first <= size - 8 and size < 1 << 29


_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")
"""Characters that text does not contain."""


def _is_gif(head: bytes) -> bool:
    # In the sides, flags, background and aspect ratio, of which the last is mostly zero.
    return head.startswith((b"GIF87a", b"GIF89a")) and _CONTROL.search(head[6:13]) is not None


def _is_jpeg_xl(head: bytes) -> bool:
    bare = head[:2] == b"\xff\n" and re.search(rb"[\0-\x08\x0e-\x1f\x7f-\xff]", head[2:])
    return bool(bare) or head.startswith(b"\0\0\0\x0cJXL \r\n\x87\n")


_RAW_TAGS = frozenset({271, 330, 33421, 33422, 50706})
"""Maker, further images, sensor data and DNG: tags of the first directory of camera raw files."""


def _is_raw_tiff(head: bytes) -> bool:
    """Whether the first directory of a TIFF is that of a camera raw file, which begins with it."""
    order: Literal["little", "big"] = "little" if head[:1] == b"I" else "big"
    place = int.from_bytes(head[4:8], order)
    entries = int.from_bytes(head[place : place + 2], order)
    tags = (int.from_bytes(head[i : i + 2], order)
            for i in range(place + 2, min(place + 2 + 12 * entries, len(head)), 12))  # fmt: skip
    return not _RAW_TAGS.isdisjoint(tags)


def _is_canon_raw(head: bytes) -> bool:
    return head[:4] == b"II*\0" and head[8:10] == b"CR"


def _is_tiff(head: bytes) -> bool:
    return head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")) and not _is_canon_raw(head)


FORMATS: tuple[Format, ...] = (
    Format("JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), _starts(b"\xff\xd8\xff")),
    Format("PNG", "PNG", (".png", ".apng"), _starts(b"\x89PNG\r\n\x1a\n"), animated=True),
    Format("WebP", "WEBP", (".webp",), _is_webp, animated=True),
    Format("GIF", "GIF", (".gif",), _is_gif, animated=True),
    Format("HEIF", "HEIF", (".heic", ".heif", ".heics", ".heifs", ".hif"), _is_heif, animated=True),
    Format("AVIF", "AVIF", (".avif", ".avifs"), _is_avif, animated=True),
    Format("TIFF", "TIFF", (".tif", ".tiff"), _is_tiff, animated=True),
    Format("BMP", "BMP", (".bmp", ".dib"), _is_bmp),
    Format(
        "JPEG 2000",
        "JPEG2000",
        (".jp2", ".j2k", ".jpf", ".jpx", ".j2c"),
        _starts(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xffO\xffQ"),
    ),
    Format("Photoshop", "PSD", (".psd",), _starts(b"8BPS\0\1")),
    Format("PNM", "PPM", (".ppm", ".pgm", ".pbm", ".pnm"), _begins(_PNM)),
    Format("ICO", "ICO", (".ico",), lambda head: _is_icon(head, 1)),
    Format("Windows cursor", None, (".cur",), lambda head: _is_icon(head, 2)),
    Format("JPEG XL", None, (".jxl",), _is_jpeg_xl),
    Format("JPEG XR", None, (".jxr", ".wdp", ".hdp"), _starts(b"II\xbc\1")),
    Format("OpenEXR", None, (".exr",), _starts(b"v/1\1")),
    Format("DDS", None, (".dds",), _starts(b"DDS |\0\0\0")),
    Format("QOI", None, (".qoi",), _is_qoi),
    Format("PAM", None, (".pam",), _begins(_PAM)),
    Format("PFM", None, (".pfm",), _begins(_PFM)),
    Format("Radiance HDR", None, (".hdr", ".rgbe"), _begins(_RADIANCE)),
    Format("BPG", None, (".bpg",), _starts(b"BPG\xfb")),
    Format("FLIF", None, (".flif",), _is_flif),
    Format("Photoshop large document", None, (".psb",), _starts(b"8BPS\0\2")),
    Format("Apple icon", None, (".icns",), _is_apple_icon),
    Format("SGI", None, (".sgi", ".rgb", ".rgba", ".bw"), _starts(b"\1\xda\0\1", b"\1\xda\1\1")),
    Format("PCX", None, (".pcx",), _starts(b"\n\2\1", b"\n\3\1", b"\n\5\1")),
    Format("TGA", None, (".tga",), lambda _: False),  # no signature in its header
)

_PROMISED = {extension: row for row in FORMATS for extension in row.extensions}

_EXTENSIONS: dict[Kind, str] = {
    Kind.VIDEO: "3g2 3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv qt ts vob webm wmv",
    Kind.AUDIO: "aac aif aiff amr ape flac m4a m4b mid midi mp3 oga ogg opus wav wma",
    Kind.CAMERA_RAW: (
        "3fr ari arw bay cap cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf "
        "pef raf raw rw2 rwl sr2 srf srw x3f"
    ),
    Kind.VECTOR: "ai cdr drawio emf eps svg svgz wmf",
    Kind.DOCUMENT: (
        "azw3 doc docx epub key mobi numbers odp ods odt pages pdf ppt pptx ps rtf xls xlsx"
    ),
    Kind.ARCHIVE: "7z bz2 cab cbr cbz dmg gz iso jar lz4 rar tar tgz xz zip zst",
    Kind.TEXT: "aae cfg css csv htm html ini js json jsonl log md py rst srt toml tsv txt xml xmp "
    "yaml yml",
}  # fmt: skip
_KIND_BY_EXTENSION = {
    f".{word}": kind for kind, words in _EXTENSIONS.items() for word in words.split()
}

_SIGNATURES: tuple[tuple[Kind, tuple[bytes, ...]], ...] = (
    (Kind.VIDEO, (b"\x1aE\xdf\xa3", b"FLV\1", b"\0\0\1\xba", b"\0\0\1\xb3")),
    (Kind.VIDEO, (b"0&\xb2u\x8ef\xcf\x11",)),
    (Kind.AUDIO, (b"ID3", b"fLaC", b"#!AMR")),
    (Kind.CAMERA_RAW, (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"IIU\0", b"FOVb")),
    (Kind.DOCUMENT, (b"%PDF-", b"{\\rtf")),
    (Kind.VECTOR, (b"%!PS", b"<svg")),
    (Kind.ARCHIVE, (b"Rar!\x1a\x07", b"7z\xbc\xaf'\x1c", b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh")),
)  # fmt: skip


def extension_of(name: str) -> str:
    """Return the extension of a file name in lower case and with its dot, or an empty string."""
    return PurePath(name).suffix.lower()


def promised_format(name: str) -> Format | None:
    """Return the image format of a file name's extension, or None."""
    return _PROMISED.get(extension_of(name))


def kind_by_name(name: str) -> Kind | None:
    """Return the kind of file that a file name's extension stands for, or None."""
    return _KIND_BY_EXTENSION.get(extension_of(name))


def sniff(head: bytes, name: str = "") -> Format | None:
    """Return the image format of a file, or None.

    Parameters
    ----------
    head
        The file's first `HEAD_BYTES` bytes.
    name
        The file's name. A TIFF file with an extension and a directory of a camera raw format is not
        an image: most camera raw files are TIFF files with sensor data.
    """
    for row in FORMATS:
        if row.matches(head):
            named_raw = row.name == "TIFF" and kind_by_name(name) is Kind.CAMERA_RAW
            return None if named_raw and _is_raw_tiff(head) else row
    return None


def kind_of(head: bytes, name: str = "") -> Kind:
    """Return the kind of a file that is not an image: by content if certain, else by name.

    Parameters
    ----------
    head
        The file's first `HEAD_BYTES` bytes.
    name
        The file's name.
    """
    if not head:
        return Kind.EMPTY
    if head[4:8] == b"ftyp":
        major = head[8:12]
        if major == b"crx ":
            return Kind.CAMERA_RAW
        return Kind.AUDIO if major in {b"M4A ", b"M4B "} else Kind.VIDEO
    if head[:4] == b"RIFF":
        return {b"AVI ": Kind.VIDEO, b"WAVE": Kind.AUDIO}.get(head[8:12], Kind.OTHER)
    if _is_canon_raw(head):
        return Kind.CAMERA_RAW
    for kind, signatures in _SIGNATURES:
        if head.startswith(signatures):
            return kind
    is_text = _CONTROL.search(head) is None
    by_name = kind_by_name(name)
    if is_text and by_name in {Kind.VIDEO, Kind.AUDIO, None}:
        return Kind.TEXT  # also TypeScript
    return by_name or (Kind.ARCHIVE if head.startswith(b"PK\3\4") else Kind.OTHER)
