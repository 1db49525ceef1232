"""What reaches the embedded server without being a request of its own: pages from elsewhere, broken connections."""

from __future__ import annotations

import json
import socket

import pytest
from rest import TASK, refused
from serving import SECONDS, Client, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server, which all of this must not harm."""
    running = Server(tmp_path_factory.mktemp("bad") / "after.db")
    yield running
    running.stop()


@pytest.fixture
def client(server):
    speaking = Client(server.host, server.port)
    yield speaking
    speaking.close()


@pytest.fixture(autouse=True)
def unharmed(client):
    """After each test nothing is stored, and the same server takes a good task."""
    yield
    assert client.get("/after").json["doc_count"] == 0
    assert client.post("/tasks/good", TASK).status == 201
    assert client.delete("/tasks/good").status == 200


class TestPagesFromElsewhere:
    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:5985", "10.0.0.1", ""]
    )
    def test_a_name_that_is_not_this_machines(self, client, host):
        refused(client.post("/tasks", TASK, {"Host": host}), 403, "forbidden", "Host")
        refused(client.get("/tasks", {"Host": host}), 403, "forbidden", "Host")

    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "https://localhost.evil.example", "null", "file://", "x"]
    )
    def test_a_page_that_is_not_this_machines(self, client, origin):
        refused(client.post("/tasks", TASK, {"Origin": origin}), 403, "forbidden", "Origin")
        refused(client.get("/tasks", {"Origin": origin}), 403, "forbidden", "Origin")

    @pytest.mark.parametrize("own", ["localhost", "localhost:5985", "127.0.0.1", "[::1]:5985", "LOCALHOST"])
    def test_this_machine_is_served(self, client, own):
        assert client.get("/tasks", {"Host": own, "Origin": f"http://{own}"}).status == 200


class TestBrokenConnections:
    HEAD = b"POST /tasks/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    @staticmethod
    def send(server, content, *, end):
        """Send this and no more, and give what comes back until the server closes."""
        with socket.create_connection((server.host, server.port), timeout=SECONDS) as connection:
            connection.sendall(content)
            if end:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(4096), b""))

    @pytest.mark.parametrize("cut", [0, 1, 20, -1])
    def test_a_body_that_ends_too_soon(self, server, cut):
        whole = json.dumps(TASK).encode()
        answer = self.send(server, self.HEAD % len(whole) + whole[:cut], end=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")

    def test_what_was_meant_for_another_length_is_cut_there(self, server):
        whole = json.dumps(TASK).encode()
        head = (self.HEAD % (len(whole) - 1)).replace(b"Content-Length", b"Connection: close\r\nContent-Length")
        assert self.send(server, head + whole, end=False).startswith(b"HTTP/1.1 400")

    def test_a_chunk_that_ends_too_soon(self, server):
        head = (self.HEAD % 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        answer = self.send(server, head + b'50\r\n{"worker": "w", "job": "j"}', end=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")

    @pytest.mark.parametrize(
        "text",
        [b"\r\n\r\n\r\n", b"nonsense\r\n\r\n", b"POST\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n"],
    )
    def test_what_is_no_request(self, server, text):
        answer = self.send(server, text, end=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
