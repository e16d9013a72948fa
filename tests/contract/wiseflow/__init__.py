"""Tests of wiseflow, in the ring `contract`."""
