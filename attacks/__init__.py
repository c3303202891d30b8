"""Attacks behind a wall: a view in, a guess out, and a judge who alone knows the truth. Importing registers them."""

from attacks.gan import gan_leaks, hitaj
from attacks.gradient import dlg, gradinversion, idlg, inverting_gradients
from attacks.memorization import capacity_abuse, correlated_value, lsb, sign

__all__ = [
    "capacity_abuse",
    "correlated_value",
    "dlg",
    "gan_leaks",
    "gradinversion",
    "hitaj",
    "idlg",
    "inverting_gradients",
    "lsb",
    "sign",
]
