"""Attacks behind a wall: a view in, a guess out, and a judge who alone knows the truth. Importing registers them."""

from attacks.gan import gan_inversion, gan_leaks, hitaj
from attacks.gradient import dlg, gradinversion, idlg, inverting_gradients
from attacks.membership import density_ratio, nearest, statistic_linkage
from attacks.memorization import capacity_abuse, correlated_value, lsb, sign

__all__ = [
    "capacity_abuse",
    "correlated_value",
    "density_ratio",
    "dlg",
    "gan_inversion",
    "gan_leaks",
    "gradinversion",
    "hitaj",
    "idlg",
    "inverting_gradients",
    "lsb",
    "nearest",
    "sign",
    "statistic_linkage",
]
