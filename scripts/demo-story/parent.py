"""The enclave's parent, through whose hands everything passes: an HTTP relay between agent
and verifier that keeps what it saw and, when told to, meddles.
"""
import http.client
import http.server
import json
import threading


class Parent:
    def __init__(self, verifier_port):
        self.verifier_port = verifier_port
        self.requests = []      # bodies of POST /v1/release
        self.answers = []       # (status, headers, body) to them
        self.alter_request = None   # JSON object -> JSON object
        self.replace_answer = None  # (status, content type, body)
        parent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, kind, answer = parent.pass_on(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def pass_on(self, path, body):
        release = path == "/v1/release"
        if release:
            self.requests.append(body)
            if self.alter_request:
                body = json.dumps(self.alter_request(json.loads(body))).encode()
        answer = self.send(path, body)
        if release:
            self.answers.append(answer)
            if self.replace_answer:
                return self.replace_answer
        return answer

    def send(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.verifier_port, timeout=30)
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        result = answer.status, answer.getheader("Content-Type"), answer.read()
        connection.close()
        return result

    def honest(self):
        self.alter_request = None
        self.replace_answer = None
