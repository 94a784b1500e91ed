"""The runtimes that can run the network: PyTorch, ONNX Runtime, OpenVINO."""
