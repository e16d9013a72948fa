"""The ring `crash`."""
