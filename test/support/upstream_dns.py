"""A small upstream DNS server for tests: upstream_dns.py ADDRESS LOG

Knows db.partner.example.test and twice.example.test (192.0.2.99, TTL 300, far above what may be passed on); all else is
NXDOMAIN with a SOA. LOG gets a line "name type" for each question. Ends by itself after LIFETIME_S.
"""
import signal
import socket
import struct
import sys

LIFETIME_S = 300
KNOWN = ("db.partner.example.test", "twice.example.test")
A, SOA = 1, 6


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def question(packet):
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    return ".".join(labels).lower(), struct.unpack("!H", packet[at + 1 : at + 3])[0], packet[12 : at + 5]


def reply(packet):
    name, kind, asked = question(packet)
    known = name in KNOWN
    answers = authorities = b""
    if known and kind == A:
        answers = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 300, 4) + socket.inet_aton("192.0.2.99")
    else:
        data = wire("ns.test") + wire("host.test") + struct.pack("!5I", 1, 7200, 1800, 86400, 20)
        authorities = wire("test") + struct.pack("!HHIH", SOA, 1, 300, len(data)) + data
    flags = 0x8180 | (0 if known else 3)
    counts = struct.pack("!4H", 1, bool(answers), bool(authorities), 0)
    return name, kind, packet[:2] + struct.pack("!H", flags) + counts + asked + answers + authorities


def main(address, log_path):
    signal.alarm(LIFETIME_S)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    with open(log_path, "w", buffering=1) as log:
        while True:
            packet, peer = server.recvfrom(2048)
            name, kind, answer = reply(packet)
            log.write(f"{name} {kind}\n")
            server.sendto(answer, peer)


main(sys.argv[1], sys.argv[2])
