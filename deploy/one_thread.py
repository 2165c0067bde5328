"""One thread of linear algebra per process, by environment variables that are read when numpy is first imported."""

#: threads that spin against each other on shared cores made the same work ten times slower
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
