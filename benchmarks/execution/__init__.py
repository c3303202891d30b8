"""Where and how cells are computed."""
