"""`migrate`: the history of an Arvados v1 cluster, from its database or an export, into the log."""
