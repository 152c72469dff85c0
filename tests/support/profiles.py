"""ICC profiles made of numbers."""

import itertools
import struct

from misc.colour import srgb_profile

P3_PRIMARIES = {  # adapted to D50
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}


def display_p3() -> bytes:
    """sRGB's profile with the primaries of Display P3."""
    profile = bytearray(srgb_profile())
    (count,) = struct.unpack_from(">I", profile, 128)
    for i in range(count):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        if name in P3_PRIMARIES:
            struct.pack_into(">3i", profile, offset + 8, *(round(v * 65_536) for v in P3_PRIMARIES[name]))
    return bytes(profile)


def cmyk() -> bytes:
    """A printer whose inks make L* smaller by 20, 30, 10 and 80 of 100, and have no colour at all."""
    ramp = bytes(range(256))
    nodes = bytearray()
    for c, m, y, k in itertools.product((0, 1), repeat=4):
        lightness = max(0, 100 - 20 * c - 30 * m - 10 * y - 80 * k) if c + m + y + k < 4 else 0
        nodes += bytes([round(lightness * 2.55), 128, 128])
    identity = struct.pack(">9i", 65_536, 0, 0, 0, 65_536, 0, 0, 0, 65_536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + 4 * ramp + nodes + 3 * ramp
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63_190, 65_536, 54_061)
    tags = {b"A2B0": table, b"wtpt": white}
    body, entries = bytearray(), bytearray()
    start = 132 + 12 * len(tags)
    for name, data in tags.items():
        entries += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    head += bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + bytes(entries) + bytes(body)
