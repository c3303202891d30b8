"""The roof: suites, the runner, the command line."""
