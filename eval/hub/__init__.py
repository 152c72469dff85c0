"""A local model hub, for tests and for trying profiles at full size without real weights."""
