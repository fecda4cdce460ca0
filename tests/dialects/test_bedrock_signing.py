"""Signatures by AWS' published examples, and as botocore makes them."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from farebox.clock import US_PER_S
from farebox.errors import SettingsError
from farebox.providers.catalogue import describe
from farebox.providers.sigv4 import AwsKey, Request, sign

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = AwsKey("AKIDEXAMPLE", SECRET, "us-east-1", service="service")
AT_US = int(datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()) * US_PER_S
HOST = (b"host", b"example.amazonaws.com")
FORM = (b"content-type", b"application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "signature"),
    [
        (b"GET", b"/", [HOST], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (b"GET", b"/?Param2=value2&Param1=value1", [HOST], b"", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        (b"POST", b"/", [HOST], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (b"POST", b"/", [FORM, HOST], b"Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
)
def test_signatures_are_those_of_the_published_examples(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes, signature: str
) -> None:
    """get-vanilla, get-vanilla-query-order-key-case, post-vanilla and post-x-www-form-urlencoded of AWS' test suite."""
    signed = dict(sign(KEY, Request(method, target, headers, body), AT_US))
    assert signed[b"x-amz-date"] == b"20150830T123600Z"
    assert signed[b"authorization"].decode().endswith(f"Signature={signature}")


@given(st.text("abcXYZ019-_.:/ é", min_size=1, max_size=30), st.binary(max_size=60), st.sampled_from(["", "a+/token=="]))
def test_signatures_are_those_of_botocore(name: str, body: bytes, token: str) -> None:
    """Over any path as it stands on the wire, with a session's token and without."""
    target = f"/model/m{quote(name, safe='')}/converse"
    made = AWSRequest(
        "POST", f"https://bedrock-runtime.eu-west-1.amazonaws.com{target}", data=body, headers={"content-type": "application/json"}
    )
    SigV4Auth(Credentials("AKID", SECRET, token or None), "bedrock", "eu-west-1").add_auth(made)
    at = datetime.strptime(made.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    headers = [(b"host", b"bedrock-runtime.eu-west-1.amazonaws.com"), (b"content-type", b"application/json"), (b"accept", b"*/*")]
    request = Request(b"POST", target.encode(), headers, body)
    signed = dict(sign(AwsKey("AKID", SECRET, "eu-west-1", token), request, int(at.timestamp()) * US_PER_S))
    assert signed[b"authorization"].decode() == made.headers["Authorization"]
    assert signed.get(b"x-amz-security-token", b"").decode() == token


def test_a_key_never_shows_its_secrets() -> None:
    """Nor its session's token."""
    assert SECRET not in repr(AwsKey("AKID", SECRET, "us-east-1", "token"))


def test_settings_of_bedrock() -> None:
    """A bearer key, or an access key with its secret; a region for either."""
    bearer = describe("bedrock", "key", region="eu-west-1")
    assert (bearer.base_url, bearer.credential_header(), bearer.aws) == (
        "https://bedrock-runtime.eu-west-1.amazonaws.com",
        (b"authorization", b"Bearer key"),
        None,
    )
    assert describe("bedrock", SECRET, region="us-east-1", access_key_id="AKID").aws == AwsKey("AKID", SECRET, "us-east-1")
    assert describe("elevenlabs", "key").credential_header() == (b"xi-api-key", b"key")


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("bedrock", {}, "region is needed"),
        ("bedrock", {"region": "evil.example/"}, "region is needed"),
        ("bedrock", {"access_key_id": "AKID", "base_url": "https://example.com"}, "region is needed"),
        ("bedrock", {"session_token": "x", "region": "us-east-1"}, "access_key_id is needed"),
        ("bedrock", {"access_key_id": "AKID", "region": "us-east-1", "api_keys": ("a", "b")}, "one secret"),
        ("openai", {"region": "us-east-1"}, "for dialect"),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, fields: dict[str, object], words: str) -> None:
    """By name."""
    with pytest.raises(SettingsError, match=words):
        describe(name, "key", **fields)  # type: ignore[arg-type]  # on purpose
