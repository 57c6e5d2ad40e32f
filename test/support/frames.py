#!/usr/bin/env python3
"""Raw frames that carry the name of their VPC, and the sniffers that look for them.

frames.py send SEED COUNT TAG GATEWAY_MAC PEERS OTHERS   from eth0: COUNT frames, most of them valid UDP to PEERS (comma list),
    the rest everything a pod must not get away with: spoofed sources and MACs, VLAN tags, ARP claims, fragments, ICMP
    errors with foreign headers inside, VXLAN inside, multicast, addresses in OTHERS. Prints {"valid": N, "sent": N}.
frames.py sniff STOPFILE   on eth0, incoming only, until STOPFILE exists: prints {"valid": {TAG: N}, "seen": {TAG: N}}.
A tag stands as b"weft-isolation-TAG" in the payload.
"""
import json
import os
import random
import socket
import struct
import sys

MARK = b"weft-isolation-"
VALID_PORT = 7007


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(src, dst, proto, payload, frag=0, ident=None):
    ident = random.randrange(65536) if ident is None else ident
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, frag, 64, proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(src, dst, sport, dport, payload):
    length = 8 + len(payload)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack(">BBH", 0, 17, length)
    head = struct.pack(">HHHH", sport, dport, length, 0)
    return head[:6] + struct.pack(">H", checksum(pseudo + head + payload) or 0xFFFF) + payload


def tcp_syn(src, dst, sport, dport, payload):
    head = struct.pack(">HHIIBBHHH", sport, dport, random.randrange(1 << 32), 0, 0x50, 2, 65535, 0, 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack(">BBH", 0, 6, len(head) + len(payload))
    return head[:16] + struct.pack(">H", checksum(pseudo + head + payload)) + head[18:] + payload


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("169.254.1.1", 9))
        return sock.getsockname()[0]


def bad_frame(kind, mac, gateway, me, peers, others, tag):
    peer = random.choice(peers + others)
    body = MARK + tag + b"-" + str(random.random()).encode()
    sport, dport = random.randrange(1024, 65536), random.choice([VALID_PORT, 53, 80, 8080, 9000, 4789])
    eth = gateway + mac + b"\x08\x00"
    if kind == 0:  # another pod's address
        src = random.choice(peers + others)
        return eth + ip(src, peer, 17, udp(src, peer, sport, dport, body))
    if kind == 1:  # another MAC
        return gateway + bytes([2, 0, 0, 1, 2, 3]) + b"\x08\x00" + ip(me, peer, 17, udp(me, peer, sport, dport, body))
    if kind == 2:  # VLAN
        return gateway + mac + b"\x81\x00\x00\x07\x08\x00" + ip(me, peer, 17, udp(me, peer, sport, dport, body))
    if kind == 3:  # ARP claim
        sender = socket.inet_aton(random.choice(peers + others))
        return b"\xff" * 6 + mac + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + mac + sender + gateway + sender + body
    if kind == 4:  # fragments: a first one and an orphan
        whole = udp(me, peer, sport, dport, body + b"x" * 64)
        if random.random() < 0.5:
            return eth + ip(me, peer, 17, whole[:64], 0x2000)
        return eth + ip(me, peer, 17, whole[64:], 8)
    if kind == 5:  # an ICMP error about somebody else's flow
        inner = ip(peer, random.choice(others), 17, udp(peer, me, dport, sport, body))
        message = struct.pack(">BBHI", 3, random.choice([1, 3, 4]), 0, 1400) + inner
        message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
        return eth + ip(me, peer, 1, message)
    if kind == 6:  # VXLAN inside, naming other networks
        inner = gateway + mac + b"\x08\x00" + ip(me, peer, 17, udp(me, peer, sport, dport, body))
        node = random.choice(["198.18.1.1", "198.18.0.1", peer])
        return eth + ip(me, node, 17, udp(me, node, sport, 4789, struct.pack(">II", 0x08000000, random.randrange(1, 8) << 8) + inner))
    if kind == 7:  # TCP to anything
        return eth + ip(me, peer, 6, tcp_syn(me, peer, sport, dport, body))
    if kind == 8:  # multicast and broadcast
        dst = random.choice(["224.0.0.251", "255.255.255.255"])
        return b"\xff" * 6 + mac + b"\x08\x00" + ip(me, dst, 17, udp(me, dst, sport, dport, body))
    # the neighbours' own range, claimed
    return eth + ip("100.64.0.%d" % random.randrange(1, 20), peer, 17, udp(me, peer, sport, dport, body))


def send(seed, count, tag, gateway, peers, others):
    random.seed(seed)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(("eth0", 0))
    mac = sock.getsockname()[4]
    me, gateway, tag = own_address(), bytes.fromhex(gateway.replace(":", "")), tag.encode()
    valid = sent = 0
    for _ in range(count):
        if random.random() < 0.6:
            peer = random.choice(peers)
            body = MARK + tag + b"-valid"
            frame = gateway + mac + b"\x08\x00" + ip(me, peer, 17, udp(me, peer, random.randrange(1024, 65536), VALID_PORT, body))
            good = True
        else:
            frame, good = bad_frame(random.randrange(10), mac, gateway, me, peers, others, tag), False
        try:
            sock.send(frame)
            sent += 1
            valid += good
        except OSError:
            pass
    print(json.dumps({"valid": valid, "sent": sent}), flush=True)


def sniff(stopfile):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
    sock.bind(("eth0", 3))
    sock.settimeout(0.2)
    valid, seen = {}, {}
    while True:
        try:
            frame, address = sock.recvfrom(65536)
        except TimeoutError:
            if os.path.exists(stopfile):
                break
            continue
        if address[2] == 4:  # PACKET_OUTGOING
            continue
        at = frame.find(MARK)
        if at < 0:
            continue
        tag = chr(frame[at + len(MARK)])
        seen[tag] = seen.get(tag, 0) + 1
        if frame[23] == 17 and frame[at + len(MARK) + 1:].startswith(b"-valid") and at == 42:
            valid[tag] = valid.get(tag, 0) + 1
    print(json.dumps({"valid": valid, "seen": seen}), flush=True)


if sys.argv[1] == "send":
    send(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5], sys.argv[6].split(","), sys.argv[7].split(","))
else:
    sniff(sys.argv[2])
