"""Tests of fs, in the ring `contract`."""
