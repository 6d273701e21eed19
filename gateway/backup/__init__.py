"""`backup` and `restore`: log, store and secrets in a folder, and back into an empty machine."""
