"""ONNX and TFLite graphs as they are released: clean names, agreed nodes, metadata, and a look at the operators."""
