"""The UE agent: one process per user, which measures the sweeps that the controller asks for and reports them."""
