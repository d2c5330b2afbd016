"""Int8 and what belongs to it: post-training quantization, quantization-aware training, sensitivity of layers."""
