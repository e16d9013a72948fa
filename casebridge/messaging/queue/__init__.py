"""The stored messages, who holds them, and the changes of their status."""
