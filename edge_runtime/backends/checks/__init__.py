"""Readers of model files that come from strangers: they refuse what could run code, open other files or take too much memory."""
