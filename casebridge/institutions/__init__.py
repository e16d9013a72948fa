"""Institutions: their register in the configuration, and their pauses."""
