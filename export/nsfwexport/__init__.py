"""Turn trained models into ONNX files, and prove that both say the same."""
