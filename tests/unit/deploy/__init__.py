"""Tests of deploy, in the ring `unit`."""
