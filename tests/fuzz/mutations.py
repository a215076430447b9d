"""Mutations of bytes: of a whole file, of the members of a zip, and of the chunks of a PNG with right checksums."""

import io
import struct
import zipfile
import zlib
from random import Random

EXTREMES = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def mutated(rng: Random, seeds: list[bytes]) -> bytes:
    """One of the valid contents after one to six mutations."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        rng.choice((flip, flip, overwrite, overwrite, delete, insert, repeat, splice, truncate, number, digits))(
            rng, content, seeds
        )
    return bytes(content)


def place(rng: Random, content: bytearray) -> int:
    """A position; half of them near the beginning, where headers are."""
    size = len(content) if rng.random() < 0.5 else min(len(content), 128)
    return rng.randrange(size + 1)


def flip(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """One bit is inverted."""
    if content:
        content[place(rng, content) - 1] ^= 1 << rng.randrange(8)


def overwrite(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """One byte gets another value."""
    if content:
        content[place(rng, content) - 1] = rng.choice((0, 0xFF, 0x20, 0x0A, rng.randrange(256)))


def delete(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """Some bytes are removed."""
    at = place(rng, content)
    del content[at : at + rng.choice((1, 2, 4, 16, 200))]


def insert(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """Some bytes are added."""
    at = place(rng, content)
    content[at:at] = rng.choice((b"\0", b"\xff" * 4, b"\n", rng.randbytes(8), b"A" * 3000))


def repeat(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """A piece appears twice, or many times."""
    at = place(rng, content)
    content[at:at] = content[at : at + rng.choice((1, 4, 32))] * rng.choice((1, 2, 50))


def splice(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """The rest is that of another file."""
    other = rng.choice(seeds)
    content[place(rng, content) :] = other[rng.randrange(len(other) + 1) :]


def truncate(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """The end is missing."""
    del content[place(rng, content) :]


def number(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """A number of 2, 4 or 8 bytes, such as a length, becomes an extreme one, or one more or less."""
    size, order = rng.choice((2, 4, 8)), rng.choice(("little", "big"))
    at = place(rng, content)
    here = int.from_bytes(content[at : at + size], order)
    value = rng.choice((*EXTREMES, here + 1, here - 1)) % 256**size
    content[at : at + size] = value.to_bytes(size, order)


def digits(rng: Random, content: bytearray, seeds: list[bytes]) -> None:
    """A number that is written in digits becomes an extreme one."""
    places = [at for at, byte in enumerate(content[:4096]) if chr(byte).isdigit()]
    if places:
        at = rng.choice(places)
        content[at : at + 1] = rng.choice((b"-1", b"0", b"9" * 19, b"9" * 5000, b"1e400", b"nan", b"99999999999"))


def in_a_zip(rng: Random, seeds: list[bytes]) -> bytes:
    """A valid zip with one member mutated, and right checksums."""
    with zipfile.ZipFile(io.BytesIO(rng.choice(seeds))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    members[name] = mutated(rng, [members[name]])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return file.getvalue()


def in_a_png(rng: Random, seeds: list[bytes]) -> bytes:
    """A valid PNG with one chunk mutated, removed or repeated, and right checksums; pixels are mutated uncompressed."""
    chunks = list(chunks_of(rng.choice(seeds)))
    at = rng.randrange(len(chunks))
    name, content = chunks[at]
    if name == b"IDAT" and rng.random() < 0.5:
        content = zlib.compress(mutated(rng, [zlib.decompressobj().decompress(content)]))
    else:
        content = mutated(rng, [content])
    chunks[at : at + 1] = [(name, content)] * rng.choice((0, 1, 1, 1, 1, 2))
    return SIGNATURE + b"".join(chunk(name, content) for name, content in chunks)


def chunks_of(png: bytes) -> list[tuple[bytes, bytes]]:
    """The names and contents of the chunks of a valid PNG."""
    found, at = [], len(SIGNATURE)
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
