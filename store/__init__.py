"""Content in Keep's format: blocks, manifests, collections."""
