"""Tests of plain Python: no server, no network."""
