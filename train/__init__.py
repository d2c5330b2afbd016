"""Training: from labeled images to a checkpoint. Commands are at the top, `models/`, `data/` and `engine/` hold what they share."""
