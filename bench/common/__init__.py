"""What several benches share: logs to run on, a coordinator beside them, and how figures are told."""
