"""What int8 is calibrated and checked on: image sets, observed ranges, names and ranking of layers. The formats share it."""
