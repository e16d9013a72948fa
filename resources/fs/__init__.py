"""The client of FS-Digex, the student registry. It implements the port `StudentRegistry`."""
