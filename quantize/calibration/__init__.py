"""What int8 is calibrated and checked on: image sets, observed ranges, recipes. The formats share it."""
