"""Datasets, and how files become images."""
