"""Tests of slack laas, in the ring `contract`."""
