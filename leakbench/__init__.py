"""What a synthetic image dataset gives away about the private photographs behind it, and what it is still good for."""
