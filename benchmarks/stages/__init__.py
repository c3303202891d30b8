"""What a cell computes."""
