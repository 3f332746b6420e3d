#!/usr/bin/env python3
"""Goal of this test: what stands between an enclave and its secrets may be down, slow, or lie;
each of these ends the agent with the status that DESIGN section 8 gives, with a sentence of its
own that says what to do, and without the program, which had nothing.

All that the agent says to them is in the page's section DIAGNOSTICS.  The same over vsock and
through the relay, and the module's own failures: tests/e2e/vm.
"""
import os
import re
import unittest
from unittest import mock

from agent import Agent, Script, problem, value

# Mode of the peer, more options, status of run and of fetch, the failure, what to do about it
LIES = (
    ("flip-ciphertext", (), 122, "receipt: secrets[0] content: expected ",
     "somebody on the way recorded, exchanged or changed an answer"),
    ("wrong-challenge", (), 122, "receipt: challenge: expected ",
     "the receipt belongs to another request, or is not the verifier's"),
    ("swapped", ("--secret", "x"), 122, "receipt: secrets[0] content: expected ",
     "nothing of it was used"),
    ("older", ("--min-version", "db/main=8"), 122,
     "secrets[0]: expected version 8 of db/main or newer, found version 7",
     "'vouchsafe secret list' has the versions that the verifier holds"),
    ("oversized", (), 122, "the answer has a body of 2097153 bytes; at most 2097152 are accepted",
     "no vouchsafe server answers so: see that --verifier, and the relay behind it, lead to one"),
    ("short-challenge", (), 122, "challenge.challenge: must be 56 bytes, is 3",
     "what answers gives no challenge: see that --verifier"),
    ("half", (), 121, "the server ended the connection in the middle of its answer",
     "half an answer: see the verifier's log, and a proxy's between"),
    ("silent", (), 121, "no decision within 2 s; last: timeout: ",
     "the verifier is slow or silent: see its log, or give more --timeout"),
    ("dripping", (), 121, "no decision within 2 s; last: timeout: ",
     "the verifier is slow or silent: see its log, or give more --timeout"),
)


class Faults(Agent):
    def setUp(self):
        self.mark = os.path.join(self.dir, "program-ran")

    def fails(self, status, *says, args=(), **more):
        """The program leaves a mark if it runs; nothing secret is said."""
        run = self.agent("run", "--timeout", "2", *args, "--", "touch", self.mark, **more)
        text = self.ck(run, status, *says)
        self.assertFalse(os.path.exists(self.mark))
        self.assertNotIn(value("db/main")[:20], text)
        self.assertNotIn("received", text)
        self.told(says[-1])
        return text

    def told(self, advice):
        """The page has it, too."""
        with open(os.path.join(os.environ["VOUCHSAFE_SOURCE"], "docs/man/vouchsafe-agent.1"),
                  encoding="utf-8") as file:
            page = " ".join(re.sub(r"^\.(nf|fi|br|TP)$", "", file.read(), flags=re.M)
                            .replace("\\-", "-").replace("\\(aq", "'").split())
        self.assertTrue(advice in page, f"DIAGNOSTICS has not: {advice}")

    def test_nobody_there(self):
        self.fails(121, "unreachable: no decision within 2 s; last: unreachable: 127.0.0.1:9: "
                        "cannot connect: Connection refused; ",
                   "is the verifier up, and may this machine connect to it?",
                   verifier="http://127.0.0.1:9")
        self.fails(121, "nowhere: cannot connect: No such file or directory; ",
                   "is the verifier up, and may this machine connect to it?",
                   verifier=f"unix:{self.dir}/nowhere")

    def test_identity(self):
        """Its answers are signed, by another issuer than the one that the image pins."""
        verifier, _ = self.start_peer("other")
        self.fails(122, "delegation: answer_not_authentic: the delegation is signed under none of "
                        "the pinned issuer keys",
                   "compare --issuer and --store of this image with 'vouchsafe issuer show' and "
                   "'vouchsafe status'", verifier=verifier)
        verifier, issuer = self.start_peer("store")
        self.fails(122, "delegation: ", "is for the store 01020300",
                   "it speaks for another store, or only claims to be yours",
                   args=("--store", "ff" * 16), verifier=verifier, issuer=issuer)

    def test_no_tls(self):
        with Script([problem(403, "refused")]) as script:
            self.fails(121, "TLS: the TLS handshake failed: ",
                       "see --cacert and --tls-name, and what answers there",
                       verifier=script.url.replace("http:", "https:"))

    def test_programs(self):
        """Nobody is asked for what cannot be used."""
        plain = os.path.join(self.dir, "plain")
        with open(plain, "w", encoding="ascii") as file:
            file.write("#!/nonexistent/interpreter\n")
        for program, status, says in (
                ("no-such-program", 127, "is not found: is it in the image, and its folder in "
                                         "PATH?"),
                (plain, 126, "is not executable: a file of the image with execute permission is "
                             "needed (chmod +x)")):
            run = self.agent("run", "--", program, verifier="http://127.0.0.1:9")
            self.assertNotIn("unreachable", self.ck(run, status, program + " " + says))
            self.told(says)
        os.chmod(plain, 0o755)
        verifier, issuer = self.start_peer("program")
        run = self.agent("run", "--", plain, verifier=verifier, issuer=issuer)
        says = "is its interpreter or loader (ldd, or its first line) in the image?"
        self.ck(run, 127, "cannot be executed: No such file or directory: " + says)
        self.told(says)
        with open(plain, "w", encoding="ascii") as file:
            file.write("\x7fELF of another machine")
        run = self.agent("run", "--", plain, verifier=verifier, issuer=issuer)
        says = "is it a program for this machine, on a file system that lets it run?"
        self.ck(run, 126, "cannot be executed: Exec format error: " + says)
        self.told(says)

    def asks_nobody(self, failures):
        """Found while nothing is counted yet; `failures`: command, status, what is said, options."""
        with Script([problem(403, "refused")]) as script:
            for command, status, says, *args in failures:
                with self.subTest(command=command, says=says):
                    self.ck(self.agent(command, *args, verifier=script.url), status, says)
        self.assertEqual(script.asked, [])

    def test_files_of_the_image(self):
        """Which setting named it, why it is none, and where to look."""
        none = os.path.join(self.dir, "none")
        question = "is it in the image, and a file that the agent may read?"
        missing = f" {none}: No such file or directory: {question}\n"
        template = f"db/main=template:{none}:{self.dir}/out"
        self.asks_nobody([
            ("run", 125, "file: config" + missing, "--config", none, "--", "true"),
            ("run", 125, "file: extend" + missing, "--extend", f"16={none}", "--", "true"),
            ("run", 125, "file: template" + missing, "--deliver", template, "--", "true"),
            ("fetch", 3, "file: extend" + missing, "--extend", f"16={none}", "--out", "-", "x")])
        with mock.patch.object(self, "root", none):
            self.asks_nobody([("run", 125, "file: root" + missing, "--", "true")])
        with mock.patch.object(self, "issuer", self.dir):
            self.asks_nobody([("run", 125, f"file: issuer {self.dir}: Is a directory: {question}\n",
                               "--", "true")])
        self.told(question)

    def test_places(self):
        """Where a secret could not be left, it is not asked for."""
        none, link, source = (os.path.join(self.dir, name) for name in ("none", "link", "source"))
        with open(source, "w", encoding="ascii") as file:
            file.write("{{secret db/main}}")
        os.symlink("/dev/null", link)
        mounted = "is it in the image, or mounted by --tmpfs?"
        missing, above = (f"the folder of {none}/{name}: No such file or directory: {mounted}"
                          for name in ("key", "below"))
        linked = f"{link} is there and is no regular file"
        folder = "it must be a folder, or not be there"
        self.asks_nobody([
            ("run", 124, missing, "--deliver", f"db/main=file:{none}/key", "--", "true"),
            ("run", 124, missing, "--deliver", f"db/main=template:{source}:{none}/key", "--", "true"),
            ("run", 124, linked, "--deliver", f"db/main=file:{link}", "--", "true"),
            ("run", 124, above, "--dir", f"{none}/below//", "--", "true"),
            ("run", 124, f"dir {source}: Not a directory: {folder}", "--dir", source, "--", "true"),
            ("fetch", 3, missing, "--out", f"{none}/key", "x"),
            ("fetch", 3, linked, "--out", link, "x"),
            ("fetch", 3, above, "--dir", f"{none}/below", "x")])
        # One that is missing alone is made when there is something to write, and not before.
        run = self.agent("run", "--dir", none, "--", "true", verifier="unix:/v", nsm="unix:/nsm")
        self.ck(run, 123, "no simulator at /nsm")
        self.assertFalse(os.path.exists(none))
        self.told(mounted)
        self.told(folder)

    def test_page_has_the_others(self):
        """Those that this test does not bring about: tests/e2e/vm and test_agent_advice do."""
        with open(os.path.join(os.environ["VOUCHSAFE_SOURCE"], "enclave-agent/advice.c"),
                  encoding="utf-8") as file:
            code = re.sub(r'"\s+"', "", file.read())
        advice = re.findall(r'"([^"%\n]{30,})"', code)
        self.assertGreater(len(advice), 10)
        for sentence in advice:
            self.told(sentence)


def add_lies():
    for mode, args, status, failure, advice in LIES:
        def test(self, mode=mode, args=args, status=status, failure=failure, advice=advice):
            verifier, issuer = self.start_peer(mode, mode)
            text = self.fails(status, failure, advice, args=args, verifier=verifier, issuer=issuer)
            self.assertEqual(text.count("answer_not_authentic: "), status == 122)
        setattr(Faults, f"test_{mode.replace('-', '_')}", test)


add_lies()

if __name__ == "__main__":
    del Agent  # the base has no tests of its own
    unittest.main()
