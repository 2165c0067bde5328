"""The conformance kit: plays the other side of the protocol against an implementation and says which clauses it breaks."""
