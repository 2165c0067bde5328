"""What each element of a front end really does: measured by coded sweeps, kept in a file, taken off every setting."""
