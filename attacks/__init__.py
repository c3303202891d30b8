"""Attacks behind a wall: a view in, a guess out, and a judge who alone knows the truth. Importing registers them."""

from attacks.gan import gan_inversion, gan_leaks, hitaj
from attacks.gradient import dlg, gradinversion, idlg, inverting_gradients
from attacks.membership import canaries, density_ratio, lira, loss_threshold, nearest, rmia, statistic_linkage
from attacks.memorization import capacity_abuse, correlated_value, lsb, sign

__all__ = [
    "canaries",
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
    "lira",
    "loss_threshold",
    "lsb",
    "nearest",
    "rmia",
    "sign",
    "statistic_linkage",
]
