"""Suites: named grids, their cells, and what can be said of them before they run."""
