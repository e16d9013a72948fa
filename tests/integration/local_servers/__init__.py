"""Tests of local servers, in the ring `integration`."""
