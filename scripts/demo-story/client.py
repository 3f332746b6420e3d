"""The vendor's client, the program inside the enclave image.

    client.py FOLDER URL    reads the service's messages

The agent started it and left the secret where WEB_MESSAGES_FILE says; FOLDER holds
envelope.py.  This file is the "image" that the demo measures: one byte of it changed
gives other PCRs.
"""
import os
import sys
import urllib.error
import urllib.request


def main():
    sys.path.insert(0, sys.argv[1])
    import envelope

    with open(os.environ["WEB_MESSAGES_FILE"], "rb") as file:
        secret = file.read()
    for number in range(1000):
        try:
            with urllib.request.urlopen(f"{sys.argv[2]}/messages/{number}") as answer:
                print(envelope.open_sealed(secret, answer.read()).decode())
        except urllib.error.HTTPError:
            return


if __name__ == "__main__":
    main()
