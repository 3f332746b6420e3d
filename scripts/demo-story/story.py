"""The story of scripts/demo.  Each step says what is expected, does it, says what
happened, and ends the demo where the two differ.

    story.py BUILD-FOLDER [--keep]
"""
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from parent import Parent

HERE = os.path.dirname(os.path.abspath(__file__))
SECRET_NAME = "web/messages"


class Difference(Exception):
    """Something did not go as told."""


class Story:
    def __init__(self, build, keep):
        self.vouchsafe = f"{build}/verifier/cli/vouchsafe"
        self.agent = f"{build}/enclave-agent/vouchsafe-agent"
        self.simulator = f"{build}/enclave-agent/nsm-sim/vouchsafe-nsm-sim"
        self.keep = keep
        self.dir = tempfile.mkdtemp(prefix="vouchsafe-demo-")
        self.state = f"{self.dir}/state"
        self.nitro = f"{self.dir}/nitro"       # the emulated hardware's root
        self.image = f"{self.dir}/client.py"   # the client that the vendor distributes
        self.issuer = f"{self.dir}/issuer.pem"
        self.started = []
        self.number = 0

    # --- telling ---

    def chapter(self, text):
        print(f"\n{text}")

    def step(self, text, expected, actual):
        """`actual` is a value, or a function that finds it out."""
        self.number += 1
        print(f"\n {self.number:2}. {text}")
        print(f"     expected: {expected}", flush=True)
        actual = actual() if callable(actual) else actual
        print(f"     actual:   {actual}", flush=True)
        if actual != expected:
            raise Difference(f"step {self.number} went otherwise than told")

    # --- doing ---

    def run(self, *command, stdin=None, ok=(0,)):
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=60,
                              env={**os.environ, "VOUCHSAFE_STATE": self.state})
        if done.returncode not in ok:
            raise Difference(f"{' '.join(command)}: exit {done.returncode}\n"
                             f"{done.stderr.decode()}")
        return done

    def admin(self, *words, stdin=None, ok=(0,)):
        done = self.run(self.vouchsafe, *words, "--json", stdin=stdin, ok=ok)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def start(self, name, *command):
        log = open(f"{self.dir}/{name}.log", "wb")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log,
                                   env={**os.environ, "VOUCHSAFE_STATE": self.state})
        self.started.append(process)
        return process

    def wait_for_log(self, name, words, process):
        path = f"{self.dir}/{name}.log"
        for _ in range(200):
            with open(path) as log:
                found = [line for line in log if words in line and line.endswith("\n")]
            if found:
                return found[0]
            if process.poll() is not None:
                break
            time.sleep(0.05)
        with open(path) as log:
            raise Difference(f"{name} did not start:\n{log.read()}")

    def enclave(self, name, *options, image=None, root_dir=None):
        """Starts an emulated enclave; gives the address of its security module."""
        module = f"{self.dir}/{name}.sock"
        process = self.start(name, self.simulator, "--socket", module,
                             "--root-dir", root_dir or self.nitro,
                             "--image", image or self.image, *options)
        self.wait_for_log(name, "nsm_sim.ready", process)
        return f"unix:{module}"

    def client(self, verifier, module, root_dir=None):
        """The agent in that enclave, which starts the client."""
        return subprocess.run(
            [self.agent, "run", "--verifier", verifier, "--issuer", self.issuer,
             "--nsm", module, "--root", f"{root_dir or self.nitro}/root.pem",
             "--secret", SECRET_NAME, "--timeout", "20", "--",
             sys.executable, self.image, HERE, self.web_url],
            capture_output=True, timeout=60)

    def refusal(self, done):
        """What an agent's end says: its exit status and the code of the refusal."""
        if done.returncode == 0:
            return "the client has started"
        text = done.stderr.decode()
        found = (re.search(r"^  error code: ([a-z0-9_]+)$", text, re.M)
                 or re.search(r"^vouchsafe-agent: (?!warning)([a-z0-9_]+): ", text, re.M))
        return f"exit {done.returncode}, {found.group(1) if found else text.strip()}"

    def reason(self, done):
        """Why the policy refused, which only the verifier's admin may see."""
        found = re.search(r"refused \(request ([0-9A-Z]+)\): ", done.stderr.decode(), re.M)
        if not found:
            return "the refusal names no request"
        records = self.admin("audit", "list", "--request", found.group(1))
        return ", ".join(item["reason"] for item in records[0]["secrets"])

    # --- the story ---

    def tell(self):
        self.vendor_sets_up()
        self.enclave_gets_its_secret()
        self.others_do_not()
        self.auditor_looks()
        print(f"\nAll {self.number} steps went as told.")

    def vendor_sets_up(self):
        self.chapter("A vendor runs a verifier and tells it which client may have the secret.")
        shutil.copy(f"{HERE}/client.py", self.image)
        self.run(self.simulator, "--root-dir", self.nitro)
        self.run(self.vouchsafe, "init", "--state", self.state, "--development",
                 "--root", f"{self.nitro}/root.pem", "--person", "vendor")
        server = self.start("verifier", self.vouchsafe, "serve", "--state", self.state,
                            "--listen", "127.0.0.1:0")
        ready = self.wait_for_log("verifier", "serve.ready", server)
        self.port = int(re.search(r" listen=\S+:(\d+)", ready).group(1))
        self.verifier = f"http://127.0.0.1:{self.port}"
        self.step("The verifier runs, with a development store: its root is the emulator's.",
                  "a development store", lambda: f"a {self.admin('status')['kind']} store")

        measured = self.run(self.simulator, "--image", self.image, "--print-measurements").stdout
        self.step("The vendor registers the client's build from what the build printed.",
                  "messages@1.0.0 added, active", lambda: self.register(measured))

        with open(f"{self.dir}/secret", "wb") as file:
            file.write(secrets.token_bytes(32))
        self.step("The secret is stored; it was sealed before it left the vendor's hands.",
                  "version 1 of 32 bytes", self.put_secret)
        self.step("The secret is granted to the image, whatever its build.",
                  "added", lambda: self.admin("grant", "add", SECRET_NAME, "--image",
                                              "messages")["result"])

        with open(self.issuer, "wb") as file:
            file.write(self.run(self.vouchsafe, "issuer", "show").stdout)
        service = self.start("web-service", sys.executable, f"{HERE}/web_service.py",
                             f"{self.dir}/secret")
        self.web_url = f"http://127.0.0.1:{int(service.stdout.readline())}"

    def register(self, measured):
        added = self.admin("measurement", "add", "messages@1.0.0", "--from", "-", stdin=measured)
        return f"messages@1.0.0 {added['result']}, {added['measurement']['state']}"

    def put_secret(self):
        stored = self.admin("secret", "put", SECRET_NAME, "--from", f"{self.dir}/secret")["secret"]
        return f"version {stored['version']} of {stored['size']} bytes"

    def enclave_gets_its_secret(self):
        self.chapter("A customer starts the client in an enclave.")
        self.parent = Parent(self.port)
        self.module = self.enclave("enclave")
        done = self.client(self.parent.url, self.module)
        self.step("The enclave proves what it runs, gets the secret, and the client reads the "
                  "service's messages.",
                  "The price of tea is 4 pounds. The ship sails on Thursday.",
                  lambda: " ".join(done.stdout.decode().split("\n")).strip() or
                  done.stderr.decode())
        secret = open(f"{self.dir}/secret", "rb").read()
        seen = b"".join(self.parent.requests) + b"".join(a[2] for a in self.parent.answers)
        self.step("The parent machine, through which everything passed, did not see the secret.",
                  "not seen", "seen" if secret in seen or secret.hex().encode() in seen
                  else "not seen")

    def others_do_not(self):
        self.chapter("Others want the secret, too.")
        fake_root = f"{self.dir}/fake-nitro"
        fake = self.enclave("fake", root_dir=fake_root)
        self.step("A fake client asks with documents of its own making: no Nitro hardware signed "
                  "them.", "exit 120, document_untrusted",
                  lambda: self.refusal(self.client(self.verifier, fake, fake_root)))

        changed_image = f"{self.dir}/changed-client.py"
        with open(self.image) as source, open(changed_image, "w") as target:
            target.write(source.read().replace("print(", "print('copied:', "))
        changed = self.client(self.verifier, self.enclave("changed", image=changed_image))
        self.step("A changed image asks from genuine hardware; the caller learns one coarse word.",
                  "exit 120, refused", lambda: self.refusal(changed))
        self.step("The vendor sees the reason in the audit log.", "no_measurement",
                  lambda: self.reason(changed))

        self.step("The right image asks in debug mode, where its memory could be read.",
                  "exit 120, debug",
                  lambda: self.refusal(self.client(self.verifier,
                                                   self.enclave("debug", "--debug"))))

        self.step("Somebody sends the first enclave's request once more.",
                  "409 challenge_redeemed", self.replay)

        self.parent.alter_request = ask_for_old_version
        self.step("The parent alters a request on its way and asks for another version.",
                  "exit 120, request_not_bound",
                  lambda: self.refusal(self.client(self.parent.url, self.module)))
        self.parent.honest()

        self.parent.replace_answer = self.parent.answers[0]
        self.step("The parent swaps the answer for an older genuine one: the agent does not "
                  "believe it.", "exit 122, answer_not_authentic",
                  lambda: self.refusal(self.client(self.parent.url, self.module)))
        self.parent.honest()

        self.step("After all this, the genuine enclave still gets its secret.", "exit 0",
                  lambda: f"exit {self.client(self.parent.url, self.module).returncode}")

    def replay(self):
        status, _, body = self.parent.send("/v1/release", self.parent.requests[0])
        return f"{status} {json.loads(body).get('code')}"

    def auditor_looks(self):
        self.chapter("An auditor looks at what happened.")
        records = self.admin("audit", "list", "--limit", "1000")
        events = [record["event"] for record in records]
        self.step("Every decision about a genuine enclave is on record.",
                  "3 granted, 2 refused",
                  lambda: f"{events.count('release.granted')} granted, "
                          f"{events.count('release.refused')} refused")
        self.step("Nothing in the log was altered: hash chain and signed checkpoints agree.",
                  "verified", lambda: "verified" if self.admin("audit", "verify")["valid"]
                  else "altered")

    # --- the end ---

    def clean_up(self):
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
            return
        print(f"\nThe state is kept in {self.dir}.  To look at it:\n"
              f"  {self.vouchsafe} serve --state {self.state}      (in one terminal)\n"
              f"  VOUCHSAFE_STATE={self.state} {self.vouchsafe} audit list\n"
              f"  less {self.dir}/verifier.log")


def ask_for_old_version(request):
    request["secrets"][0]["version"] = 1
    return request


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


def main():
    story = Story(sys.argv[1], "--keep" in sys.argv[2:])
    signal.signal(signal.SIGTERM, interrupt)
    try:
        story.tell()
    except KeyboardInterrupt:
        print("\nInterrupted; what was started is ended.", file=sys.stderr)
        return 130
    except (Difference, subprocess.TimeoutExpired, OSError, LookupError, TypeError) as error:
        print(f"\nThe demo ends here: {error}", file=sys.stderr)
        return 1
    finally:
        story.clean_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
