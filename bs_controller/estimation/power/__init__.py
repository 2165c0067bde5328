"""Estimation from powers alone: `profiles` and `candidates` find where to start, `rician` is the likelihood, `scoring` climbs.

`search` puts them together, `posterior` says what to believe of the range, and `quality` how well it fits.
"""
