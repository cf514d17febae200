"""Maintainers' commands: run, refresh, stamp and test the lessons. Learners never import this package."""
