"""Attacks behind a wall: a view in, a guess out, and a judge who alone knows the truth. Importing registers them."""

from attacks.gan import hitaj
from attacks.gradient import inverting_gradients
from attacks.memorization import sign

__all__ = ["hitaj", "inverting_gradients", "sign"]
