"""What an evaluation shows beside its table: plots, sheets of the worst images, and figures of both classes."""
