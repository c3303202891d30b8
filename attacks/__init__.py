"""Attacks behind a wall: a view in, a guess out, and a judge who alone knows the truth. Importing registers them."""

from attacks.gan import hitaj
from attacks.gradient import dlg, gradinversion, idlg, inverting_gradients
from attacks.memorization import sign

__all__ = ["dlg", "gradinversion", "hitaj", "idlg", "inverting_gradients", "sign"]
