"""The other side of each role under test."""
