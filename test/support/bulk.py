#!/usr/bin/env python3
"""Whole transfers, to see whether a path takes everything: the judge of MTUs.

bulk.py ADDRESS...
To each ADDRESS (all at once), port 9000 of an echo: 1 MB over TCP there and back, every byte compared, and UDP datagrams of many
sizes, each asked for again a few times: the first of a size may be the one that finds the path's MTU.
Prints one JSON line: {"done": [ADDRESS...], "failed": {ADDRESS: why}, "slowest_ms"}.
"""
import json
import socket
import sys
import threading
import time

PORT = 9000
BYTES = 1 << 20
WAIT = 20.0
DATAGRAMS = (100, 1200, 1232, 1300, 1420, 1472, 4000, 8900, 20000)
TRIES = 6


def over_tcp(address):
    text = bytes(ord("a") + i % 23 for i in range(23)) * (BYTES // 23)
    with socket.create_connection((address, PORT), WAIT) as sock:
        sock.settimeout(WAIT)
        failure = []

        def send():
            try:
                sock.sendall(text)
                sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                failure.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        heard = b""
        while part := sock.recv(1 << 16):
            heard += part
        sender.join()
        if failure:
            raise failure[0]
    if not heard.endswith(text):  # "<pod>: " stands before it
        raise OSError(f"TCP: {len(heard)} of {len(text)} bytes came back, or others")


def over_udp(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((address, PORT))
        for size in DATAGRAMS:
            text = size.to_bytes(4, "big") + b"x" * (size - 4)
            for attempt in range(TRIES):
                sock.settimeout(0.3 * (attempt + 1))
                try:
                    sock.send(text)
                    while not sock.recv(65535).endswith(text):
                        pass
                    break
                except OSError as error:  # EMSGSIZE: the path's MTU was learned
                    last = error
            else:
                raise OSError(f"UDP: no answer to {size} bytes: {last}")


def main():
    done, failed, slowest = [], {}, [0.0]

    def ask(address):
        start = time.monotonic()
        try:
            over_tcp(address)
            over_udp(address)
            done.append(address)
        except OSError as error:
            failed[address] = f"{type(error).__name__}: {error}"
        slowest[0] = max(slowest[0], time.monotonic() - start)

    threads = [threading.Thread(target=ask, args=(address,)) for address in sys.argv[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"done": sorted(done), "failed": failed, "slowest_ms": round(slowest[0] * 1000)}), flush=True)


main()
