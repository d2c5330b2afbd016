"""One-off studies: one file writes one folder of `results/`. Nothing imports them."""
