"""Latency, memory and accuracy of artifacts on this machine. `results.schema.json` describes the result files."""
