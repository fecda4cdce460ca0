"""How long a recording lasts is counted where it can be, and what a file says of itself never makes it shorter."""

import base64
import io
import struct
import wave

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.dialects.media import length, mp3
from farebox.dialects.media.audio import audio_tokens, audio_tokens_max
from farebox.dialects.media.image import MARKERS
from farebox.dialects.media.video import video_tokens_max


def wav(seconds: int, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    """As the standard library writes it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(b"\0" * (seconds * rate * channels * width))
    return file.getvalue()


def frames(count: int, head: bytes = b"\xff\xfb\x90\x00") -> bytes:
    """MPEG-1 layer III, 128 kbit/s at 44,100 unless told otherwise: 417 bytes and 26.12 ms each."""
    frame = mp3._FRAMES[head[1:3]]
    return (head + b"\0" * (frame.length - 4)) * count


def told(frames_told: int) -> bytes:
    """A first frame that says how many there are."""
    first = frames(1)
    return first[:36] + b"Xing" + struct.pack(">III", 3, frames_told, 417 * frames_told) + first[52:]


def tag(size: int) -> bytes:
    """With a picture in which frames seem to begin."""
    sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + sizes + (b"\xff\xfb\x90\x00" + b"\x11" * 60) * (size // 64) + b"\0" * (size % 64)


def flac(seconds: int, size: int) -> bytes:
    """Its header, and so many bytes that nobody reads."""
    info = struct.pack(">HH6xQ16x", 4096, 4096, 48_000 << 44 | 1 << 41 | 15 << 36 | seconds * 48_000)
    return b"fLaC\x80" + len(info).to_bytes(3, "big") + info + b"\x55" * size


def atom(name: bytes, data: bytes) -> bytes:
    """A box of an MP4."""
    return struct.pack(">I", len(data) + 8) + name + data


def mp4(seconds: int, size: int) -> bytes:
    """Its movie header, and so many bytes that nobody reads."""
    return (
        atom(b"ftyp", b"M4A \0\0\0\0")
        + atom(b"moov", atom(b"mvhd", struct.pack(">12xII80x", 1000, seconds * 1000)))
        + atom(b"mdat", b"\x55" * size)
    )


def page(flags: int, granule: int, number: int, data: bytes) -> bytes:
    """A page of an Ogg stream, with one packet."""
    return b"OggS\0" + struct.pack("<BqIII", flags, granule, 7, number, 0) + bytes((1, len(data))) + data


def opus(seconds: int, pages: int) -> bytes:
    """Headers, pages of a packet each, and the last one says how long it was."""
    head = page(2, 0, 0, b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0)) + page(0, 0, 1, b"OpusTags" + b"\0" * 8)
    middle = b"".join(page(0, seconds * 48_000 * number // pages, number + 2, b"\x78" * 200) for number in range(pages))
    return head + middle + page(4, seconds * 48_000, pages + 2, b"\x78" * 9)


@pytest.mark.parametrize(
    ("recording", "ms"),
    [
        (wav(3), 3_000),
        (wav(2, 44_100, 2, 3), 2_000),
        (wav(2, 8_000, 1, 1), 2_000),
        (frames(100), 2_613),
        (tag(5_000) + frames(100), 2_613),
        (tag(64) + tag(128) + frames(100), 2_613),
        (told(100) + frames(100), 2_613),
        (frames(50, b"\xff\xf3\x10\x00"), 1_307),
        (b"\0" * 300 + frames(10), None),
        (frames(100) + b"TAG" + b"\0" * 125, 2_613),
    ],
)
def test_samples_are_counted(recording: bytes, ms: int | None) -> None:
    """Without the tags, and without the frame that only speaks of the others. The bound is no less, and little more."""
    measured = length.measured(recording)
    bound = length.ms_max(recording)
    if ms is None:
        assert measured is None
        assert not bound.certain
        return
    assert measured == length.Length(ms, certain=True)
    assert bound.certain
    assert ms <= bound.ms <= ms * 1.4 + 3_000


LIARS = {
    "wav: fewer samples than there are": wav(60).replace(b"data" + struct.pack("<I", 60 * 32_000), b"data" + struct.pack("<I", 32_000)),
    "wav: fewer bytes in all than there are": wav(60).replace(struct.pack("<I", 60 * 32_000 + 36), struct.pack("<I", 36)),
    "wav: more bytes a second than there are": wav(60).replace(struct.pack("<II", 16_000, 32_000), struct.pack("<II", 16_000, 32_000_000)),
    "mp3: a first frame that tells of few": told(38) + frames(2_400),
    "mp3: a tag that ends late": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + frames(2_400),
    "mp3: one frame, and something else": frames(1) + b"\xff\xf1\x50\x80" * 12_000,
    "mp3: other frames before": frames(2, b"\xff\xf3\x10\x00") + frames(2_400),
}


@pytest.mark.parametrize("case", LIARS)
def test_a_file_that_claims_a_second_is_bounded_by_what_is_in_it(case: str) -> None:
    """A minute of each."""
    assert length.ms_max(LIARS[case]).ms >= 60_000


def test_the_bound_of_an_mp3_covers_what_it_tells_of_itself() -> None:
    """There are readers that believe it; what is measured does not."""
    liar = told(1_000_000) + frames(100)
    assert length.ms_max(liar).ms >= 26_000_000
    measured = length.measured(liar)
    assert measured is not None
    assert measured.ms == 2_613
    vbri = frames(1)[:36] + b"VBRI" + b"\0" * 10 + struct.pack(">I", 1_000_000) + b"\0" * 359
    assert length.ms_max(vbri + frames(100)).ms >= 26_000_000


def test_no_way_to_read_an_mp3_finds_more_frames_than_its_bound() -> None:
    """Small frames within large ones, found by whoever begins elsewhere."""
    small = frames(1, b"\xff\xe3\x18\x00")
    large = mp3._FRAMES[b"\xfb\xe0"].length
    liar = (b"\xff\xfb\xe0\x00" + small * (large // len(small))).ljust(large, b"\0")[:large] * 50
    inner = mp3.frames(liar[4:])
    outer = mp3.frames(liar)
    assert inner is not None
    assert outer is not None
    assert inner.ms > outer.ms
    assert length.ms_max(liar).ms >= inner.ms


def test_a_file_of_nothing_but_headers_is_bounded_by_its_bytes() -> None:
    """Counting them all is not worth the time."""
    liar = b"\xff\xfb\x90" * (mp3._HEADS_MAX + 10)
    assert mp3.frames_ms_max(liar) == len(liar) * 1000 // 180 + 1
    assert mp3.frames(liar) is None
    assert length.ms_max(liar).ms >= len(liar) * 1000 // 750


TELLERS = {"flac": flac(10, 400_000), "mp4": mp4(10, 100_000), "ogg": opus(10, 100)}


@pytest.mark.parametrize("kind", TELLERS)
def test_other_containers_are_believed_but_not_certain(kind: str) -> None:
    """What they tell is a length, and no bound below their bytes at the lowest rate."""
    assert length.measured(TELLERS[kind]) == length.Length(10_000, certain=False)
    assert length.ms_max(TELLERS[kind]) == length.Length(len(TELLERS[kind]) * 1000 // 750 + 1, certain=False)


@pytest.mark.parametrize("liar", [flac(1, 1_000_000), mp4(1, 1_000_000), opus(1, 2_500)], ids=["flac", "mp4", "ogg"])
def test_what_cannot_be_true_is_no_length(liar: bytes) -> None:
    """No second takes that many bytes: nothing is known, and the bound stands."""
    assert length.measured(liar) is None
    assert length.ms_max(liar).ms >= 700_000


def test_what_only_begins_as_an_mp3_is_not_certain() -> None:
    """A reader may take the rest of it for what it is."""
    for other in (tag(64) + b"\xff\xf1\x50\x80" * 1_000, frames(3) + b"\xff\xf1\x50\x80" * 1_000, tag(64) + flac(9, 99)):
        assert not length.ms_max(other).certain
        measured = length.measured(other)
        assert measured is None or not measured.certain


def test_what_tells_of_hours_is_bounded_by_them() -> None:
    """Even if its bytes hold minutes at most."""
    assert length.ms_max(flac(36_000, 1_000)).ms == 36_000_000


ODD_WAVS = [
    wav(1)[:30],
    wav(1).replace(struct.pack("<II", 16_000, 32_000), struct.pack("<II", 1, 2)),
    wav(1).replace(struct.pack("<HHI", 1, 1, 16_000), struct.pack("<HHI", 0x11, 1, 16_000)),
    wav(1).replace(struct.pack("<HHI", 1, 1, 16_000), struct.pack("<HHI", 1, 0, 16_000)),
    wav(1)[:36] + b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 4_000, 4_000, 1, 8) + wav(1)[36:],
    wav(1).replace(b"fmt ", b"fmt_"),
]


@pytest.mark.parametrize("odd", ODD_WAVS)
def test_an_odd_wav_is_never_certain(odd: bytes) -> None:
    """Few samples a second, samples of a coder, a second format: its bytes at the lowest rate bound it."""
    bound = length.ms_max(odd)
    assert not bound.certain
    assert bound.ms >= len(odd) * 1000 // 750


@settings(deadline=None)
@given(
    st.sampled_from([wav(1), frames(10), tag(100) + frames(9), flac(1, 99), mp4(1, 99), opus(1, 5), told(5)]),
    st.binary(max_size=120),
    st.integers(0, 150),
)
def test_arbitrary_bytes_are_survived(whole: bytes, noise: bytes, at: int) -> None:
    """After every beginning, and in every place; and what is measured of whole samples is within the bound."""
    for data in (noise, whole[:at] + noise, whole[:at] + noise + whole[at:]):
        bound = length.ms_max(data)
        measured = length.measured(data)
        assert bound.ms >= 0
        assert measured is None or not (measured.certain and bound.certain) or measured.ms <= bound.ms


def test_a_container_of_endless_headers_is_given_up() -> None:
    """Read in too many pieces, it ends."""
    assert length.told_ms(atom(b"ftyp", b"M4A ") + atom(b"free", b"") * length._READS_MAX + mp4(9, 0)) is None


# --- tokens ------------------------------------------------------------------------------------------------------------------------------


def text(data: bytes) -> str:
    """As it stands in a body."""
    return base64.b64encode(data).decode()


def test_a_recording_costs_by_its_seconds() -> None:
    """Ten tokens each with OpenAI, thirty-two with Gemini, and the dearer where neither is known."""
    assert audio_tokens("openai_patches_30k", 60_000) == 600 + MARKERS
    assert audio_tokens("gemini3", 60_000) == 60 * 32 + MARKERS
    assert audio_tokens("dearest", 60_000) == 60 * 32 + MARKERS
    assert audio_tokens("openai_tiles", 1) == 1 + MARKERS
    minute = audio_tokens_max("openai_tiles", text(wav(60)))
    assert minute is not None
    assert 600 <= minute - MARKERS <= 601
    song = audio_tokens_max("gemini3", base64.urlsafe_b64encode(frames(2_400)).decode())
    assert song is not None
    assert 62 * 32 <= song - MARKERS <= 64 * 32


@pytest.mark.parametrize("recording", [text(flac(1, 100)), text(b""), text(b"nothing"), "no base64!", text(opus(1, 3))])
def test_a_recording_that_is_not_certain_has_no_bound_in_a_prompt(recording: str) -> None:
    """The context window is held then."""
    assert audio_tokens_max("gemini3", recording) is None


def test_a_film_costs_by_its_frames_and_its_sound() -> None:
    """One frame a second unless more are asked for; and nothing is known without its length."""
    minute = video_tokens_max("gemini2", 60_000)
    assert minute is not None
    assert minute >= 60 * (258 + 32)
    faster = video_tokens_max("gemini3", 60_000, frames_per_1000_s=24_000)
    assert faster is not None
    assert faster >= 60 * (24 * 280 + 32)
    assert video_tokens_max("gemini3", None) is None
    assert video_tokens_max("openai_tiles", 60_000) is None


def test_what_only_seems_to_be_an_mp3_is_not_searched_for_ever() -> None:
    """Tags upon tags, or headers that no frame follows: bounded by its bytes, without a look at all of them."""
    tags = tag(0) * 17 + frames(10)
    heads = frames(1)[:4] + b"\xff\xfb\x90\x00\x00" * 70_000
    for hostile in (tags, heads):
        assert mp3.frames(hostile) is None
        assert length.ms_max(hostile) == length.Length(length.size_ms_max(len(hostile)), certain=False)
    assert mp3.frames(tag(0) * 15 + frames(10)) == mp3.frames(frames(10))
