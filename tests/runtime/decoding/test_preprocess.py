import io
import struct
from dataclasses import replace

import numpy as np
import pillow_heif
import pytest
from helpers import encoded, load_photo, turned
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from pngs import header

from nsfwscan import ImageError, Preprocess, decode
from nsfwscan.decoding.preprocess import image_frames
from nsfwscan.decoding.rgb import to_rgb
from nsfwscan.errors import Reason
from nsfwscan.sources.filetype import FORMATS

SMALL = Preprocess(size=32)
EXACT = replace(SMALL, jpeg_draft_margin=None)


def solid(mode: str, color: object) -> Image.Image:
    return Image.new(mode, (60, 40), color)  # type: ignore[arg-type]


def only_color(data: bytes) -> tuple[int, ...]:
    pixels = decode(data, SMALL).pixels
    assert np.ptp(pixels.reshape(-1, 3).astype(int), axis=0).max() <= 2
    return tuple(int(v) for v in pixels[0, 16, 16])


def heic(image: Image.Image, exif: Image.Exif | None = None) -> bytes:
    container = pillow_heif.from_pillow(image)
    if exif is not None:
        container[0].info["exif"] = exif.tobytes()
    buffer = io.BytesIO()
    container.save(buffer)
    return buffer.getvalue()


PLUGINS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "JPEG2000", "PPM", "ICO")


@pytest.mark.parametrize("plugin", [*PLUGINS, "HEIC"])
def test_every_format_decodes_to_the_same_image(plugin: str) -> None:
    photo = load_photo("chelsea.png").resize((240, 160))
    data = heic(photo) if plugin == "HEIC" else encoded(photo, plugin)
    image = decode(data, EXACT)
    assert image.pixels.shape == (1, 32, 32, 3)
    assert image.pixels.dtype == np.uint8
    reference = np.asarray(photo.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    if plugin != "ICO":  # icons are square and small
        assert np.abs(image.pixels[0].astype(int) - reference).mean() < 4
        assert (image.width, image.height) == (240, 160)
    assert image.format in {row.name for row in FORMATS}


def test_without_reduction_the_pixels_equal_pillow_s() -> None:
    photo = load_photo("chelsea.png")
    expected = np.asarray(photo.resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(decode(encoded(photo, "PNG"), SMALL).pixels[0], expected)


def test_an_image_is_resized_then_cropped() -> None:
    photo = load_photo("chelsea.png")
    preprocess = Preprocess(size=24, resize=32, interpolation="bicubic")
    expected = np.asarray(photo.resize((32, 32), Image.Resampling.BICUBIC).crop((4, 4, 28, 28)))
    assert np.array_equal(decode(encoded(photo, "PNG"), preprocess).pixels[0], expected)


def test_shorter_side_keeps_the_aspect_ratio_in_little_memory() -> None:
    ramp = Image.linear_gradient("L").rotate(90).resize((60000, 60)).convert("RGB")
    preprocess = Preprocess(size=30, resize=60, fit="shorter-side")
    pixels = decode(encoded(ramp, "PNG"), preprocess).pixels[0]
    # The crop has only the middle 30 of 60,000 columns: half of the range, and almost no slope.
    assert pixels.shape == (30, 30, 3)
    assert np.ptp(pixels) <= 1
    assert 120 <= int(pixels[15, 15, 0]) <= 135


@pytest.mark.parametrize(
    ("mode", "color", "format_", "expected"),
    [
        ("L", 100, "PNG", (100, 100, 100)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("LA", (100, 255), "PNG", (100, 100, 100)),
        ("LA", (100, 0), "PNG", (100, 100, 100)),
        ("RGBA", (200, 0, 0, 0), "PNG", (200, 0, 0)),
        ("RGBA", (200, 0, 0, 255), "PNG", (200, 0, 0)),
        ("RGBA", (0, 0, 0, 128), "PNG", (127, 127, 127)),
        ("I;16", 65535, "PNG", (255, 255, 255)),
        ("I;16", 257 * 100, "PNG", (100, 100, 100)),
        ("I;16", 257 * 100, "TIFF", (100, 100, 100)),
        ("F", 0.5, "TIFF", (128, 128, 128)),
        ("F", 100.0, "TIFF", (100, 100, 100)),
        ("CMYK", (0, 255, 255, 0), "TIFF", (255, 0, 0)),
        ("CMYK", (0, 0, 0, 0), "JPEG", (255, 255, 255)),
        ("LAB", (255, 128, 128), "TIFF", (255, 255, 255)),
        ("YCbCr", (100, 128, 128), "JPEG", (100, 100, 100)),
    ],
)
def test_every_mode_is_converted_to_rgb(
    mode: str, color: object, format_: str, expected: tuple[int, ...]
) -> None:
    got = only_color(encoded(solid(mode, color), format_))
    assert np.abs(np.subtract(got, expected)).max() <= 2


def halves(data: bytes) -> list[list[int]]:
    """Return the colours of the left and of the right half of an image."""
    found: list[list[int]] = decode(data, SMALL).pixels[0, 16, [4, 27]].tolist()
    return found


def test_transparency_of_a_palette_or_a_single_colour_is_flattened() -> None:
    palette = solid("P", 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (30, 0, 60, 40))
    white, red, blue = [255, 255, 255], [255, 0, 0], [0, 0, 255]
    assert halves(encoded(palette, "PNG", transparency=0)) == [white, blue]
    assert halves(encoded(palette, "PNG")) == [red, blue]
    assert halves(encoded(palette, "GIF", transparency=0)) == [white, blue]
    both = palette.convert("RGB")
    assert halves(encoded(both, "PNG", transparency=(255, 0, 0))) == [white, blue]


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF", "AVIF", "ICO"])
def test_a_fourth_channel_of_zeros_is_not_transparency(format_: str) -> None:
    """Programs that drop the channel show the image."""
    photo = load_photo("coffee.png").resize((64, 64)).convert("RGBA")
    photo.putalpha(0)
    options = {"lossless": True, "exact": True} if format_ == "WEBP" else {}
    found = decode(encoded(photo, format_, **options), SMALL).pixels.astype(int)
    shown = decode(encoded(photo.convert("RGB"), "PNG"), SMALL).pixels
    assert np.abs(found - shown).mean() < 4


@pytest.mark.parametrize(("size", "compression"), [(40, 0), (108, 3), (124, 3)])
def test_zeros_in_the_fourth_byte_of_a_bmp_are_not_transparency(
    size: int, compression: int
) -> None:
    """Every viewer shows the image."""
    photo = load_photo("coffee.png").resize((64, 64))
    rows = np.asarray(photo)[::-1, :, ::-1]
    samples = np.concatenate([rows, np.zeros((64, 64, 1), np.uint8)], axis=-1).tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) if size > 40 else b""
    info = struct.pack("<IiiHHIIiiII", size, 64, 64, 1, 32, compression, len(samples), 0, 0, 0, 0)
    head = (info + masks).ljust(size, b"\0")
    start = struct.pack("<2sIII", b"BM", 14 + size + len(samples), 0, 14 + size)
    found = decode(start + head + samples, SMALL).pixels
    assert np.array_equal(found, decode(encoded(photo, "PNG"), SMALL).pixels)


XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf tiff:Orientation=\"6\"/></x:xmpmeta>"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_only_exif_turns_an_image(format_: str) -> None:
    options: dict[str, object] = {"xmp": XMP}
    if format_ == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        exif = turned(solid("RGB", "red"), 6)[1].tobytes()
        text.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n")
        options = {"pnginfo": text}
    if format_ == "TIFF":
        options = {"tiffinfo": {700: XMP}}
    assert decode(encoded(solid("RGB", "red"), format_, **options), SMALL).width == 60


def test_32_bit_samples_of_unknown_range_are_stretched() -> None:
    ramp = np.linspace(-5, 90_000, 60 * 40, dtype=np.float32).reshape(40, 60)
    ramp[0, 1] = np.nan
    grey = np.asarray(to_rgb(Image.fromarray(ramp)))
    assert (grey.min(), grey.max()) == (0, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP", "HEIC"])
def test_exif_orientation_is_applied(orientation: int, format_: str) -> None:
    upright = Image.new("RGB", (96, 48), "white")
    upright.paste("black", (0, 0, 48, 24))  # the dark corner shows the orientation
    stored, exif = turned(upright, orientation)
    data = heic(stored, exif) if format_ == "HEIC" else encoded(stored, format_, exif=exif)
    image = decode(data, SMALL)
    assert (image.width, image.height) == (96, 48)
    tile = image.pixels[0].astype(int)
    assert tile[4, 4].max() < 40
    assert min(tile[4, 28].min(), tile[28, 4].min(), tile[28, 28].min()) > 215


def test_jpeg_reduction_keeps_the_margin() -> None:
    photo = load_photo("astronaut.png")  # 512 x 512
    data = encoded(photo, "JPEG", quality=95)
    exact = decode(data, EXACT)
    for margin, side in ((2, 64), (8, 256), (16, 512), (1, 64)):
        # The reduction by 2, 4 or 8 that leaves at least margin * 32 pixels a side.
        with Image.open(io.BytesIO(data)) as image:
            image.draft(None, (margin * 32, margin * 32))
            assert image.size == (side, side)
            expected = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))
        decoded = decode(data, replace(SMALL, jpeg_draft_margin=margin))
        assert np.array_equal(decoded.pixels[0], expected)
        assert (decoded.width, decoded.height) == (512, 512)
    assert np.array_equal(exact.pixels, decode(data, replace(SMALL, jpeg_draft_margin=16)).pixels)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_animations_have_several_frames(format_: str) -> None:
    shades = [solid("RGB", (20 * i,) * 3) for i in range(12)]
    data = encoded(shades[0], format_, save_all=True, append_images=shades[1:], duration=50)
    one, four = decode(data, SMALL), decode(data, SMALL, frames=4)
    assert one.pixels.shape == (1, 32, 32, 3)
    levels = np.diff(four.pixels[:, 16, 16, 0].astype(int))
    assert levels.min() >= 40  # of 220 levels in all
    assert decode(data, SMALL, frames=50).pixels.shape[0] == 12


def test_a_gain_map_is_not_a_frame() -> None:
    data = encoded(solid("RGB", "red"), "MPO", save_all=True, append_images=[solid("RGB", "white")])
    image = decode(data, SMALL, frames=8)
    assert image.format == "JPEG"
    assert len(image.pixels) == 1
    assert image.pixels[0, 0, 0, 0] > 240
    assert image.pixels[0, 0, 0, 1] < 20


def test_the_primary_image_of_a_collection_is_chosen_first() -> None:
    collection = pillow_heif.HeifFile()
    for color in ("red", "lime"):
        collection.add_from_pillow(solid("RGB", color))
    buffer = io.BytesIO()
    collection.save(buffer, primary_index=1)
    red, green, _ = decode(buffer.getvalue(), SMALL).pixels[0, 16, 16]
    assert green > 200 > red
    both = decode(buffer.getvalue(), SMALL, frames=8).pixels[:, 16, 16]
    assert both[1, 0] > 200 > both[0, 0]


def png_header(width: int, height: int) -> bytes:
    return header(width, height, 8, 2) + b"\0\0\1\0IDAT"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.NOT_AN_IMAGE),
        (b"hello", Reason.NOT_AN_IMAGE),
        (b"\xff\x0a" + bytes(40), Reason.UNSUPPORTED),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), Reason.CORRUPT),
        (png_header(60_000, 60_000), Reason.TOO_LARGE),
        (png_header(1_000, 1_000), Reason.TRUNCATED),
        (b"\xff\xd8\xff\xe0" + bytes(40), Reason.CORRUPT),
        (b"GIF89a" + bytes(3), Reason.TRUNCATED),
        (struct.pack(">4sH6xH2I2H", b"8BPS", 1, 3, 4, 4, 16, 3) + bytes(99), Reason.UNSUPPORTED),
    ],
)
def test_undecodable_data_has_a_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(ImageError) as caught:
        decode(data, SMALL)
    assert caught.value.reason is reason
    assert "\n" not in caught.value.detail
    assert " at 0x" not in caught.value.detail


@given(st.binary(max_size=200), st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP"]))
def test_damaged_data_is_an_image_error_or_an_image(noise: bytes, format_: str) -> None:
    data = bytearray(encoded(Image.new("RGB", (20, 20), "teal"), format_))
    data[20 : 20 + len(noise)] = noise
    try:
        image = decode(bytes(data), SMALL, frames=3)
    except ImageError:
        return
    assert image.pixels.shape[1:] == (32, 32, 3)


def test_the_caller_sets_the_pixel_limit() -> None:
    data = encoded(solid("RGB", "red"), "PNG")
    assert decode(data, SMALL, max_pixels=2400).width == 60
    with pytest.raises(ImageError, match=r"60 x 40 pixels are more than the limit of 2,399"):
        decode(data, SMALL, max_pixels=2399)


ODD_ORIENTATIONS = {
    "text": (2, b"6\0\0\0"),
    "byte": (1, b"\6\0\0\0"),
    "undefined": (7, b"\6\0\0\0"),
    "out of range": (3, b"\x63\0\0\0"),
    "float": (11, struct.pack("<f", float("nan"))),
}


@pytest.mark.parametrize("kind", ODD_ORIENTATIONS)
def test_an_invalid_orientation_is_ignored(kind: str) -> None:
    type_, value = ODD_ORIENTATIONS[kind]
    entry = struct.pack("<HHI4s", 0x0112, type_, 1, value)
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0" + entry + bytes(4)
    photo = load_photo("chelsea.png")
    odd, plain = encoded(photo, "JPEG", exif=exif), encoded(photo, "JPEG")
    assert np.array_equal(decode(odd, SMALL).pixels, decode(plain, SMALL).pixels)


def test_damaged_exif_data_is_ignored() -> None:
    """Only the orientation matters. All other EXIF data can be invalid."""
    sideways = struct.pack("<HHII", 0x0112, 3, 1, 6)
    resolution = struct.pack("<HHI4s", 0x011A, 2, 4, b"none")  # text instead of numbers
    exif = b"Exif\0\0II*\0\x08\0\0\0\2\0" + sideways + resolution + bytes(4)
    assert decode(encoded(solid("RGB", "red"), "JPEG", exif=exif), SMALL).width == 40
    junk = encoded(solid("RGB", "red"), "PNG", exif=b"junk that is no EXIF data")
    assert decode(junk, SMALL).width == 60


def test_invalid_arguments_are_refused() -> None:
    data = encoded(solid("RGB", "red"), "PNG")
    with pytest.raises(ValueError, match="frames and max_pixels must be 1 or more"):
        decode(data, SMALL, frames=0)
    with pytest.raises(ValueError, match="frames and max_pixels must be 1 or more, got 1, 0"):
        decode(data, SMALL, max_pixels=0)
    assert decode(encoded(Image.new("RGB", (1, 1)), "PNG"), SMALL, max_pixels=1).width == 1
    with pytest.raises(ValueError, match="views must be 0 or more, got -1"):
        decode(data, SMALL, views=-1)
    with pytest.raises(ValueError, match="unknown interpolation or fit: cubic"):
        Preprocess(size=8, interpolation="cubic")  # type: ignore[arg-type]


def test_large_deep_images_are_converted_in_strips() -> None:
    ramp = np.linspace(0, 65535, 3000 * 700).astype(np.uint16).reshape(3000, 700)
    grey = np.asarray(to_rgb(Image.fromarray(ramp)))[..., 0]
    assert np.array_equal(grey, np.rint(ramp / 257).astype(np.uint8))


@pytest.mark.parametrize("format_", [*PLUGINS, "MPO"])
def test_an_open_image_gives_the_same_frames_as_its_bytes(format_: str) -> None:
    photos = [load_photo(name).resize((240, 160)) for name in ("chelsea.png", "coffee.png")]
    several = {"save_all": True, "append_images": photos[1:]}
    data = encoded(photos[0], format_, **(several if format_ in {"GIF", "PNG", "MPO"} else {}))
    expected = decode(data, SMALL, frames=4)
    with Image.open(io.BytesIO(data)) as image:
        found = image_frames(image, SMALL, frames=4, views=0, max_pixels=10**6)
    assert np.array_equal(np.stack([np.asarray(frame) for frame in found.squares]), expected.pixels)
    assert (found.width, found.height, found.format) == (
        expected.width, expected.height, expected.format,
    )  # fmt: skip


def test_an_image_without_a_format_is_one_frame() -> None:
    photo = load_photo("chelsea.png")
    found = image_frames(photo, SMALL, frames=4, views=0, max_pixels=10**6)
    assert np.array_equal(
        np.asarray(found.squares[0]), decode(encoded(photo, "PNG"), SMALL).pixels[0]
    )
    assert (found.width, found.height, found.format) == (*photo.size, "image")


def test_only_several_frames_are_chosen_among_all() -> None:
    shades = [solid("RGB", (40 * i,) * 3) for i in range(6)]
    data = encoded(shades[0], "GIF", save_all=True, append_images=shades[1:], duration=50)
    for frames, left_out in ((1, 0), (2, 4), (6, 0)):
        with Image.open(io.BytesIO(data)) as image:
            found = image_frames(image, SMALL, frames=frames, views=0, max_pixels=10**6)
        assert (found.frames, found.left_out) == (frames, left_out)


def test_the_views_of_an_open_image_come_after_its_frames() -> None:
    tall = Image.fromarray(np.concatenate([np.asarray(load_photo("chelsea.png"))] * 4))
    found = image_frames(tall, SMALL, frames=4, views=3, max_pixels=10**6)
    decoded = decode(encoded(tall, "PNG"), SMALL, views=3)
    assert (found.frames, found.views) == (decoded.frames, decoded.views) == (1, 3)
    assert np.array_equal(np.stack([np.asarray(s) for s in found.squares]), decoded.pixels)
    assert decode(encoded(tall, "PNG"), SMALL).views == 0


def test_an_open_image_that_is_damaged_or_too_large_is_an_image_error() -> None:
    data = encoded(load_photo("chelsea.png"), "PNG")
    with Image.open(io.BytesIO(data[: len(data) // 2])) as image:
        with pytest.raises(ImageError) as caught:
            image_frames(image, SMALL, frames=1, views=0, max_pixels=10**6)
        assert caught.value.reason is Reason.TRUNCATED
    with Image.open(io.BytesIO(data)) as image, pytest.raises(ImageError, match="than the limit"):
        image_frames(image, SMALL, frames=1, views=0, max_pixels=1000)
