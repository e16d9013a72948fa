"""FS-Digex, the student registry: its API, which is the port `StudentRegistry`."""
