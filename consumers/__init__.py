"""What acts on the log: executor and runners, verifier, projector."""
