"""The exact layer: symbols to bytes and back, in integers, without torch.

Description ─┐
RegionMaps ──┼─► pack ─► container ─► .misc file ─► container ─► unpack ─► the same symbols on every machine
PixelLatents ┘
"""
