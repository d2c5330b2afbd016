"""Int8 and what belongs to it: post-training quantization, quantization-aware training, sensitivity of layers."""

import os

os.environ.setdefault("NNCF_CI", "1")  # NNCF otherwise reports its use over the network; it reads this when it is imported
