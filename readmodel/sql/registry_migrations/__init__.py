"""Steps of the schema `api`: what the API keeps that is no part of the log."""
