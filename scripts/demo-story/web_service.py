"""The vendor's web service: hands its messages to anyone, encrypted with the secret.

    web_service.py SECRET-FILE    prints the port it listens on, on loopback
"""
import http.server
import sys

import envelope

MESSAGES = [b"The price of tea is 4 pounds.", b"The ship sails on Thursday."]


def main():
    with open(sys.argv[1], "rb") as file:
        secret = file.read()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            index = self.path.removeprefix("/messages/")
            known = index.isdigit() and int(index) < len(MESSAGES)
            body = envelope.seal(secret, MESSAGES[int(index)]) if known else b""
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
