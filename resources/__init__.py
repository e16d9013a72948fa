"""The clients of the outside systems, and the wiring that builds a process from them."""
