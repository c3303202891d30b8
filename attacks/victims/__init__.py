"""Whoever is attacked: clients, federations, owners of data who run somebody's code, and what they show."""
