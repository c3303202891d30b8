"""Model memorization: the training code hides its training images in the model (arXiv 1709.07886)."""
