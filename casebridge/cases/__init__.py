"""What every kind of case has in common: key, correlation id, institution, states with allowed transitions, marks and links.

This package belongs to the platform and imports no capability. A capability adds its own fields, states and collection.
"""
