"""Peers and controllers that are broken on purpose, one rule each: the kit must catch every one of them.

Each is a process of the product with one patch: ``python -m tests.conformance.zoo NAME FILE ...`` takes the other words as the
process does. Which cases must catch whom stands beside each patch.
"""
