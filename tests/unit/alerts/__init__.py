"""Tests of alerts, in the ring `unit`."""
