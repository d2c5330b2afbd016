"""Kinds of scene: each paints its foreground over a canvas whose sky and light are set."""
