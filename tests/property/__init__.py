"""The ring `property`."""
