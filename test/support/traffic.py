#!/usr/bin/env python3
"""Traffic of one kind for some seconds, with every loss counted: the judge of "a restart is a normal event".

traffic.py KIND ADDRESS PORT SECONDS [HOST]
  tcp-long   one connection, a line every 50 ms, each echoed back within 3 s
  udp-long   one socket, a datagram every 50 ms, each echoed back (retried after 1 s, as a client would)
  tcp-new    a new connection every 50 ms: connect, one line, its echo
  http       a new request every 50 ms: GET / with a Host header
  dns        a query every 50 ms, with the usual retry: 2 s, then once more over again (3 tries)
Prints one JSON line: {"kind", "done", "failed", "resets", "refused", "slowest_ms", "errors"}.
"""
import json
import random
import socket
import struct
import sys
import time

PERIOD = 0.05
WAIT = 3.0


class Count:
    def __init__(self, kind):
        self.kind, self.done, self.failed, self.resets, self.refused, self.slowest, self.errors = kind, 0, 0, 0, 0, 0.0, []

    def run(self, work):
        start = time.monotonic()
        try:
            work()
            self.done += 1
        except ConnectionResetError as error:
            self.resets += 1
            self.fail(error)
        except ConnectionRefusedError as error:
            self.refused += 1
            self.fail(error)
        except OSError as error:
            self.fail(error)
        self.slowest = max(self.slowest, time.monotonic() - start)

    def fail(self, error):
        self.failed += 1
        if len(self.errors) < 5:
            self.errors.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")

    def show(self):
        print(json.dumps({"kind": self.kind, "done": self.done, "failed": self.failed, "resets": self.resets, "refused": self.refused,
                          "slowest_ms": round(self.slowest * 1000), "errors": self.errors}), flush=True)


def read_line(sock):
    data = b""
    while not data.endswith(b"\n"):
        part = sock.recv(4096)
        if not part:
            raise ConnectionResetError("closed by the other side")
        data += part
    return data


def tcp_long(count, address, port, end):
    sock = socket.create_connection((address, port), WAIT)
    sock.settimeout(WAIT)
    n = 0
    while time.monotonic() < end:
        n += 1

        def one():
            line = f"{n}\n".encode()
            sock.sendall(line)
            if not read_line(sock).endswith(line):
                raise OSError("another line came back")
        count.run(one)
        if count.failed:
            return
        time.sleep(PERIOD)


def udp_long(count, address, port, end):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((address, port))
    n = 0
    while time.monotonic() < end:
        n += 1

        def one():
            text = f"datagram {n}".encode()
            for _ in range(3):
                sock.settimeout(1.0)
                sock.send(text)
                try:
                    while not sock.recv(4096).endswith(text):
                        pass
                    return
                except TimeoutError:
                    pass
            raise TimeoutError("three tries unanswered")
        count.run(one)
        time.sleep(PERIOD)


def tcp_new(count, address, port, end):
    while time.monotonic() < end:
        def one():
            with socket.create_connection((address, port), WAIT) as sock:
                sock.settimeout(WAIT)
                sock.sendall(b"hello\n")
                read_line(sock)
        count.run(one)
        time.sleep(PERIOD)


def http(count, address, port, end, host):
    while time.monotonic() < end:
        def one():
            with socket.create_connection((address, port), WAIT) as sock:
                sock.settimeout(WAIT)
                sock.sendall(f"GET /cart HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                data = b""
                while True:
                    part = sock.recv(65536)
                    if not part:
                        break
                    data += part
                if not data.startswith(b"HTTP/1.1 200"):
                    raise OSError("answer: " + data[:60].decode("latin1"))
        count.run(one)
        time.sleep(PERIOD)


def dns(count, address, port, end, host):
    name = b"".join(bytes([len(label)]) + label.encode() for label in host.split(".")) + b"\0"
    while time.monotonic() < end:
        def one():
            for _ in range(3):
                ident = random.randrange(65536)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.settimeout(2.0)
                    sock.connect((address, port))
                    try:
                        sock.send(struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1))
                        answer = sock.recv(4096)
                    except (TimeoutError, ConnectionRefusedError):
                        continue
                    flags, answers = struct.unpack(">xxHxxH", answer[:8])
                    if flags & 15 == 2:  # SERVFAIL: the client's resolver asks again
                        time.sleep(0.2)
                        continue
                    if flags & 15 != 0 or answers < 1:
                        raise OSError(f"rcode {flags & 15}, {answers} answers")
                    return
            raise TimeoutError("three tries unanswered")
        count.run(one)
        time.sleep(PERIOD)


def main():
    kind, address, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    host = sys.argv[5] if len(sys.argv) > 5 else ""
    count = Count(kind)
    end = time.monotonic() + seconds
    kinds = {"tcp-long": tcp_long, "udp-long": udp_long, "tcp-new": tcp_new}
    try:
        if kind == "http":
            http(count, address, port, end, host)
        elif kind == "dns":
            dns(count, address, port, end, host)
        else:
            kinds[kind](count, address, port, end)
    except OSError as error:
        count.fail(error)
    count.show()


main()
