"""The Python half of `lua/`: relays what Redis decides, and decides nothing itself."""
