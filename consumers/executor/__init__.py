"""The executor: offers a node, runs what it is given, and says so."""
