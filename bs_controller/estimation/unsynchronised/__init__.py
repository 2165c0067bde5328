"""Estimation with unknown delays: `ridge` finds where to start and `lobes` the lobes of the delays, `delayed` climbs.

`posterior` says what to believe of the range, and `hypotheses` compares what the starts end on.
"""
