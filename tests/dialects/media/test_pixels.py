"""A picture's size is read from its header where every reader must understand it alike, and from nothing else."""

import base64
import struct
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects.media import payload, pixels


def chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *before: bytes) -> bytes:
    """With whatever stands between the header and the pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    """One segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg(width: int, height: int, *before: bytes, frame: int = 0xC0) -> bytes:
    """With whatever stands before the frame header."""
    size = segment(frame, struct.pack(">BHHB", 8, height, width, 3) + b"\1\x22\0\2\x11\1\3\x11\1")
    return (
        b"\xff\xd8"
        + segment(0xE0, b"JFIF\0")
        + b"".join(before)
        + size
        + segment(0xC4, b"\0" * 20)
        + segment(0xDA, b"\0" * 10)
        + b"\1\2\xff\xd9"
    )


def gif(width: int, height: int, frame: tuple[int, int, int, int] | None = None) -> bytes:
    """A screen with a colour table, an extension and one frame."""
    left, top, inner_width, inner_height = frame or (0, 0, width, height)
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80 | 1, 0, 0) + b"\0" * 12
    return (
        screen + b"\x21\xff\x03abc\x02de\0" + b"\x2c" + struct.pack("<HHHHB", left, top, inner_width, inner_height, 0) + b"\2\2\x4c\1\0\x3b"
    )


def webp(kind: bytes, data: bytes) -> bytes:
    """The container."""
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"WEBP" + kind + struct.pack("<I", len(data)) + data


def webp_plain(width: int, height: int) -> bytes:
    """A lossy picture."""
    return webp(b"VP8 ", b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"\0" * 20)


def webp_lossless(width: int, height: int) -> bytes:
    """Fourteen bits each."""
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0" * 20)


def webp_extended(width: int, height: int) -> bytes:
    """Twenty-four bits each."""
    return webp(b"VP8X", b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + b"\0" * 20)


def bmp(width: int, height: int) -> bytes:
    """Upside down, as most are not."""
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + struct.pack("<Iii", 40, width, -height) + b"\0" * 40


def text(data: bytes) -> str:
    """As it stands in a body."""
    return base64.b64encode(data).decode()


MAKERS: dict[str, Callable[[int, int], bytes]] = {
    "image/png": png,
    "image/jpeg": jpeg,
    "image/gif": gif,
    "image/webp": webp_plain,
    "image/webp ": webp_lossless,
    "image/webp  ": webp_extended,
    "image/bmp": bmp,
}
SIZES = ((1, 1), (640, 480), (16_000, 7))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", MAKERS)
def test_the_size_is_read_from_each_kind(kind: str, size: tuple[int, int]) -> None:
    """With its type declared, without, and never with another type declared."""
    data = text(MAKERS[kind](*size))
    assert pixels.size_of(data, kind.strip()) == size
    assert pixels.size_of(data) == size
    assert pixels.size_of(data, "image/heic") is None
    assert pixels.size_of(data, "image/png" if kind != "image/png" else "image/gif") is None


@pytest.mark.parametrize("kind", MAKERS)
def test_a_size_of_zero_is_no_size(kind: str) -> None:
    """Other readers would look elsewhere for it."""
    whole = MAKERS[kind](640, 480)
    zeroed = (
        whole.replace(struct.pack(">I", 480), b"\0\0\0\0").replace(struct.pack(">H", 480), b"\0\0").replace(struct.pack("<H", 480), b"\0\0")
    )
    zeroed = zeroed.replace(struct.pack("<i", -480), b"\0\0\0\0")
    if zeroed != whole and not kind.startswith("image/gif"):
        assert pixels.size_of(text(zeroed)) is None


HOSTILE = {
    "a second PNG header": png(1, 1, chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0))),
    "no PNG pixels": png(1, 1).replace(b"IDAT", b"IEND"),
    "another first chunk": png(1, 1).replace(b"IHDR", b"CgBI"),
    "a second JPEG frame": jpeg(1, 1, segment(0xC2, struct.pack(">BHHB", 8, 9000, 9000, 1) + b"\1\x11\0")),
    "a JPEG scan before its frame": b"\xff\xd8\xff" + jpeg(1, 1)[3:20].replace(b"\xe0", b"\xda"),
    "a JPEG marker without a length": jpeg(1, 1, b"\xff\xd0"),
    "junk between JPEG segments": jpeg(1, 1, b"junk"),
    "a JPEG height that comes later": jpeg(640, 0),
    "a JPEG segment shorter than its length": jpeg(1, 1, b"\xff\xe1\0\1"),
    "a WebP of no kind": webp(b"VP9 ", b"\0" * 30),
    "a WebP that is no key frame": webp_plain(1, 1).replace(b"\x30\x01\x00\x9d", b"\x31\x01\x00\x9d"),
    "a GIF without a frame": gif(3, 3).replace(b"\x2c", b"\x3b"),
    "more PNG chunks than are read": png(1, 1, *[chunk(b"tEXt", b"")] * 300),
    "more JPEG segments than are read": jpeg(1, 1, *[segment(0xE0, b"")] * 300),
    "JPEG fill bytes without end": jpeg(1, 1, b"\xff" * 3000),
    "more GIF extensions than are read": gif(1, 1).replace(b"\x21\xff\x03abc", b"\x21\xff\0" * 5000 + b"\x21\xff\x03abc"),
    "no picture": b"%PDF-1.4",
    "nothing": b"",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_two_readers_could_read_differently_has_no_size(case: str) -> None:
    """The largest size is held then."""
    assert pixels.size_of(text(HOSTILE[case])) is None


def test_a_frame_beyond_its_screen_makes_a_gif_larger() -> None:
    """As it does for readers that grow the screen."""
    assert pixels.size_of(text(gif(1, 1, (10, 20, 4000, 3000)))) == (4010, 3020)


def test_profiles_and_thumbnails_are_stepped_over() -> None:
    """Up to a megabyte of them, and a size within one of them is not the picture's."""
    inner = segment(0xE1, b"Exif\0\0" + jpeg(9000, 9000)[:60_000])
    assert pixels.size_of(text(jpeg(640, 480, *[segment(0xE2, b"x" * 65_000)] * 10, inner))) == (640, 480)
    assert pixels.size_of(text(png(640, 480, chunk(b"iCCP", b"x" * 500_000)))) == (640, 480)
    assert pixels.size_of(text(jpeg(640, 480, *[segment(0xE2, b"x" * 65_000)] * 20))) is None
    assert pixels.size_of(text(png(640, 480, chunk(b"iCCP", b"x" * 2_000_000)))) is None


def truncated() -> Iterator[str]:
    """Every picture, cut after every byte of its first hundred."""
    for make in MAKERS.values():
        data = make(640, 480)
        yield from (text(data[:length]) for length in range(min(len(data), 100)))


def test_a_truncated_picture_has_its_own_size_or_none() -> None:
    """Never another one."""
    assert {pixels.size_of(data) for data in truncated()} <= {None, (640, 480)}


@given(st.sampled_from(sorted(MAKERS)), st.binary(max_size=200), st.text(max_size=8), st.integers(0, 80))
def test_arbitrary_bytes_are_survived(kind: str, noise: bytes, odd: str, at: int) -> None:
    """After every magic number, in every place, and what is no base64 too."""
    whole = MAKERS[kind](640, 480)
    for data in (whole[:12] + noise, whole[:at] + noise + whole[at:], noise):
        size = pixels.size_of(text(data))
        assert size is None or min(size) > 0
    pixels.size_of(odd + text(whole))
    pixels.size_of(text(whole)[:at] + odd)


@pytest.mark.parametrize("spoil", ["\n", " ", "=", "-", "_", "*", "é", "\x00"])
def test_what_is_not_strictly_base64_has_no_size(spoil: str) -> None:
    """A reader that skips it reads other bytes than one that does not."""
    data = text(png(640, 480))
    assert pixels.size_of(data[:10] + spoil + data[10:]) is None
    assert pixels.size_of(spoil + data) is None


def test_the_other_alphabet_is_read_where_it_is_accepted() -> None:
    """One alphabet at a time."""
    data = png(640, 480, chunk(b"tEXt", b"\xff\xfe\xfb" * 9))
    safe = base64.urlsafe_b64encode(data).decode()
    assert "-" in safe
    assert "_" in safe
    assert pixels.size_of(safe) is None
    assert pixels.size_of(safe, url_safe=True) == (640, 480)
    assert pixels.size_of(safe.replace("-", "+"), url_safe=True) is None


# --- payloads ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("data:image/png;base64,QUJD", ("image/png", "QUJD")),
        ("DATA:Image/PNG;charset=utf-8;BASE64,QUJD", ("image/png", "QUJD")),
        ("data:;base64,QUJD", ("", "QUJD")),
        ("data:image/png,QUJD", None),
        ("data:image/png;base64", None),
        ("data:base64,QUJD", None),
        ("https://host/a.png", None),
        ("", None),
    ],
)
def test_data_urls_are_told_from_other_addresses(url: str, parts: tuple[str, str] | None) -> None:
    """What is not base64 in it is no media of which the bytes are known."""
    assert payload.split_data_url(url) == parts


@given(st.binary(max_size=300), st.integers(1, 200))
def test_a_prefix_is_what_the_whole_begins_with(data: bytes, size: int) -> None:
    """At least as long as was asked for, or all there is; and no text stands for more bytes than its bound."""
    found = payload.prefix(text(data), size)
    assert found is not None
    assert data.startswith(found)
    assert len(found) >= min(size, len(data))
    assert payload.bytes_max(text(data)) >= len(data)
    assert payload.whole(text(data), 300) == data
    assert len(data) < 60 or payload.whole(text(data), len(data) - 12) is None
