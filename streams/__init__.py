"""The log: its port, its adapters, and the loop that runs a machine on a partition."""
