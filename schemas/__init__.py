"""What crosses the wire: commands, events, topics and their codec."""
