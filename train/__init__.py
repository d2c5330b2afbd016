"""Training: from labeled images to a checkpoint. Commands are at the top; the folders hold what they share."""
