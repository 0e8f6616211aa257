import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import InputSpec, Manifest, ManifestError, OutputSpec, Preprocess
from nsfwscan.decoding.parameters import REVISION
from nsfwscan.inference.manifest import BUILT_IN, OPEN_NSFW_SHA256, parse_manifest, read_manifest

MINIMAL = '{"name": "mine", "preprocess": {"size": 224}}'

preprocesses = st.builds(
    Preprocess,
    size=st.integers(1, 512),
    resize=st.none() | st.integers(512, 600),
    fit=st.sampled_from(["stretch", "shorter-side"]),
    interpolation=st.sampled_from(["box", "bilinear", "hamming", "bicubic", "lanczos"]),
    jpeg_draft_margin=st.none() | st.integers(1, 8),
)
channels = st.tuples(*[st.floats(-1e6, 1e6)] * 3)
inputs = st.builds(
    InputSpec,
    name=st.text(),
    dtype=st.sampled_from(["float32", "float16"]),
    layout=st.sampled_from(["NHWC", "NCHW"]),
    channels=st.sampled_from(["RGB", "BGR"]),
    mean=channels,
    scale=channels,
)
outputs = st.builds(
    OutputSpec,
    name=st.text(),
    column=st.integers(0, 9),
    activation=st.sampled_from(["none", "sigmoid", "softmax"]),
)
facts = st.dictionaries(st.text(), st.integers() | st.text() | st.booleans())
manifests = st.builds(
    Manifest,
    name=st.text(),
    variant=st.none() | st.text(),
    labels=st.tuples(st.text(), st.text()),
    threshold=st.floats(0, 1),
    threshold_choice=st.text(),
    preprocess=preprocesses,
    input=inputs,
    output=outputs,
    training=st.none() | facts,
    parity=st.none() | facts,
    tools=st.dictionaries(st.text(), st.text()),
    licence=st.none() | st.text(),
    source=st.none() | st.text(),
)


@given(manifests)
def test_a_manifest_round_trips_through_json(manifest: Manifest) -> None:
    assert parse_manifest(manifest.to_json(), "x") == manifest


def test_the_defaults_describe_our_own_models() -> None:
    manifest = parse_manifest(MINIMAL, "x")
    assert manifest.input == InputSpec(name="image", dtype="uint8", layout="NHWC", channels="RGB")
    assert manifest.output == OutputSpec(name="probability", column=0, activation="none")
    assert manifest.labels == ("decent", "indecent")


CONTRACT = """
    schema name variant labels threshold threshold_choice preprocess input output training parity
    tools licence source
"""


def test_the_json_has_the_documented_fields_in_order() -> None:
    assert list(json.loads(BUILT_IN[OPEN_NSFW_SHA256].to_json())) == CONTRACT.split()


def changed(**changes: object) -> str:
    return json.dumps(json.loads(MINIMAL) | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid JSON"),
        ("[]", "manifest is invalid"),
        ('{"name": "x"}', "field 'preprocess': it is missing"),
        (changed(treshold=0.5), "field 'treshold': no such field exists"),
        (changed(preprocess={"size": 224, "crop": 1}), "field 'preprocess.crop': no such field"),
        (changed(preprocess={"size": "224"}), "field 'preprocess.size': Input should be a valid"),
        (changed(preprocess={"size": 10**9}), "field 'preprocess': size must be 1 to 4096"),
        (changed(threshold=1.5), "threshold must be in"),
        (changed(threshold=float("nan")), "threshold must be in"),
        (changed(schema=2), "this version of nsfwscan reads schema 1, got 2"),
        (changed(input={"layout": "CHWN"}), "field 'input.layout': Input should be 'NHWC' or"),
        (changed(input={"mean": [1.0, 2.0]}), "field 'input.mean"),
        (changed(input={"mean": [1.0, 2.0, 3.0]}), "takes unchanged pixels"),
        (changed(output={"column": -1}), "column must be 0 or more"),
        (changed(input={"dtype": "float32", "mean": [float("nan"), 0.0, 0.0]}), "must be finite"),
        (changed(input={"dtype": "float32", "scale": [1.0, 1.0, float("inf")]}), "must be finite"),
        (changed(training={"loss": float("nan")}), "not JSON compliant"),
        (changed(labels=["only one"]), "field 'labels"),
        (" " * 2_000_000 + MINIMAL, "larger than 1,048,576 bytes"),
    ],
)
def test_the_error_for_an_invalid_manifest_names_the_field(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        parse_manifest(text, "models/x.json")
    assert str(caught.value).startswith("models/x.json: ")
    assert "\n" not in str(caught.value)


@given(st.text() | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(text, "x")


def test_a_manifest_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with pytest.raises(ManifestError, match=r"cannot read the manifest .*json: No such file"):
        read_manifest(path)
    path.write_text(MINIMAL, encoding="utf-8")
    assert read_manifest(path).name == "mine"


def test_a_manifest_of_version_0_1_is_read() -> None:
    text = '{"name": "a", "preprocess": {"size": 8, "draft_margin" : 4}}'
    assert parse_manifest(text, "here").preprocess.jpeg_draft_margin == 4


def test_a_manifest_without_a_revision_has_that_of_its_time() -> None:
    """Our models before there were revisions saw all colours as sRGB; others see what is newest."""
    for variant, revision in (('"b0"', 1), ("null", REVISION)):
        text = f'{{"name": "a", "variant": {variant}, "preprocess": {{"size": 8}}}}'
        manifest = parse_manifest(text, "here")
        assert manifest.preprocess.revision == revision
        assert parse_manifest(manifest.to_json(), "there") == manifest
    with pytest.raises(ManifestError, match=r"preprocess.*revisions 1 to .*, got 99; a newer"):
        parse_manifest('{"name": "a", "preprocess": {"size": 8, "revision": 99}}', "here")
