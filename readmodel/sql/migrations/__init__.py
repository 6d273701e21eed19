"""The steps that make the schema `rm`, one file each, in order of their numbers."""
