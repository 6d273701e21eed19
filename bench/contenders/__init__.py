"""What `./run bench peers` sets beside the coordinator, each with the same commands, payloads and durability."""
