"""Records in, documents out. Nothing here pulls torch."""
