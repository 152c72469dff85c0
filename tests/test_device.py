"""The device on which a codec's networks run."""

import pytest

from misc.codec import Codec
from misc.errors import UsageError
from tests.support.images import sample_picture


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "xla"])
def test_a_device_that_is_not_here_is_one_sentence(device: str) -> None:
    codec, photo = Codec(device=device), sample_picture(192, 128)
    for work in (lambda: codec.encode(photo, mode="pixel", bpp=0.2), lambda: codec.see(photo)):
        with pytest.raises(UsageError, match=f"device '{device}' cannot be used: ") as caught:
            work()
        assert "\n" not in str(caught.value)
