"""Models stored in files: weights, TorchScript, exported programs and ONNX, read without running their code."""
