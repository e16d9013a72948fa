"""Tests of capabilities as such: what the platform does for each of them."""
