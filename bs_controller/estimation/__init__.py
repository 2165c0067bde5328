"""Maximum-likelihood estimation of a user's position and visibility from sweeps: kernels, arrays in and results out.

`candidates` finds where to start, `lobes` the lobe of the range, `newton` converges, `masks` compares sub-arrays, `quality`
says what to think of the result. Where delays are unknown too, `ridge` finds where to start, `delay_lobes` the lobes, `delayed`
converges, `posterior` says what to believe of the range, and `hypotheses` compares what the starts end on.
"""
