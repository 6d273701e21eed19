"""The Arvados v1 API over HTTP: what existing clients speak, on top of the log, the read model and the store."""
