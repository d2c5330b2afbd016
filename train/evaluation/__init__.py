"""What an evaluation shows beside its table: a plot, a sheet of the worst images, and figures of both classes."""
