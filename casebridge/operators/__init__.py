"""The answers to operators' questions: the status, the history of a case, dead letters, deadlines, retention.

Each answer uses the packages that own the collections. The command line and Dagster show the same answers; neither computes its
own. No answer contains personal data.
"""
