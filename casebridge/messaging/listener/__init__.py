"""The listener of one process: it claims messages, hands them to workers, and settles them."""
