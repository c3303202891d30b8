"""The audit of a release that somebody else made: folders of images in, a verdict out."""
