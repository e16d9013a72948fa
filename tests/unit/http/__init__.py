"""Tests of http, in the ring `unit`."""
