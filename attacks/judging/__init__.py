"""The only code that compares a guess with the truth."""
