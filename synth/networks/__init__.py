"""Networks: how they are built, trained, compiled and taken from others, and what their batch-norm layers see."""
