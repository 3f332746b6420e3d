"""How the vendor's web service and its client keep messages secret from everybody else.

AES-256-CTR by the openssl command, then HMAC-SHA-256 over it (encrypt, then MAC), both
keys derived from the one secret.  Keys travel in pipes, never in argv.
"""
import hashlib
import hmac
import os
import subprocess


def _keys(secret):
    def derive(label):
        return hmac.new(secret, label, hashlib.sha256).digest()
    return derive(b"demo encryption").hex().encode(), derive(b"demo authentication")


def _openssl(direction, password, data):
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write(password)
    try:
        return subprocess.run(
            ["openssl", "enc", direction, "-aes-256-ctr", "-pbkdf2", "-pass", f"fd:{read_end}"],
            input=data, stdout=subprocess.PIPE, check=True, pass_fds=[read_end]).stdout
    finally:
        os.close(read_end)


def seal(secret, message):
    password, mac_key = _keys(secret)
    body = _openssl("-e", password, message)
    return hmac.new(mac_key, body, hashlib.sha256).digest() + body


def open_sealed(secret, sealed):
    password, mac_key = _keys(secret)
    tag, body = sealed[:32], sealed[32:]
    if not hmac.compare_digest(tag, hmac.new(mac_key, body, hashlib.sha256).digest()):
        raise ValueError("the message is not authentic under this secret")
    return _openssl("-d", password, body)
