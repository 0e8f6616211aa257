"""The configurations here have the published fields of the models that they are named for."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import Preprocess
from nsfwscan.inference.huggingface import processing_of
from nsfwscan.inference.known import KNOWN
from nsfwscan.inference.manifest import OPEN

VIT = {
    "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "ViTImageProcessor", "image_std": [0.5, 0.5, 0.5], "resample": 2,
    "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224},
}  # fmt: skip
EFFICIENTNET = {
    "crop_size": {"height": 289, "width": 289}, "do_center_crop": False, "do_normalize": True,
    "do_rescale": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "EfficientNetImageProcessor",
    "image_std": [0.47853944, 0.4732864, 0.47434163], "include_top": True, "resample": 0,
    "rescale_factor": 0.00392156862745098, "rescale_offset": False,
    "size": {"height": 224, "width": 224},
}  # fmt: skip
CLIP = {
    "crop_size": {"height": 336, "width": 336}, "do_center_crop": True, "do_normalize": True,
    "do_rescale": True, "do_resize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3,
    "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 384},
}  # fmt: skip
TIMM = {
    "input_size": [3, 384, 384], "interpolation": "bicubic", "crop_pct": 1.0,
    "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "config", "processor"),
    [
        ("falconsai", {}, VIT),
        ("viddexa-nano", {}, EFFICIENTNET),
        ("marqo-384", {"pretrained_cfg": TIMM}, {}),
    ],
)
def test_the_configuration_of_a_known_model_gives_its_manifest(
    name: str, config: dict[str, Any], processor: dict[str, Any]
) -> None:
    known = KNOWN[name]
    found = processing_of(known.preprocess.size, config, processor)
    assert Preprocess(**found.preprocess) == known.preprocess
    assert found.channels == known.input.channels
    assert found.mean == pytest.approx(known.input.mean)
    assert found.scale == pytest.approx(known.input.scale, rel=1e-6)


def test_a_crop_of_the_centre_keeps_the_aspect_ratio() -> None:
    found = processing_of(None, {}, CLIP)
    assert Preprocess(**found.preprocess) == Preprocess(
        size=336, resize=384, fit="shorter-side", interpolation="bicubic"
    )
    cut = processing_of(224, {"pretrained_cfg": TIMM | {"input_size": None, "crop_pct": 0.875}}, {})
    assert cut.preprocess["resize"] == 256
    squashed = processing_of(384, {"pretrained_cfg": TIMM | {"crop_mode": "squash"}}, {})
    assert squashed.preprocess["fit"] == "stretch"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"do_resize": False}, "fit"),
        ({"size": {"shortest_edge": 224}}, "fit"),  # without a crop, it is not square
        ({"size": {"height": 224, "width": 320}}, "fit"),
        ({"size": 224, "do_center_crop": True, "crop_size": 224}, "fit"),
        ({"crop_pct": 0.875}, "resize"),
        ({"resample": 9}, "interpolation"),
        ({"resample": None}, "interpolation"),
    ],
)
def test_what_is_not_certain_stays_open(changes: dict[str, Any], field: str) -> None:
    found = processing_of(224, {}, VIT | changes).preprocess
    assert str(found[field]).startswith(OPEN)
    assert found["size"] == 224


@pytest.mark.parametrize(
    "changes",
    [
        {"image_mean": None}, {"image_std": [0.5, 0.5]}, {"image_std": [0.5, 0.5, 0.0]},
        {"image_std": [0.5, 0.5, 5e-324]},
        {"rescale_factor": "1/255"}, {"rescale_factor": 0}, {"rescale_offset": True},
    ],
)  # fmt: skip
def test_an_unknown_normalisation_stays_open(changes: dict[str, Any]) -> None:
    found = processing_of(224, {}, VIT | changes)
    assert (found.mean, found.scale) == (None, None)


def test_the_other_switches_of_a_processor_count() -> None:
    plain = processing_of(224, {}, VIT | {"do_normalize": False})
    assert plain.mean == [0, 0, 0]
    assert plain.scale == pytest.approx([1 / 255] * 3)
    unscaled = processing_of(224, {}, VIT | {"do_rescale": False})
    assert (unscaled.mean, unscaled.scale) == ([0.5] * 3, [2] * 3)
    assert processing_of(224, {}, VIT | {"do_flip_channel_order": True}).channels == "BGR"
    once = processing_of(224, {}, EFFICIENTNET | {"include_top": False})
    assert once.scale == pytest.approx([1 / 255 / value for value in EFFICIENTNET["image_std"]])  # type: ignore[attr-defined]


def test_without_configurations_only_the_size_is_known() -> None:
    found = processing_of(224, {}, {})
    assert found.preprocess.pop("size") == 224
    assert all(value.startswith(OPEN) for value in found.preprocess.values())
    assert (found.channels, found.mean, found.scale) == (None, None, None)
    assert processing_of(None, {}, {}).preprocess["size"].startswith(OPEN)


@pytest.mark.parametrize(("config", "processor"), [({}, VIT), ({"pretrained_cfg": TIMM}, {})])
def test_the_configuration_of_another_model_is_refused(
    config: dict[str, Any], processor: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"takes images of 299 x 299, and .*config\.json beside"):
        processing_of(299, config, processor)


json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.data())
def test_any_configuration_is_read_or_refused(data: st.DataObject) -> None:
    processor = {name: data.draw(json | st.just(value)) for name, value in CLIP.items()}
    timm = {name: data.draw(json | st.just(value)) for name, value in TIMM.items()}
    for config, used in (({}, processor), ({"pretrained_cfg": timm}, {})):
        with suppress(ValueError):
            assert processing_of(384, config, used).preprocess["size"] == 384
