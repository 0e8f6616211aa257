import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import InputSpec, Manifest, ManifestError, OutputSpec, Preprocess
from nsfwscan.decoding.parameters import REVISION
from nsfwscan.inference.cascade import Cascade
from nsfwscan.inference.known import BUILT_IN, OPEN_NSFW_SHA256
from nsfwscan.inference.manifest import parse_manifest, read_manifest

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
    scale=channels.filter(all),
)
activations = st.sampled_from(["none", "sigmoid", "softmax"])
outputs = st.builds(
    OutputSpec, name=st.none() | st.text(), column=st.integers(0, 9), activation=activations
) | st.lists(st.text(), min_size=2, unique=True).flatmap(
    lambda names: st.builds(
        OutputSpec,
        classes=st.just(tuple(names)),
        counted=st.sampled_from(names).map(lambda name: (name,)),
        reduction=st.sampled_from(["sum", "maximum", "complement"]),
        activation=activations,
    )
)
facts = st.dictionaries(st.text(), st.integers() | st.text() | st.booleans())
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)

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
    digest=st.none() | DIGESTS,
    cascade=st.none() | st.builds(Cascade, model=DIGESTS, band=st.floats(0.1, 10)),
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
    schema name variant labels threshold threshold_choice operating_points preprocess input output
    training parity tools licence source training_data limits digest
    cascade
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
        (changed(name=1, labels=["only one"]), "field 'name': Input should be a valid string"),
        (changed(threshold=1.5), "threshold must be in"),
        (changed(threshold=-0.001), "threshold must be in"),
        (changed(threshold="0.5"), "field 'threshold': Input should be a valid number"),
        (changed(output={"column": True}), "field 'output.column': Input should be a valid int"),
        (changed(input={"dtype": "float32", "mean": ["1", 0, 0]}), "field 'input.mean.0': Input"),
        (changed(input={"size": 224}), "field 'input.size': no such field exists"),
        (changed(output={"index": 0}), "field 'output.index': no such field exists"),
        (changed(threshold=float("nan")), "threshold must be in"),
        *(
            (changed(output=output), said)
            for output, said in (
                ({"classes": ["a", "a"]}, "classes names a class twice"),
                (
                    {"classes": ["a", "b"], "column": 2},
                    "output.column is 2, and the columns are 0 to 1",
                ),
                ({"classes": ["a"], "activation": "softmax"}, "softmax, which makes 1 of a single"),
                ({"classes": ["a", "b"], "counted": ["b"]}, "counted needs the reduction sum, max"),
                ({"reduction": "sum"}, "the reduction sum needs classes, and counted"),
                (
                    {"classes": ["a", "b"], "counted": ["c"], "reduction": "sum"},
                    "counted names 'c', which is not one of the classes",
                ),
                (
                    {"classes": ["a", "b"], "counted": ["b", "b"], "reduction": "sum"},
                    "counted names a class twice",
                ),
                (
                    {"classes": ["a", "b"], "counted": ["b", "a"], "reduction": "complement"},
                    "counted names all classes: the score would not depend on the image",
                ),
                (
                    {
                        "classes": ["a", "b", "c"],
                        "counted": ["b", "a"],
                        "reduction": "sum",
                        "activation": "sigmoid",
                    },
                    "the sum of several classes needs mutually exclusive ones.*: use maximum",
                ),
                ({"reduction": "mean"}, "field 'output.reduction': Input should be 'column', "),
            )
        ),
        (changed(digest="F" * 64), "digest must be a SHA-256"),
        (changed(digest="0" * 63), "digest must be a SHA-256"),
        (changed(schema=2), "this version of nsfwscan reads schema 1, got 2"),
        (changed(input={"layout": "CHWN"}), "field 'input.layout': Input should be 'NHWC' or"),
        (changed(input={"mean": [1.0, 2.0]}), "field 'input.mean"),
        (changed(input={"mean": [1.0, 2.0, 3.0]}), "takes unchanged pixels"),
        (changed(output={"column": -1}), "column must be 0 or more"),
        (changed(input={"dtype": "float32", "mean": [float("nan"), 0.0, 0.0]}), "must be finite"),
        (changed(input={"dtype": "float32", "scale": [1.0, 1.0, float("inf")]}), "must be finite"),
        (changed(input={"dtype": "float32", "scale": [0.0, 0.0, 0.0]}), "scale must not be 0"),
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


def test_a_manifest_has_a_largest_size(tmp_path: Path) -> None:
    largest = MINIMAL.rjust(1 << 20)
    path = tmp_path / "model.json"
    path.write_text(largest)
    assert read_manifest(path) == parse_manifest(largest, "x") == parse_manifest(MINIMAL, "x")
    path.write_text(largest + " ")
    with pytest.raises(ManifestError, match=r"json: the manifest is larger than 1,048,576 bytes"):
        read_manifest(path)


@pytest.mark.parametrize("threshold", [0, 1])
def test_the_limits_of_a_threshold_are_thresholds(threshold: int) -> None:
    assert parse_manifest(changed(threshold=threshold), "x").threshold == threshold


def test_a_float_input_normalises_if_mean_or_scale_change_pixels() -> None:
    assert not InputSpec().normalises
    assert not InputSpec(dtype="float32").normalises
    for i in range(3):
        mean, scale = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
        mean[i], scale[i] = 1.0, 0.5
        for values in ({"mean": (*mean,)}, {"scale": (*scale,)}):
            assert InputSpec(dtype="float32", **values).normalises  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="takes unchanged pixels"):
                InputSpec(**values)  # type: ignore[arg-type]


def test_a_manifest_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with pytest.raises(ManifestError, match=r"cannot read the manifest .*json: No such file"):
        read_manifest(path)
    for encoding in ("utf-8", "utf-8-sig"):  # some editors begin with a byte order mark
        path.write_text(MINIMAL, encoding=encoding)
        assert read_manifest(path).name == "mine"


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-16", "is in UTF-16"), ("latin-1", "is not in UTF-8")]
)
def test_another_encoding_of_a_file_is_named(tmp_path: Path, encoding: str, said: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(MINIMAL.replace("mine", "größe"), encoding=encoding)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(caught.value) == f"{path} {said}; save it as UTF-8"


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


def test_a_draft_with_open_fields_is_refused_until_they_are_filled_in() -> None:
    draft = changed(
        name="fill in: any", output={"column": "fill in: 0 or 1", "classes": ["a", "b"]}
    )
    with pytest.raises(ManifestError) as caught:
        parse_manifest(draft, "draft.json")
    said = "draft.json: the draft is not complete: fill in name, output.column"
    assert str(caught.value) == said
    complete = draft.replace('"fill in: 0 or 1"', "1").replace("fill in: any", "mine")
    assert parse_manifest(complete, "draft.json").output.column == 1
    with pytest.raises(ManifestError, match="fill in name"):  # spelled in another way
        parse_manifest(complete.replace("mine", "fi\\u006cl in: x"), "draft.json")
    with pytest.raises(ManifestError, match="Invalid JSON"):
        parse_manifest(draft[:-1], "draft.json")
    with pytest.raises(ManifestError, match="manifest is invalid"):
        parse_manifest("[" * 100_000 + '"fill in: x"', "draft.json")
