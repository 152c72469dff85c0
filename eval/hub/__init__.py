"""A model hub on this machine, for tests and for trying profiles at full size without weights."""
