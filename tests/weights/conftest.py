from tests.support.open_hub import open_hub

__all__ = ["open_hub"]  # a fixture
