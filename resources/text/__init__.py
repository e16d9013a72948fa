"""Turns HTML from outside systems into text that people can read."""
