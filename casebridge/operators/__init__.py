"""What operators ask, answered from MongoDB: how things stand, where a case is, run it again.

Both faces, the command line and Dagster, show these answers; neither computes its own. No answer holds personal data.
"""
