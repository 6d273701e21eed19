"""A seeded simulator of the whole: shipped rules over a log in memory, virtual time, faults, an independent model."""
