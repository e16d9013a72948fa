"""Calls over HTTP: connections, time limits, sizes, rates, and the error for each failure."""
