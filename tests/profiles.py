"""ICC profiles, and images in their spaces, made independently of the code under test."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

# Linear sRGB to XYZ relative to D50, as in the profile of the standard (IEC 61966-2-1, Bradford).
SRGB_TO_D50 = np.array(
    [[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]]
)


def to_linear(image: Image.Image) -> Array:
    """Return the light of an sRGB image, float64 (H, W, 3) in [0, 1]."""
    samples = np.asarray(image.convert("RGB")) / 255
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Array) -> Image.Image:
    """Encode light as an sRGB image."""
    light = linear.clip(0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(255 * encoded).astype(np.uint8))


@dataclass(frozen=True)
class Space:
    """An RGB space: its primaries as columns of XYZ relative to D50, and its exponent."""

    name: str
    columns: tuple[tuple[float, float, float], ...]
    exponent: float

    @property
    def profile(self) -> bytes:
        """Its profile, version 2."""
        curve = struct.pack(">4s4xIH2x", b"curv", 1, round(256 * self.exponent))
        tags = [(b"wtpt", _xyz((0.9642, 1, 0.8249)))]
        for letter, column in zip(b"rgb", self.columns, strict=True):
            tags += [(bytes([letter]) + b"XYZ", _xyz(column)), (bytes([letter]) + b"TRC", curve)]
        return assembled(b"RGB ", tags)

    def encode(self, image: Image.Image) -> Array:
        """Encode an sRGB image in this space: float64 (H, W, 3) in [0, 1]. Others colours clip."""
        xyz = to_linear(image) @ SRGB_TO_D50.T
        linear = xyz @ np.linalg.inv(np.array(self.columns).T).T
        samples: Array = linear.clip(0, 1) ** (1 / self.exponent)
        return samples

    def image(self, image: Image.Image) -> Image.Image:
        """Encode an sRGB image in 8 bits."""
        return Image.fromarray(np.rint(255 * self.encode(image)).astype(np.uint8))

    def shown(self, samples: Array) -> Image.Image:
        """Return what samples in [0, 1] show, as an sRGB image."""
        xyz = samples**self.exponent @ np.array(self.columns)
        return to_srgb(xyz @ np.linalg.inv(SRGB_TO_D50).T)


P3 = Space(
    "Display P3", ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
    2.2,
)  # fmt: skip
ADOBE = Space(
    "Adobe RGB", ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    2.2,
)  # fmt: skip
PROPHOTO = Space(
    "ProPhoto", ((0.7977, 0.2880, 0), (0.1352, 0.7119, 0), (0.0313, 0.0001, 0.8249)), 1.8
)
STEEP = Space("steep", tuple(tuple(column) for column in SRGB_TO_D50.T.tolist()), 20)
SPACES = (P3, ADOBE, PROPHOTO, STEEP)


def grey_profile(exponent: float) -> bytes:
    """Return a profile of grey."""
    curve = struct.pack(">4s4xIH2x", b"curv", 1, round(256 * exponent))
    return assembled(b"GRAY", [(b"wtpt", _xyz((0.9642, 1, 0.8249))), (b"kTRC", curve)])


def cmyk_profile(points: int = 9) -> bytes:
    """Return a profile of four inks that absorb as `inks_shown` says: a table of Lab colours."""
    axis = np.linspace(0, 1, points)
    inks = np.stack(np.meshgrid(axis, axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 4)
    lab = _lab(inks_light(inks) @ SRGB_TO_D50.T)
    encoded = np.stack([lab[:, 0] / 100 * 65280, *(lab[:, 1:].T + 128) * 256], axis=-1)
    table = np.rint(encoded).clip(0, 65535).astype(">u2")
    straight = struct.pack(">2H", 0, 65535)
    tag = struct.pack(">4s4xBBBx9i", b"mft2", 4, 3, points, *(65536 * np.eye(3, dtype=int)).ravel())
    tag += struct.pack(">2H", 2, 2) + 4 * straight + table.tobytes() + 3 * straight
    return assembled(b"CMYK", [(b"wtpt", _xyz((0.9642, 1, 0.8249))), (b"A2B0", tag)], b"Lab ")


def inks_light(inks: Array) -> Array:
    """Return the light of inks in [0, 1], (..., 4): linear sRGB of pale, impure inks."""
    colour = np.array([[0.85, 0.25, 0.05], [0.10, 0.80, 0.30], [0.02, 0.10, 0.80]])
    light = np.ones((*inks.shape[:-1], 3))
    for i in range(3):
        light *= 1 - inks[..., i : i + 1] * colour[i]
    result: Array = light * (1 - 0.93 * inks[..., 3:])
    return result


def _lab(xyz: Array) -> Array:
    """Return CIE L*a*b* of XYZ relative to D50."""
    ratio = (xyz / (0.9642, 1, 0.8249)).clip(0)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1
    )


def assembled(space: bytes, tags: list[tuple[bytes, bytes]], connection: bytes = b"XYZ ") -> bytes:
    """Assemble a profile, version 2.4."""
    offset, table, data = 132 + 12 * len(tags), b"", b""
    for name, tag in tags:
        table += struct.pack(">4sII", name, offset + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4xI4s4s4s12x4s28x", offset + len(data), 0x02400000, kind, space,
                       connection, b"acsp")  # fmt: skip
    head += _xyz((0.9642, 1, 0.8249))[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in values))
