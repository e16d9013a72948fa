"""What every kind of case has in common: key, number, institution, states with allowed transitions, marks and links.

This room belongs to the platform and knows no capability. A capability adds its own fields, states and collection.
"""
