"""Where a task's process runs: one small port, and a runner for each kind of isolation."""
