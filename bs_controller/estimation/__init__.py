"""Maximum-likelihood estimation of a user's position and visibility from sweeps: kernels, arrays in and results out.

`candidates` finds where to start, `lobes` the lobe of the range, `newton` converges, `masks` compares sub-arrays, `quality`,
`second_look` and `in_beam` say what to think of the result.
"""
