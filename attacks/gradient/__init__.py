"""Gradient matching: from what a client shares back to what it trained on."""
