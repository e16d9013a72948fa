"""Calls over HTTP: connections, time, sizes, rates, and what each failure means."""
