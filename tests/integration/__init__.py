"""The ring `integration`."""
