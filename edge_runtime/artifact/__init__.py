"""The artifact contract: what `model.json` holds, and the one reader and writer of artifact folders."""
