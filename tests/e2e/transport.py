#!/usr/bin/env python3
"""Goal of this test: the agent speaks TLS over whatever leads to the verifier, takes only a
certificate of the name that it is told, from a CA that it knows; and believes nothing the more
for it: who holds such a certificate, or where there is no TLS at all, lies in vain.
"""
import contextlib
import os
import socket
import ssl
import subprocess
import threading
import unittest

from agent import Agent, value

NAME = "verifier.example"


def openssl(*words, **more):
    subprocess.run(["openssl", *words], check=True, capture_output=True, **more)


class Door:
    """TLS for the peer behind it: at a Unix socket, or at a TCP port where there is no path."""

    def __init__(self, context, peer, path=None):
        self.context, self.peer = context, peer.removeprefix("unix:")
        if path is None:
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.port = self.socket.getsockname()[1]
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
            self.socket.listen()
        self.url = f"unix:{path}" if path else f"https://127.0.0.1:{self.port}"
        self.spoken = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with connection, contextlib.suppress(OSError):
                    self.one(connection)

    def one(self, connection):
        """One request of a client, which sends it in one piece, and its answer."""
        connection.settimeout(10)
        with self.context.wrap_socket(connection, server_side=True) as client, \
                socket.socket(socket.AF_UNIX) as peer:
            self.spoken += 1
            peer.connect(self.peer)
            request = b""
            while not self.is_whole(request):
                request += client.recv(65536)
            peer.sendall(request)
            while part := peer.recv(65536):
                client.sendall(part)

    @staticmethod
    def is_whole(request):
        head, end, body = request.partition(b"\r\n\r\n")
        length = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
        return end and len(body) >= int(length[0][16:] if length else 0)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Transport(Agent):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.honest, cls.pinned = cls.start_peer("honest")
        cls.other, _ = cls.start_peer("other")
        cls.liar, cls.liars_issuer = cls.start_peer("liar", "flip-ciphertext")
        cls.ca = cls.make_ca("ca")
        cls.strange_ca = cls.make_ca("strange")

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir, name)

    @classmethod
    def make_ca(cls, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", cls.path(name + ".key"), "-out", cls.path(name + ".pem"), "-subj",
                f"/CN={name}", "-days", "2")
        return name

    def door(self, peer, name=NAME, ca=None, over_unix=True):
        stem = self.path(f"{self.id().rpartition('.')[2]}-{len(os.listdir(self.dir))}")
        ca = self.path(ca or self.ca)
        with open(stem + ".ext", "w", encoding="ascii") as file:
            file.write(f"subjectAltName=DNS:{name}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                stem + ".key", "-out", stem + ".csr", "-subj", "/CN=door")
        openssl("x509", "-req", "-in", stem + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key",
                "-CAcreateserial", "-days", "1", "-extfile", stem + ".ext", "-out", stem + ".pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(stem + ".pem", stem + ".key")
        door = Door(context, peer, stem + ".s" if over_unix else None)
        self.addCleanup(door.close)
        return door

    def fetch(self, verifier, *options, issuer=None):
        return self.agent("fetch", "--out", "-", "--timeout", "3", "--cacert",
                          self.path("ca.pem"), *options, "db/main", verifier=verifier,
                          issuer=issuer or self.pinned)

    def refused(self, run, status, says):
        self.ck(run, status, says)
        self.assertEqual(run.stdout, b"")

    def test_over_anything(self):
        for over_unix in (True, False):
            door = self.door(self.honest, over_unix=over_unix)
            run = self.fetch(door.url, "--tls-name", NAME)
            self.ck(run, 0)
            self.assertEqual(run.stdout.decode(), value("db/main"))
            self.assertEqual(door.spoken, 2)

    def test_wrong_name(self):
        for over_unix in (True, False):
            door = self.door(self.honest, name="other.example", over_unix=over_unix)
            self.refused(self.fetch(door.url, "--tls-name", NAME), 3, "ostname mismatch")
            self.assertEqual(door.spoken, 0)

    def test_unknown_ca(self):
        door = self.door(self.honest, ca=self.strange_ca)
        self.refused(self.fetch(door.url, "--tls-name", NAME), 3,
                     "unable to get local issuer certificate")
        self.assertEqual(door.spoken, 0)

    def test_no_tls_there(self):
        """Who asks for TLS does not do without it."""
        self.refused(self.fetch(self.honest, "--tls-name", NAME), 3, "unreachable")

    def test_not_asked_for(self):
        door = self.door(self.honest)
        run = self.fetch(door.url)
        self.assertNotEqual(run.returncode, 0)
        self.refused(self.fetch("http://127.0.0.1:1", "--tls-name", NAME), 2, "write https:")

    def test_lies_under_a_good_certificate(self):
        """In the middle with an accepted CA and the right name: the receipt decides."""
        door = self.door(self.other)
        self.refused(self.fetch(door.url, "--tls-name", NAME), 1, "answer_not_authentic")
        self.assertEqual(door.spoken, 2)
        door = self.door(self.liar)
        self.refused(self.fetch(door.url, "--tls-name", NAME, issuer=self.liars_issuer), 1,
                     "answer_not_authentic")
        self.assertEqual(door.spoken, 2)

    def test_lies_without_tls(self):
        self.refused(self.fetch(self.other), 1, "answer_not_authentic")
        self.refused(self.fetch(self.liar, issuer=self.liars_issuer), 1, "answer_not_authentic")


if __name__ == "__main__":
    unittest.main()
