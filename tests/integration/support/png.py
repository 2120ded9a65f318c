"""Pictures of pages made small: 256 colours, which flat surfaces and grey letters do not miss."""

import collections
import struct
import zlib

CHANNELS = {2: 3, 6: 4}  # of RGB and RGBA
FREQUENT = 128


def _chunks(data):
    at = 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        yield kind, data[at + 8 : at + 8 + size]
        at += size + 12


def _paeth(a, b, c):
    estimate = a + b - c
    distances = (abs(estimate - a), abs(estimate - b), abs(estimate - c))
    return (a, b, c)[distances.index(min(distances))]


def _unfilter(kind, row, above, step):
    for i in range(len(row)):
        left = row[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        add = (0, left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))[kind]
        row[i] = (row[i] + add) & 255


def _pixels(data):
    """Rows of (red, green, blue)."""
    chunks = list(_chunks(data))
    width, height, depth, colours = struct.unpack(">IIBB", dict(chunks)[b"IHDR"][:10])
    assert depth == 8
    step = CHANNELS[colours]
    raw = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    above = bytearray(width * step)
    for y in range(height):
        start = y * (width * step + 1)
        row = bytearray(raw[start + 1 : start + 1 + width * step])
        if raw[start] != 0:
            _unfilter(raw[start], row, above, step)
        yield list(zip(row[0::step], row[1::step], row[2::step]))
        above = row


def _distance(one, other):
    return sum((a - b) ** 2 for a, b in zip(one, other))


def _palette(rows):
    """The most frequent colours, then those that would be missed most: a word in amber is no word in
    red. And which of them stands for each."""
    counted = collections.Counter(pixel for row in rows for pixel in row)
    palette = [colour for colour, _ in counted.most_common(FREQUENT)]
    missed = {
        colour: min(_distance(colour, other) for other in palette)
        for colour in counted.keys() - set(palette)
    }
    while missed and len(palette) < 256:
        worst = max(missed, key=lambda colour: counted[colour] * missed[colour])
        palette.append(worst)
        missed = {
            colour: min(distance, _distance(colour, worst))
            for colour, distance in missed.items()
            if colour != worst
        }
    place = {colour: i for i, colour in enumerate(palette)}
    for colour in missed:
        place[colour] = min(range(256), key=lambda i: _distance(palette[i], colour))
    return palette, place


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def small(data):
    rows = list(_pixels(data))
    palette, place = _palette(rows)
    raw = b"".join(b"\0" + bytes(place[pixel] for pixel in row) for row in rows)
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)
    return (
        data[:8]
        + _chunk(b"IHDR", header)
        + _chunk(b"PLTE", bytes(value for colour in palette for value in colour))
        + _chunk(b"IDAT", zlib.compress(raw, 9))
        + _chunk(b"IEND", b"")
    )
