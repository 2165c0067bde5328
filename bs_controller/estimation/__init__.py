"""Maximum-likelihood estimation of a user's position and visibility from sweeps: kernels, arrays in and results out.

`masks` chooses sub-arrays, `candidates` finds where to start, `newton` converges, `quality` says what to think of the result.
"""
