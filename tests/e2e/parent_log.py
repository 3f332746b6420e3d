"""What an enclave's parent reads of its log, over a Unix socket."""
import socket
import threading
import time

MARK = b"\0the end\0"


class Log:
    """The parent's end: takes every connection, and keeps what each says."""

    def __init__(self, path):
        self.path = path
        self.url = f"unix:{path}"
        self.said = []
        self.readers = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.said.append(b"")
            reader = threading.Thread(target=self.read, args=(connection, len(self.said) - 1),
                                      daemon=True)
            self.readers.append(reader)
            reader.start()

    def read(self, connection, place):
        with connection:
            while data := connection.recv(4096):
                self.said[place] += data

    def wait_for(self, text, timeout_s):
        """While they go on."""
        until = time.monotonic() + timeout_s
        while not any(text.encode() in said for said in self.said):
            if time.monotonic() > until:
                raise TimeoutError(f"{text}: not in {self.said}")
            time.sleep(0.02)

    def connections(self):
        """What each has said, in their order, once all have ended: a connection of our own comes
        after whatever still waits to be taken."""
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self.path)
            last.sendall(MARK)
        until = time.monotonic() + 10
        while MARK not in self.said:
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.01)
        for reader in self.readers:
            reader.join(10)
        self.said.remove(MARK)
        return [said.decode() for said in self.said]

    def lines(self, place=0):
        return self.connections()[place].splitlines()

    def forget(self):
        self.said, self.readers = [], []

    def close(self):
        self.listener.close()
