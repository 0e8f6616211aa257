"""Write and read ICC profiles of RGB and grey spaces with one tone curve for each channel.

Layout and numbers are those of ICC.1:2022. The connection space is XYZ, relative to D50.
"""

import struct
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]
"""From samples to linear light, both in [0, 1]."""

_D50 = np.array([0.9642, 1.0, 0.8249])  # 7.2.16
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""From XYZ to the responses of the cones (annex E)."""

_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVES = {b"RGB ": (b"rTRC", b"gTRC", b"bTRC"), b"GRAY": (b"kTRC",)}
_SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1
_TABLE = 4096
_NUMBERS = (1, 3, 4, 5, 7)  # of a parametric curve, by its type


def connection_columns(chromaticities: Sequence[float]) -> Array:
    """Return the red, green and blue primary in the connection space, (3, 3), one in each row.

    Parameters
    ----------
    chromaticities
        x and y of white, red, green and blue, in the order of PNG's cHRM.

    Raises
    ------
    ValueError
        If the primaries span no space.
    """
    points = np.array(chromaticities, float).reshape(4, 2)
    if not (np.isfinite(points).all() and (points[:, 1] > 0).all()):
        raise ValueError("chromaticities out of range")
    xyz = np.column_stack([points, 1 - points.sum(axis=1)]) / points[:, 1:]
    try:
        matrix = xyz[1:].T * np.linalg.solve(xyz[1:].T, xyz[0])
    except np.linalg.LinAlgError as error:
        raise ValueError("the primaries are on one line") from error
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ xyz[0])
    adapted: Array = (np.linalg.solve(_BRADFORD, cones[:, np.newaxis] * _BRADFORD) @ matrix).T
    return adapted


def rgb_profile(columns: Sequence[bytes], curves: Sequence[bytes]) -> bytes:
    """Assemble a profile of an RGB space.

    Parameters
    ----------
    columns
        Three tags: the primaries in the connection space.
    curves
        Three tags.
    """
    tags = [(b"wtpt", xyz_tag(_D50))]
    tags += [*zip(_COLUMNS, columns, strict=True), *zip(_CURVES[b"RGB "], curves, strict=True)]
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags:
        table += name + struct.pack(">II", offset + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x3i48x", offset + len(data), bytes(4), 0x04400000, b"mntr", b"RGB ",
        b"XYZ ", b"acsp", *map(_fixed, _D50),
    )  # fmt: skip
    return header + table + data


def xyz_tag(values: Sequence[float] | Array) -> bytes:
    """Return a tag with one colour in the connection space."""
    return b"XYZ " + bytes(4) + struct.pack(">3i", *map(_fixed, values))


def srgb_curve() -> bytes:
    """Return the tone curve of sRGB as a tag."""
    return b"para" + bytes(4) + struct.pack(">H2x5i", 3, *map(_fixed, _SRGB))


def gamma_curve(exponent: float) -> bytes:
    """Return a power function as a tag; `exponent` is below 32,768."""
    return b"para" + bytes(4) + struct.pack(">H2xi", 0, _fixed(exponent))


def table_curve(curve: Curve) -> bytes:
    """Return a tone curve as a tag: a table of its values."""
    values = np.rint(65535 * np.clip(curve(np.linspace(0, 1, _TABLE)), 0, 1)).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", _TABLE) + values.tobytes()


def read_tags(profile: bytes) -> dict[bytes, bytes]:
    """Return the tags of a profile by their signatures.

    Raises
    ------
    ValueError
        If the table of tags is damaged.
    """
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        rows = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 100))]
    except struct.error as error:
        raise ValueError("the profile ends too early") from error
    return {name: profile[offset : offset + size] for name, offset, size in rows}


def read_curves(profile: bytes) -> list[Curve] | None:
    """Return the tone curves of a profile of three primaries, or of a grey one.

    Returns
    -------
    list of Curve or None
        None if tables of colours describe the space, or its connection space is not XYZ.

    Raises
    ------
    ValueError
        If the profile is damaged.
    """
    tags = read_tags(profile)
    names = _CURVES.get(profile[16:20], ())
    if (
        profile[20:24] != b"XYZ "
        or b"A2B0" in tags
        or not names
        or any(name not in tags for name in names)
    ):
        return None
    return [_read_curve(tags[name]) for name in names]


def read_columns(profile: bytes) -> list[bytes]:
    """Return the tags of the three primaries."""
    tags = read_tags(profile)
    return [tags[name] for name in _COLUMNS]


def _read_curve(tag: bytes) -> Curve:
    try:
        if tag[:4] == b"para":
            (kind,) = struct.unpack_from(">H", tag, 8)
            if kind < len(_NUMBERS):
                numbers = struct.unpack_from(f">{_NUMBERS[kind]}i", tag, 12)
                return _parametric(kind, [number / 65536 for number in numbers])
        elif tag[:4] == b"curv":
            (count,) = struct.unpack_from(">I", tag, 8)
            if count == 1:
                (exponent,) = struct.unpack_from(">H", tag, 12)
                return _parametric(0, [exponent / 256])
            if count == 0:
                return lambda samples: samples
            values = np.frombuffer(tag, ">u2", count, 12) / 65535
            return lambda samples: np.interp(samples, np.linspace(0, 1, count), values)
    except struct.error as error:
        raise ValueError("a curve ends too early") from error
    raise ValueError("a curve of an unknown kind")


def _parametric(kind: int, numbers: Sequence[float]) -> Curve:
    """Return a function of table 68: a power of a line above a limit, a line below it."""
    g, a, b, c, d, e, f = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    match kind:
        case 0:
            (g,) = numbers
        case 1 | 2:
            g, a, b, *rest = numbers
            d = -b / a if a else 0.0
            e = f = rest[0] if rest else 0.0
        case 3:
            g, a, b, c, d = numbers
        case _:
            g, a, b, c, d, e, f = numbers

    def curve(samples: Array) -> Array:
        with np.errstate(all="ignore"):  # an exponent may be negative
            power = np.maximum(a * samples + b, 0) ** g + e
        found = np.where(samples >= d, power, c * samples + f)
        sound: Array = np.nan_to_num(found, posinf=1, neginf=0)
        return sound.clip(0, 1)

    return curve


def to_srgb_curve(linear: Array) -> Array:
    """Encode linear light by the curve of sRGB (IEC 61966-2-1), both in [0, 1]."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _fixed(value: float) -> int:
    """Encode an s15Fixed16Number."""
    return round(float(value) * 65536)
