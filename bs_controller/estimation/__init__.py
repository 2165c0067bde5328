"""Maximum-likelihood estimation of a user's position and visibility from sweeps: kernels, arrays in and results out.

`candidates` finds where to start, `reduced` leaves out what tells little, `observed` has what each plan observes, `lobes` finds
the lobe of the range, `newton` climbs, `masks` compares sub-arrays, `quality`, `second_look` and `in_beam` say what to think of
the result. `unsynchronised` has the steps that differ where delays are unknown too, `power` those for powers alone.
"""
