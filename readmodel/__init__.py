"""Postgres as people query it: migrations, projection, queries."""
