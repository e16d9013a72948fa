"""The rates of the vendors. Several processes on several hosts divide them by leased shares."""
