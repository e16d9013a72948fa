"""Tests of alerts, in the ring `integration`."""
