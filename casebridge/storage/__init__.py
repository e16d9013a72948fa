"""The version of what is stored, the steps that raise it, and who may be at work meanwhile."""
