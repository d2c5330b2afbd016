"""What happens to a mask after the network: refinement, stabilization in video, the decision whether there is sky."""
