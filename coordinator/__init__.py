"""The rules: pure machines that say what follows from each record."""
