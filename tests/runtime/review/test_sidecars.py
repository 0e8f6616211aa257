import pytest

from nsfwscan.review.sidecars import Sidecars, by_stem, sidecars_of, xmp_name


@pytest.mark.parametrize(
    ("images", "others", "own", "shared"),
    [
        (["IMG.jpg"], "IMG.jpg.xmp IMG.xmp IMG.aae", "IMG.jpg.xmp IMG.aae IMG.xmp", ""),
        (["IMG.jpg"], "IMG.jpg.XMP IMG.AAE IMG.MOV", "IMG.jpg.XMP IMG.AAE IMG.MOV", ""),
        (["IMG.jpg"], "IMG.cr2 IMG.jpg.xmp IMG.xmp", "IMG.jpg.xmp", "IMG.xmp"),
        (["IMG.jpg"], "IMG.heic IMG.mov", "", "IMG.mov"),
        (["IMG.heic", "IMG.jpg"], "IMG.mov IMG.xmp", "IMG.mov IMG.xmp", ""),
        (["IMG.jpg"], "IMG.txt IMG.mp4 IMG.xmp", "IMG.xmp", ""),
        (["IMG.jpg"], "IMG2.xmp IMG.jpg.bak img.xmp IMG.jpg.mov", "", ""),
        (["IMG"], "IMG.xmp", "IMG.xmp", ""),
    ],
)  # fmt: skip
def test_sidecars_by_their_names(images: list[str], others: str, own: str, shared: str) -> None:
    found = sidecars_of(images, "IMG", by_stem([*images, *others.split()]))
    other = next((one for one in others.split() if one.endswith(("cr2", "heic"))), "")
    assert found == Sidecars(tuple(own.split()), tuple((name, other) for name in shared.split()))


@pytest.mark.parametrize(
    ("others", "name"),
    [
        ("", "a.jpg.xmp"),
        ("a.xmp", "a.xmp"),
        ("a.XMP a.jpg.xmp", "a.jpg.xmp"),
        ("a.xmp a.nef", "a.jpg.xmp"),
        ("a.jpg.XMP", "a.jpg.XMP"),
    ],
)
def test_the_sidecar_to_write(others: str, name: str) -> None:
    assert xmp_name("a.jpg", by_stem(["a.jpg", *others.split()])) == name
