import json
from pathlib import Path
from typing import Any

import pytest
from helpers import graph_model, mean_model
from onnx import TensorProto, helper
from runtime.inference.test_huggingface import TIMM, VIT

from nsfwscan import Classifier, Manifest, ManifestError, ModelError, Preprocess
from nsfwscan.inference.draft import draft, draft_of
from nsfwscan.inference.known import KNOWN
from nsfwscan.inference.manifest import OPEN, open_fields, parse_manifest
from nsfwscan.inference.modelfile import default_model_path
from nsfwscan.inference.signature import Tensor

PIXELS = Tensor("pixel_values", "float32", ("N", 3, 224, 224))
LOGITS = Tensor("logits", "float32", ("N", 2))
UNKNOWN_ACTIVATION = (
    f"{OPEN}none if the output holds probabilities (the last operator is Gemm), "
    "or else sigmoid or softmax"
)
LABELS: dict[str, Any] = {"id2label": {"0": "normal", "1": "nsfw"}}


def drafted(
    tensor: Tensor = PIXELS,
    output: Tensor = LOGITS,
    operator: str | None = "Gemm",
    config: dict[str, Any] = LABELS,
    processor: dict[str, Any] = VIT,
) -> dict[str, Any]:
    return draft("m", [tensor], [output], {output.name: operator}, config, processor)


def left(facts: dict[str, Any]) -> list[str]:
    return [name for name, _ in open_fields(facts)]


def test_graph_and_configurations_leave_open_only_what_counts() -> None:
    facts = drafted()
    assert list(open_fields(facts)) == [("output.column", "0 (normal) or 1 (nsfw)")]
    facts["output"]["column"] = 1
    manifest, known = parse_manifest(json.dumps(facts), "x"), KNOWN["falconsai"]
    assert manifest.preprocess == known.preprocess
    assert manifest.output.classes == known.output.classes
    assert manifest.output.activation == "softmax"
    assert manifest.input.scale == pytest.approx(known.input.scale)


def test_the_configuration_of_timm_is_enough() -> None:
    tensor = Tensor("input", "float32", ("N", 3, 384, 384))
    config = {"label_names": ["NSFW", "SFW"], "pretrained_cfg": TIMM}
    facts = drafted(tensor, config=config, processor={})
    assert left(facts) == ["output.column"]
    assert facts["preprocess"]["fit"] == "shorter-side"


def test_a_bare_graph_leaves_open_what_it_cannot_tell() -> None:
    assert left(drafted(config={}, processor={})) == [
        "preprocess.resize", "preprocess.fit", "preprocess.interpolation", "input.channels",
        "input.mean", "input.scale", "output.activation", "output.column",
    ]  # fmt: skip
    uint8 = Tensor("image", "uint8", ("N", 224, 224, 3))
    assert "input.mean" not in left(drafted(uint8, config={}, processor={}))


@pytest.mark.parametrize(
    ("operator", "config", "activation"),
    [
        ("Softmax", LABELS, "none"),
        ("Softmax", {}, "none"),
        ("Sigmoid", {}, "none"),
        ("LogSoftmax", {}, "softmax"),
        ("Gemm", LABELS, "softmax"),
        (None, LABELS, "softmax"),
        ("Gemm", LABELS | {"problem_type": "multi_label_classification"}, "sigmoid"),
        ("Gemm", {}, UNKNOWN_ACTIVATION),
    ],
)  # fmt: skip
def test_the_activation_follows_from_the_last_operator_and_the_classes(
    operator: str | None, config: dict[str, Any], activation: str
) -> None:
    assert drafted(operator=operator, config=config)["output"]["activation"] == activation


@pytest.mark.parametrize(
    ("axes", "layout", "size"),
    [
        (("N", 3, 224, 224), "NCHW", 224),
        (("N", 224, 224, 3), "NHWC", 224),
        (("N", 3, "height", "width"), "NCHW", 224),
        (("batch_size", "num_channels", "height", "width"), "NCHW", 224),
        (("N", None, None, None), f"{OPEN}NHWC or NCHW", 224),
    ],
)
def test_the_layout_follows_from_the_axes(
    axes: tuple[int | str | None, ...], layout: str, size: int
) -> None:
    facts = drafted(Tensor("x", "float32", axes))
    assert facts["input"]["layout"] == layout
    assert facts["preprocess"]["size"] == size


def test_the_reduction_of_many_classes_is_left_to_people() -> None:
    names = {str(index): name for index, name in enumerate("abcde")}
    five = Tensor("logits", "float32", ("N", 5))
    facts = drafted(output=five, config={"id2label": names})
    assert facts["output"]["classes"] == list("abcde")
    assert left(facts) == ["output.counted", "output.reduction"]
    facts["output"] |= {"counted": ["b", "c"], "reduction": "sum"}
    assert parse_manifest(json.dumps(facts), "x").output.columns == (1, 2)
    assert left(drafted(output=five, config={}))[-1] == "output.column"
    one = Tensor("p", "float32", ("N", 1))
    assert drafted(output=one, operator="Sigmoid", config={})["output"]["column"] == 0


def test_one_of_several_outputs_is_left_to_people() -> None:
    hidden = Tensor("hidden", "float32", ("N", 768))
    facts = draft("m", [PIXELS], [LOGITS, hidden], {"logits": None, "hidden": None}, LABELS, VIT)
    assert facts["output"]["name"] == f"{OPEN}logits or hidden"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tensor": Tensor("ids", "int64", ("N", 12))}, "describes one input of four axes"),
        ({"tensor": Tensor("x", "int64", ("N", 3, 8, 8))}, "describes uint8, float16 or float32"),
        ({"tensor": Tensor("x", "float32", ("N", 3, 8, 9))}, "describes square images"),
        ({"output": Tensor("x", "int64", ("N",))}, r"describes floats \[N\] or \[N, columns\]"),
        ({"output": Tensor("x", "float32", ("N", 3))}, r"names 2 classes \(normal, nsfw\): it is"),
        ({"tensor": Tensor("x", "float32", ("N", 3, 8, 8))}, "takes images of 8 x 8, and"),
    ],
)
def test_what_no_manifest_describes_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        drafted(**changes)


def test_a_draft_of_a_file_works_once_it_is_complete(tmp_path: Path) -> None:
    path = mean_model(
        tmp_path / "m.onnx", input_name="pixel_values", output_name="logits",
        dtype=TensorProto.FLOAT, shape=("N", 3, 224, 224), weights=((0.0, 1.0),) * 3,
        bias=(0.0, 0.0),
    )  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(LABELS))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(VIT))
    made = draft_of(path)
    assert made.notes == (
        "fill in output.column: 0 (normal) or 1 (nsfw)",
        "the threshold is 0.5 until you measure a better one on your own images",
    )
    (tmp_path / "m.json").write_text(made.text)
    with pytest.raises(ManifestError, match=r"m\.json: the draft is not complete: fill in output"):
        Classifier.load(path, manifest=tmp_path / "m.json")
    (tmp_path / "m.json").write_text(made.text.replace('"fill in: 0 (normal) or 1 (nsfw)"', "1"))
    assert Classifier.load(path, manifest=tmp_path / "m.json").manifest.output.column == 1


def test_the_final_operator_of_a_file_is_found(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=None, keepdims=0),
        helper.make_node("Constant", [], ["shape"], value_ints=[1, 1]),
        helper.make_node("Reshape", ["mean", "shape"], ["one"]),
        helper.make_node("Sigmoid", ["one"], ["probability"]),
    ]
    path = graph_model(tmp_path / "m.onnx", *nodes, dtype=TensorProto.FLOAT, shape=[1, 1])
    made = draft_of(path)
    assert json.loads(made.text)["output"] == {
        "name": "probability", "activation": "none", "column": 0,
    }  # fmt: skip
    assert "neither config.json nor preprocessor_config.json" in made.notes[0]


def test_a_model_that_has_a_manifest_keeps_it(tmp_path: Path) -> None:
    own = Manifest(name="mine", preprocess=Preprocess(size=8))
    made = draft_of(mean_model(tmp_path / "m.onnx", own))
    assert parse_manifest(made.text, "x") == own
    assert "contains this manifest" in made.notes[0]
    known = draft_of(default_model_path())
    assert parse_manifest(known.text, "x").name == "open_nsfw"
    assert "is a known model" in known.notes[0]


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000, " " * 2_000_000])
def test_a_damaged_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = mean_model(tmp_path / "m.onnx")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json is not a JSON object; restore it or move"):
        draft_of(path)
