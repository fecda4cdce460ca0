"""The simulator as a process and as a server."""

import asyncio
import datetime as dt
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from farebox.sim import Server, serve
from farebox.sim.server import parse_listen


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return cert_file, key_file


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """`python -m farebox.sim` on a free port; it has told its URL when the fixture is ready to be read."""
    command = [sys.executable, "-m", "farebox.sim", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as running:
        yield running
        running.kill()


def environment() -> dict[str, str]:
    import farebox

    return os.environ | {"PYTHONPATH": str(Path(farebox.__file__).parents[1])}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_until_it_is_told_to_stop(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """It prints one line, its URL, and exits 0, also with a call in flight."""
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt-6-sol", messages=[{"role": "user", "content": "sim:output=3"}])
        assert answer.choices[0].message.content == " fare box coin"
        with client.chat.completions.create(
            model="gpt-6-sol", messages=[{"role": "user", "content": "sim:stall=1 sim:output=3"}], stream=True
        ) as stream:
            next(stream)
            process.send_signal(number)
            assert process.wait(20) == 0
    assert process.stdout.read() == ""


def test_command_says_what_is_wrong() -> None:
    """2 for arguments that make no sense, 1 for an address that cannot be had."""

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "farebox.sim", *arguments], capture_output=True, text=True, env=environment(), check=False
        )
        return done.returncode, done.stderr

    assert run("--listen", "nowhere")[0] == 2
    code, told = run("--listen", "192.0.2.1:9")
    assert code == 1
    assert "cannot serve on 192.0.2.1:9" in told


@pytest.mark.parametrize(
    ("listen", "expected"), [("127.0.0.1:9100", ("127.0.0.1", 9100)), ("[::1]:0", ("::1", 0)), (":80", ("127.0.0.1", 80))]
)
def test_listen_address_is_read(listen: str, expected: tuple[str, int]) -> None:
    """Host and port, brackets around IPv6, loopback when there is no host."""
    assert parse_listen(listen) == expected


@pytest.mark.parametrize("listen", ["", "localhost", "a:b", "a:", "a:999999"])
def test_bad_listen_address_is_refused(listen: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_listen(listen)


async def test_tls_is_served_with_a_certificate(certificate: tuple[Path, Path]) -> None:
    """Answers and streams; a key without a certificate is refused."""
    cert, key = certificate
    server = await serve("localhost", 0, tls_cert=str(cert), tls_key=str(key))
    try:
        assert server.url == f"https://localhost:{server.port}"
        trusted = openai.DefaultAsyncHttpxClient(verify=ssl.create_default_context(cafile=str(cert)))
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0, http_client=trusted) as client:
            stream = await client.chat.completions.create(
                model="gpt-6-sol", messages=[{"role": "user", "content": "sim:output=300"}], stream=True
            )
            assert len([chunk async for chunk in stream]) == 302
    finally:
        await server.close()
    with pytest.raises(ValueError, match="certificate"):
        await serve(tls_key=str(key))


async def test_closing_ends_calls_in_flight(sim: Server) -> None:
    """They are billed as when their callers leave, and nobody is left connected."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
    sent = b'{"model":"gpt-6-sol","stream":true,"messages":[{"role":"user","content":"sim:stall=1 sim:output=9"}]}'
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer k\r\ncontent-length: %d\r\n\r\n%b" % (len(sent), sent))
    await reader.readuntil(b"fare")
    await sim.close()
    rows, _ = sim.bill.rows(None, None)
    assert [(row["aborted"], row["open"]) for row in rows] == [(True, False)]
    writer.close()
