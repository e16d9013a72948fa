"""Tools of the Makefile and CI: they create the environment, install servers, and generate reference pages.

They are not installed with casebridge, and casebridge imports nothing from here.
"""
