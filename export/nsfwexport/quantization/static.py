"""Convert layers of a graph to integers, with ONNX Runtime's quantizer."""

import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode

from nsfwexport.quantization.candidates import Form, Method
from nsfwexport.quantization.graph import quiet, tidy, with_weights

_OPERATORS = [
    "Conv", "Gemm", "MatMul", "Relu", "Clip", "Add", "MaxPool", "AveragePool", "Transpose",
    "Reshape",
]  # fmt: skip
"""What is computed with integers. Gates (Sigmoid, Mul) lose much in 8 bits and gain no time."""


class _Feeds(CalibrationDataReader):  # type: ignore[misc]  # no types
    """The inputs of a calibration, one by one."""

    def __init__(self, feeds: Iterable[dict[str, Any]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def ranges(model: Any, feeds: Iterable[dict[str, Any]], method: Method) -> Any:
    """Choose the range of each activation.

    Parameters
    ----------
    model
        As `nsfwexport.quantization.graph.prepare` returns it.
    feeds
        The inputs by name.
    method
        See `Recipe`.

    Returns
    -------
    onnxruntime.quantization.TensorsData
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        file = Path(folder) / "model.onnx"
        onnx.save(model, file)
        calibrator = create_calibrator(
            file, _OPERATORS, augmented_model_path=str(Path(folder) / "observed.onnx"),
            calibrate_method=CalibrationMethod[method],
        )  # fmt: skip
        for feed in feeds:  # one by one, since all activations are in memory
            calibrator.collect_data(_Feeds([feed]))
            calibrator.clear_collected_data()
        return calibrator.compute_data()


def convert(
    model: Any, form: Form, ranges_: Any, integer: Collection[str], *, alone: bool = False
) -> Any:
    """Convert layers of a prepared graph: weights per channel to 7 bits, activations to 8 bits.

    The activations are unsigned, since kernels for signed ones are slow. Processors without VNNI
    add two products in 16 bits, and 8 bits of weights overflow there silently. With 7 bits, every
    processor gives the same scores.

    Parameters
    ----------
    model
        As `nsfwexport.quantization.graph.prepare` returns it.
    form
        See `Recipe`.
    ranges_
        As `ranges` returns them.
    integer
        The names of the layers to convert.
    alone
        Whether all other operators stay in floats, too.

    Returns
    -------
    onnx.ModelProto
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    common = {
        "per_channel": True,
        "reduce_range": True,
        "weight_qType": QuantType.QInt8,
        "activation_qType": QuantType.QUInt8,
        "tensors_range": ranges_,
        "nodes_to_quantize": list(integer) if alone else [],
        "nodes_to_exclude": [name for name in with_weights(model) if name not in integer],
        "op_types_to_quantize": _OPERATORS,
        "extra_options": {},
    }
    with quiet():
        if form == "QDQ":
            quantizer = QDQQuantizer(copy, **common)
        else:
            quantizer = ONNXQuantizer(copy, mode=QuantizationMode.QLinearOps, static=True, **common)
        quantizer.quantize_model()
    converted = quantizer.model.model
    tidy(converted)
    return converted
