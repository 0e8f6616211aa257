"""Draw a small folder of harmless images in many formats, to try the scanner on."""

import math
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

ROTATED_BY_90 = 6
ORIENTATION_TAG = 0x0112


def landscape(width: int, height: int, hour: float) -> Image.Image:
    """Draw hills below a sky: RGB, `hour` in 0-24 sets the light."""
    light = max(0.15, math.sin(math.pi * hour / 24))
    sky = Image.linear_gradient("L").resize((width, height))
    image = Image.merge(
        "RGB", [sky.point(lambda v, c=c: int((c + v * 0.4) * light)) for c in (90, 130, 190)]
    )
    draw = ImageDraw.Draw(image)
    x, y = width * hour / 24, height * (0.65 - 0.5 * light)
    draw.ellipse([x - 20, y - 20, x + 20, y + 20], fill=(255, 240, 180))
    for layer in range(4):
        base = height * (0.55 + 0.12 * layer)
        hills = [
            (px, base + height * 0.06 * math.sin(px / width * 7 + layer * 2.1))
            for px in range(0, width + 8, 8)
        ]
        green = int((150 - 30 * layer) * light)
        draw.polygon([(0, height), *hills, (width, height)], fill=(green // 2, green, green // 3))
    return image.filter(ImageFilter.GaussianBlur(1))


def make_samples(folder: Path) -> None:
    """Write the sample images into a folder, which is made."""
    (folder / "holiday").mkdir(parents=True, exist_ok=True)
    day = landscape(1600, 1200, 12)
    day.save(folder / "hills.jpg", quality=88)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = ROTATED_BY_90
    day.transpose(Image.Transpose.ROTATE_90).save(
        folder / "upright.jpg", exif=exif, progressive=True
    )
    day.convert("CMYK").resize((400, 300)).save(folder / "print.jpg")
    day.convert("L").resize((400, 300)).convert("I;16").save(folder / "grey16.png")
    cut_out = day.resize((400, 300)).convert("RGBA")
    cut_out.putalpha(Image.radial_gradient("L").resize((400, 300)).point(lambda v: 255 - v))
    cut_out.save(folder / "cut-out.png")
    for name, hour in (("dawn.webp", 6), ("noon.avif", 12), ("dusk.tif", 18), ("night.bmp", 23)):
        landscape(640, 480, hour).save(folder / "holiday" / name)
    frames = [landscape(320, 240, hour) for hour in range(0, 24, 2)]
    frames[0].save(folder / "day.gif", save_all=True, append_images=frames[1:], duration=100)
    (folder / "notes.txt").write_text("A text is skipped, and counted.\n", encoding="utf-8")


if __name__ == "__main__":
    make_samples(Path(sys.argv[1]))
