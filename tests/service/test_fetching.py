"""Which addresses documents are fetched from, and what stops a fetch. No test reaches a network."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from local_retab.errors import DocumentLimitError, RemoteFetchDisabledError, RemoteFetchError
from local_retab.service.documents import DocumentReader
from local_retab.service.fetching import Fetcher, Origin, connect, is_public
from local_retab.settings import Settings
from local_retab.wire import DocumentInput

PUBLIC = "93.184.215.14"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


class Network:
    """A network of canned answers by address; ``asked`` has the requests, ``reached`` the connections."""

    def __init__(self, names: dict[str, list[str]], answers: list[bytes], *, hold: bool = False) -> None:
        self._names = names
        self._answers = iter(answers)
        self._hold = hold
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.resolved: list[str] = []
        self.reached: list[tuple[str, Origin]] = []
        self.asked: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        if host not in self._names:
            raise socket.gaierror("no such host")
        return self._names[host]

    def connect(self, address: str, origin: Origin, seconds: float) -> socket.socket:
        assert seconds > 0
        self.reached.append((address, origin))
        if address == "192.0.33.8":
            raise ConnectionRefusedError("refused")
        ours, theirs = socket.socketpair()
        self._ends.append(theirs)
        answer = next(self._answers)

        def serve() -> None:
            self.asked.append(theirs.recv(65536).decode())
            # Whoever has enough hangs up.
            with_suppressed(lambda: theirs.sendall(answer))
            if not self._hold:
                theirs.close()

        self._threads.append(threading.Thread(target=serve))
        self._threads[-1].start()
        return ours

    def close(self) -> None:
        for end in self._ends:
            end.close()
        for thread in self._threads:
            thread.join()


def with_suppressed(work: Callable[[], object]) -> None:
    try:
        work()
    except OSError:
        return


Fetch = Callable[..., bytes]


@pytest.fixture
def networks() -> Iterator[list[Network]]:
    made: list[Network] = []
    yield made
    for network in made:
        network.close()


def fetch(networks: list[Network], url: str, *answers: bytes, hold: bool = False, **settings: object) -> bytes:
    names = {
        "files.example.com": [PUBLIC],
        "two.example.com": ["192.0.33.8", PUBLIC],
        "plain.example.com": [PUBLIC],
        "inner.example.com": ["10.0.0.5"],
        "half.example.com": [PUBLIC, "127.0.0.1"],
    }
    network = Network(names, list(answers), hold=hold)
    networks.append(network)
    allowed = [*(name for name in names if name != "plain.example.com"), "gone.example.com", "http://plain.example.com"]
    values: dict[str, object] = {"fetch_hosts": ",".join([*allowed, "https://files.example.com:8443"]), **settings}
    return Fetcher(Settings(**values), network.resolve, network.connect).fetch(url)  # type: ignore[arg-type]


def test_an_allowed_host_is_asked_once_at_the_address_that_was_checked(networks: list[Network]) -> None:
    assert fetch(networks, "https://FILES.example.com/a%20b.pdf?x=1#top", OK) == b"hello"
    (network,) = networks
    assert network.resolved == ["files.example.com"]
    assert network.reached == [(PUBLIC, Origin("https", "files.example.com", 443))]
    line, *headers = network.asked[0].split("\r\n")
    assert line == "GET /a%20b.pdf?x=1 HTTP/1.1"
    assert {"Host: files.example.com", "User-Agent: local-retab", "Accept-Encoding: identity"} <= set(headers)


def test_ports_schemes_and_addresses_in_turn(networks: list[Network]) -> None:
    assert fetch(networks, "https://files.example.com:8443/a", OK) == b"hello"
    assert "Host: files.example.com:8443" in networks[-1].asked[0]
    assert fetch(networks, "http://plain.example.com/a", OK) == b"hello"
    assert fetch(networks, "https://two.example.com/a", OK) == b"hello"
    assert [address for address, _ in networks[-1].reached] == ["192.0.33.8", PUBLIC]


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example.com/a",
        "https://example.com/a",
        "https://a.files.example.com/a",
        "https://files.example.com.evil.example/a",
        "https://files.example.com@evil.example/a",
        "https://files.example.com./a",
        "https://files.example.com:444/a",
        "http://files.example.com/a",
        "https://plain.example.com/a",
        "https://user:secret@files.example.com/a",
        "https://inner.example.com/a",
        "https://half.example.com/a",
        f"https://{PUBLIC}/a",
        "https://[::1]/a",
        "file:///etc/passwd",
        "gs://files.example.com/a",
        "https:///a",
    ],
)
def test_everything_else_is_refused_before_a_connection(networks: list[Network], url: str) -> None:
    with pytest.raises(RemoteFetchDisabledError):
        fetch(networks, url)
    assert networks[-1].reached == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("127.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.0.2.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        (f"::ffff:{PUBLIC}", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:1:2::3", False),
        ("2001:db8::1", False),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("nonsense", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) == public


def test_redirects_are_followed_three_times_and_checked_each_time(networks: list[Network]) -> None:
    hops = [redirect("/b"), redirect("//two.example.com/c"), redirect("http://plain.example.com/d")]
    assert fetch(networks, "https://files.example.com/a", *hops, OK) == b"hello"
    assert [origin.host for _, origin in networks[-1].reached][-1] == "plain.example.com"
    with pytest.raises(RemoteFetchError, match="more than 3 times"):
        fetch(networks, "https://files.example.com/a", *[redirect("/again")] * 4)
    for location in ("https://inner.example.com/", "http://files.example.com/", "http://169.254.169.254/", "file:///x"):
        with pytest.raises(RemoteFetchDisabledError):
            fetch(networks, "https://files.example.com/a", redirect(location))
        assert len(networks[-1].reached) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "answered 302"),
        (b"HTTP/1.1 206 Partial\r\nContent-Length: 1\r\n\r\nx", "answered 206"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "compressed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "IncompleteRead"),
        (b"nonsense\r\n\r\n", "nonsense"),
        (b"", "without response"),
        (redirect("https://files.example.com:99999/"), "cannot be read"),
        (redirect("/a b"), "percent-encoded"),
    ],
)
def test_what_is_no_document(networks: list[Network], answer: bytes, reason: str) -> None:
    with pytest.raises(RemoteFetchError, match=reason) as caught:
        fetch(networks, "https://files.example.com/a", answer)
    assert (caught.value.code, caught.value.http_status) == ("REMOTE_FETCH_FAILED", 424)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n",
    ],
)
def test_a_body_has_a_cap(networks: list[Network], answer: bytes) -> None:
    with pytest.raises(DocumentLimitError, match="100 bytes"):
        fetch(networks, "https://files.example.com/a", answer, max_document_bytes=100)
    assert fetch(networks, "https://files.example.com/a", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100) == b"x" * 100


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nX: ", OK[:-1], b"HTTP/1.1 200 OK\r\n\r\nhello"])
def test_a_server_that_dribbles_is_left_in_time(networks: list[Network], answer: bytes) -> None:
    with pytest.raises(RemoteFetchError, match=r"longer than 0\.2 seconds"):
        fetch(networks, "https://files.example.com/a", answer, hold=True, fetch_seconds=0.2)


def test_a_host_that_is_not_there(networks: list[Network]) -> None:
    with pytest.raises(RemoteFetchError, match="no such host"):
        fetch(networks, "https://gone.example.com/a")


def test_a_server_must_prove_its_name(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=files.example.com"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            client, _ = listener.accept()
            with client:
                with_suppressed(lambda: context.wrap_socket(client, server_side=True).close())

        thread = threading.Thread(target=accept)
        thread.start()
        with pytest.raises(ssl.SSLCertVerificationError):
            connect("127.0.0.1", Origin("https", "files.example.com", listener.getsockname()[1]), 10)
        thread.join()


@pytest.mark.parametrize(
    "entry", ["*.example.com", "files.example.com/a", "ftp://a.example", "a b", "", "a@b", "a:0", "a:65536"]
)
def test_entries_are_names(entry: str) -> None:
    with pytest.raises(ValidationError, match="host name"):
        Settings(fetch_hosts=(entry,))


@pytest.mark.parametrize("hosts", [(), ("files.example.com",)])
def test_a_request_for_a_host_that_is_not_allowed_reaches_nobody(
    monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...]
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    reader = DocumentReader(Settings(fetch_hosts=hosts), storage=None, links=None)  # type: ignore[arg-type]
    with pytest.raises(RemoteFetchDisabledError):
        reader.read(DocumentInput(filename="a.pdf", url="https://elsewhere.example.com/a.pdf"))


def test_a_fetched_document_is_named_by_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_retab.service.fetching.Fetcher.fetch", lambda _self, url: url.encode())
    reader = DocumentReader(Settings(fetch_hosts=("files.example.com",)), storage=None, links=None)  # type: ignore[arg-type]
    found = reader.read(DocumentInput(filename="note.txt", url="https://files.example.com/x"))
    assert (found.filename, found.data) == ("note.txt", b"https://files.example.com/x")
