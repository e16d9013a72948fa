"""One process at work: claims, hands out, handles and settles messages."""
