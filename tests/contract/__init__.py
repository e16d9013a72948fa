"""One suite against each server, or against the description that a vendor publishes."""
