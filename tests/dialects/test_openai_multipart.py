"""What a form is, and what is none: no reader finds other parts in it than this one does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import fields
from farebox.dialects.openai import multipart
from farebox.errors import AmbiguousBody, InvalidRequest, Refusal, TooLarge

TYPE = {b"content-type": b"multipart/form-data; boundary=b0"}
HEAD = b'--b0\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
NAMES = fields.names(("model", "file"), ("prompt",), {"svg": "it is costly."})


def body(*parts: tuple[bytes, bytes, bytes], end: bytes = b"--b0--\r\n") -> bytes:
    return b"".join([HEAD % part for part in parts]) + end


def read(data: bytes, content_type: bytes = TYPE[b"content-type"]) -> multipart.Form:
    return multipart.read_form(data, {b"content-type": content_type})


def members(data: bytes) -> dict[str, object]:
    found = multipart.members(data, read(data), NAMES, frozenset({"file"}), frozenset({"include"}))
    fields.examine(found, NAMES)
    return found


MODEL = (b"model", b"", b"whisper-1")
FILE = (b"file", b'; filename="a.wav"\r\nContent-Type: audio/wav', b"\x00\r\n--b\xff\r\n\r\n")


def test_parts_stand_where_their_bytes_are() -> None:
    """Whatever those are."""
    data = body(MODEL, FILE)
    model, file = read(data).parts
    assert (model.name, data[model.start : model.end], model.is_file) == ("model", b"whisper-1", False)
    assert (file.name, data[file.start : file.end], file.is_file, file.media_type) == ("file", FILE[2], True, "audio/wav")


@pytest.mark.parametrize(
    "content_type",
    [b"multipart/form-data; boundary=b0", b'Multipart/Form-Data;boundary="b0"', b"multipart/form-data ; boundary=b0;"],
)
def test_a_boundary_may_be_quoted(content_type: bytes) -> None:
    """Or not."""
    assert len(read(body(MODEL), content_type).parts) == 1


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"application/json",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/mixed; boundary=b0",
        b"multipart/form-data; boundary=b0; boundary=b1",
        b"multipart/form-data; boundary=b0,multipart/form-data; boundary=b1",
        b'multipart/form-data; boundary="b0,b1"',
        b"multipart/form-data; boundary=" + b"b" * 71,
    ],
)
def test_a_content_type_names_one_boundary(content_type: bytes) -> None:
    """Two would be two forms."""
    with pytest.raises(InvalidRequest):
        read(body(MODEL), content_type)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"--b0--\r\n",
        b"x" + body(MODEL),
        b"\r\n" + body(MODEL),
        body(MODEL, end=b""),
        body(MODEL, end=b"--b0"),
        body(MODEL, end=b"--b0 \r\n"),
        body(MODEL) + b"x",
        body(MODEL) + body(MODEL),
        body((b"model", b"", b"x\r\n--b0y")),
        body((b"model", b"", b"x\n--b0\nContent-Disposition: form-data; name=model\n\ny")),
        body((b"file", b'; filename="a"', b"x--b0")),
        b'--b0\r\nContent-Disposition: form-data; name="a"\r\n\r\n--b0--\r\n',
        b'--b0\nContent-Disposition: form-data; name="a"\n\nx\n--b0--\n',
        body((b"", b"", b"x")),
        body((b"a", b'; name="b"', b"x")),
        body((b"a", b'; NAME="b"', b"x")),
        body((b"[a]", b"", b"x")),
        body((b"a[", b"", b"x")),
        body((b"a]b", b"", b"x")),
        body((b"a", b"; name*=utf-8''b", b"x")),
        body((b"a", b"; filename*=utf-8''b", b"x")),
        body((b"a", b'; filename="x\\"; name=\\"b"', b"x")),
        body((b"a", b"\r\nContent-Transfer-Encoding: base64", b"eA==")),
        body((b"a", b'\r\nContent-Disposition: form-data; name="b"', b"x")),
        body((b"a", b"\r\nX-Other: 1", b"x")),
        body((b"a", b"\r\n folded", b"x")),
        body((b"a", b"\x00", b"x")),
        body((b"a", b"; size=4", b"x")),
        b"--b0\r\nContent-Type: text/plain\r\n\r\nx\r\n--b0--\r\n",
        b"--b0\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b0--\r\n",
        b"--b0\r\n" + b"a" * 5000 + b"\r\n\r\nx\r\n--b0--\r\n",
    ],
)
def test_what_two_readers_might_read_differently_is_refused(data: bytes) -> None:
    """Before, between, after and within parts."""
    with pytest.raises((InvalidRequest, AmbiguousBody)):
        read(data)


def test_a_form_has_so_many_parts() -> None:
    """More are no form of this API."""
    assert len(read(body(*[(b"include[]", b"", b"x")] * multipart.PARTS_MAX)).parts) == multipart.PARTS_MAX
    with pytest.raises(TooLarge):
        read(body(*[MODEL] * (multipart.PARTS_MAX + 1)))


def test_fields_are_texts_lists_and_files() -> None:
    """Names with brackets are lists, of which any may be there."""
    data = body(MODEL, (b"include[]", b"", b"a"), (b"include", b"", b"b"), (b"other[x]", b"", b"c"), FILE)
    found = members(data)
    assert {name: value for name, value in found.items() if name != "file"} == {"model": "whisper-1", "include": ["a", "b"], "other": ["c"]}
    assert len(read(data).files("file")) == 1


@pytest.mark.parametrize(
    "parts",
    [
        [MODEL, MODEL],
        [(b"model[]", b"", b"x")],
        [(b"Model", b"", b"x")],
        [(b"other", b"", b"x"), (b"other[]", b"", b"y")],
        [(b"other[]", b"", b"x"), (b"other", b"", b"y")],
    ],
)
def test_a_field_that_moves_cost_has_one_reading(parts: list[tuple[bytes, bytes, bytes]]) -> None:
    """The first or the last, a list or not: nobody has to choose."""
    with pytest.raises(AmbiguousBody):
        members(body(*parts))


@pytest.mark.parametrize(
    "part",
    [
        (b"file", b"", b"x"),
        (b"model", b'; filename="m"', b"x"),
        (b"other", b'; filename="m"', b"x"),
        (b"prompt", b"", b"\xff"),
        (b"prompt", b"\r\nContent-Type: text/plain; charset=utf-16", b"x"),
        (b"prompt", b"\r\nContent-Type: application/json", b"x"),
        (b"svg[model]", b"", b"x"),
    ],
)
def test_files_are_files_and_texts_are_texts(part: tuple[bytes, bytes, bytes]) -> None:
    """In UTF-8; and what costs without bound is refused in brackets, too."""
    with pytest.raises(Refusal):
        members(body(part))


def test_one_value_is_exchanged_or_put_first() -> None:
    """And no other byte changes."""
    data = body(MODEL, FILE)
    form = read(data)
    assert multipart.edited(data, form, {}) is data
    assert multipart.edited(data, form, {"model": "a-longer-name"}) == body((b"model", b"", b"a-longer-name"), FILE)
    inserted = multipart.edited(data, form, {"response_format": "json", "model": "m"})
    assert inserted == body((b"response_format", b"", b"json"), (b"model", b"", b"m"), FILE)


@pytest.mark.parametrize(("said", "value"), [("true", True), ("True", True), ("false", False)])
def test_words_are_booleans(said: str, value: bool) -> None:
    """Two of them, in either case."""
    assert multipart.switch({"stream": said}, "stream") is value


@pytest.mark.parametrize("said", ["1", "yes", "", "on", ["true"]])
def test_other_words_are_not_guessed_at(said: object) -> None:
    """Readers differ about them; about numbers, too."""
    with pytest.raises(InvalidRequest):
        multipart.switch({"stream": said}, "stream")
    with pytest.raises(InvalidRequest):
        multipart.whole({"n": "x" if said == "1" else said}, "n")


@pytest.mark.parametrize("said", ["1.0", "-1", "+1", "1_0", "\u0661", "99999999999"])
def test_numbers_are_digits(said: str) -> None:
    """And not too many."""
    assert multipart.whole({"n": "12"}, "n") == 12
    with pytest.raises(InvalidRequest):
        multipart.whole({"n": said}, "n")


PIECES = st.sampled_from(
    [b"--b0", b"\r\n", b"--", b"\r\n\r\n", b'Content-Disposition: form-data; name="a"', b"; filename=", b'"', b"\\", b"\x00", b"a", b": "]
)


@given(st.lists(PIECES | st.binary(max_size=4), max_size=40).map(b"".join))
def test_hostile_bodies_are_refused_or_read(data: bytes) -> None:
    """Nothing else is raised; what is read can be put together again."""
    for hostile in (data, b"--b0\r\n" + data, b'--b0\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + data + b"\r\n--b0--\r\n"):
        try:
            form = read(hostile)
            multipart.members(hostile, form, NAMES, frozenset({"file"}), frozenset())
        except Refusal:
            continue
        kept = {part.name: hostile[part.start : part.end].decode() for part in form.parts if not part.is_file}
        assert multipart.edited(hostile, form, kept) == hostile or len(kept) < len(form.parts)
