"""Composition: the command line, the launcher and the in-process testbed; the only code that joins several processes."""
