"""Stand-ins for the other side of a radio driver, for tests and for trying a driver without a device."""
