"""The training loop and its parts: losses, presets, several processes, curves. Commands of `train/` configure it."""
