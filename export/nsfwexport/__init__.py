"""Convert trained models to ONNX and verify that their scores stay the same."""
