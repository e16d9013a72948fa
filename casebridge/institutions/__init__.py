"""Institutions: which there are, and which are paused."""
