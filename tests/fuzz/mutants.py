"""Damaged images: a seed of each format, and mutations as faults and attackers make them."""

import io
import random
from collections.abc import Callable, Iterator

import numpy as np
import tifffile
from colours import heic
from helpers import encoded, load_photo
from PIL import Image
from pngs import png
from profiles import P3, STEEP, cmyk_profile, grey_profile

Mutation = Callable[[bytes, bytes, random.Random], bytes]


def seeds() -> dict[str, bytes]:
    """Return a small valid file of each format, by file extension."""
    photo = load_photo("coffee.png").resize((90, 60))
    frames = [photo.rotate(angle) for angle in (90, 180)]
    long = [frame.resize((40, 200)) for frame in (photo, *frames)]
    many = {"save_all": True, "append_images": frames}
    return {
        "jpg": encoded(photo, "JPEG"),
        "progressive.jpg": encoded(photo, "JPEG", progressive=True, exif=Image.Exif()),
        "cmyk.jpg": encoded(photo.convert("CMYK"), "JPEG"),
        "png": encoded(photo, "PNG"),
        "16.png": encoded(photo.convert("I;16"), "PNG"),
        "palette.png": encoded(photo.quantize(), "PNG"),
        "apng.png": encoded(photo, "PNG", **many),
        "gif": encoded(photo, "GIF", **many),
        "webp": encoded(photo, "WEBP"),
        "animated.webp": encoded(photo, "WEBP", **many),
        "avif": encoded(photo, "AVIF"),
        "tif": encoded(photo, "TIFF", **many),
        "deflated.tif": encoded(photo, "TIFF", compression="tiff_deflate"),
        "bmp": encoded(photo, "BMP"),
        "jp2": encoded(photo, "JPEG2000"),
        "ico": encoded(photo, "ICO"),
        "ppm": encoded(photo, "PPM"),
        "profile.jpg": encoded(photo, "JPEG", icc_profile=P3.profile),
        "profile.png": encoded(photo, "PNG", icc_profile=STEEP.profile),
        "inks.jpg": encoded(photo.convert("CMYK"), "JPEG", icc_profile=cmyk_profile(2)),
        "grey.tif": encoded(photo.convert("L"), "TIFF", icc_profile=grey_profile(1.2)),
        "profile.avif": encoded(photo, "AVIF", icc_profile=P3.profile),
        "long.png": encoded(long[0], "PNG"),
        "long.webp": encoded(long[0], "WEBP", save_all=True, append_images=long[1:]),
        "hdr.png": png(np.asarray(photo) / 255, (b"cICP", bytes([9, 16, 0, 1]))),
        "heic": heic(photo, P3.profile),
        "planes.tif": planes(photo),
    }


def planes(photo: Image.Image) -> bytes:
    """Return a TIFF of 16 bits in separate planes, which tifffile reads."""
    samples = np.moveaxis(np.asarray(photo).astype(np.uint16) * 257, 2, 0)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, np.ascontiguousarray(samples), photometric="rgb", planarconfig="separate",
        compression="zlib", metadata=None,
    )  # fmt: skip
    return buffer.getvalue()


def flip(data: bytes, _: bytes, dice: random.Random) -> bytes:
    """Flip some bits."""
    damaged = bytearray(data)
    for _bit in range(dice.choice((1, 4, 32))):
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def cut(data: bytes, _: bytes, dice: random.Random) -> bytes:
    """Remove the end, or a part in between."""
    first, last = sorted(dice.sample(range(len(data)), 2))
    return data[:first] if dice.random() < 0.5 else data[:first] + data[last:]


def splice(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """Overwrite or insert bytes with a piece of another file."""
    first, last = sorted(dice.sample(range(len(other)), 2))
    place = dice.randrange(len(data))
    rest = place if dice.random() < 0.5 else place + last - first
    return data[:place] + other[first:last] + data[rest:]


def lie(data: bytes, _: bytes, dice: random.Random) -> bytes:
    """Write an extreme number near the beginning, where most lengths and sizes are."""
    width = dice.choice((1, 2, 4))
    place = dice.randrange(min(len(data), 400))
    number = dice.choice((0, 1, 0x7F, 0x80, 0xFF)) if width == 1 else dice.getrandbits(8 * width)
    extreme = dice.choice((number, 0, 2 ** (8 * width) - 1, 2 ** (8 * width - 1)))
    value = extreme.to_bytes(width, "big" if dice.random() < 0.5 else "little")
    return data[:place] + value + data[place + width :]


def swap_heads(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """Replace the beginning with that of another file."""
    head = dice.choice((4, 12, 32, 200))
    return other[:head] + data[head:]


MUTATIONS: tuple[Mutation, ...] = (flip, cut, splice, lie, swap_heads)


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged files, the same ones for the same seed."""
    dice, sound = random.Random(seed), seeds()
    for i in range(count):
        ending, other = dice.choice(sorted(sound)), dice.choice(sorted(sound))
        data = sound[ending]
        for mutate in dice.choices(MUTATIONS, k=dice.choice((1, 1, 2))):
            data = mutate(data or b"\0", sound[other], dice) if len(data) > 1 else data
        yield f"{i:06}.{ending}", data
