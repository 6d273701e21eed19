"""What people and clients touch: API, command line, wiring."""
