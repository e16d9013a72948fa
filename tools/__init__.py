"""What the Makefile and CI run: making the environment, getting servers, generating reference pages.

Nothing here is installed with casebridge, and nothing of casebridge imports it.
"""
