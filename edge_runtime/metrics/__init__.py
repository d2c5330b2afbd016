"""How good a mask is: overlap, boundary and ranking metrics. Every metric leaves void pixels out."""
