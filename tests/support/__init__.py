"""What several tests use: worlds, processes, proxies, clocks and checks."""
