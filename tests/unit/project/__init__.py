"""Tests of project, in the ring `unit`."""
