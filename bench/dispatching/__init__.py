"""The parts of `./run bench dispatch`: simulated executors, arrivals, and the queue that nobody can beat."""
