#!/usr/bin/env python3
"""A WebSocket server and client by RFC 6455, on nothing but sockets.

  web_socket.py serve PORT                       says "echo " and what it was told, for every text
  web_socket.py ask ADDRESS PORT HOST TEXT...    one line on stdout for each answer; closes properly at the end
"""
import base64
import hashlib
import os
import socket
import struct
import sys
import threading

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE = 1, 8


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()


def read_head(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.read(1)
        if not byte:
            raise EOFError("the head does not end")
        head += byte
    lines = head.decode().split("\r\n")
    fields = dict((line.split(":", 1)[0].strip().lower(), line.split(":", 1)[1].strip()) for line in lines[1:] if line)
    return lines[0], fields


def read_exactly(stream, size):
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("the frame does not end")
    return data


def read_frame(stream, masked):
    first, second = read_exactly(stream, 2)
    assert first & 0x80, "fragments are not used here"
    assert bool(second & 0x80) == masked, "a client masks, a server does not"
    size = second & 0x7F
    if size == 126:
        size = struct.unpack("!H", read_exactly(stream, 2))[0]
    elif size == 127:
        size = struct.unpack("!Q", read_exactly(stream, 8))[0]
    mask = read_exactly(stream, 4) if masked else b"\0\0\0\0"
    return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(read_exactly(stream, size)))


def frame(opcode, payload, masked):
    flag = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack("!BB", 0x80 | opcode, flag | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, flag | 126, len(payload))
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, flag | 127, len(payload))
    mask = os.urandom(4) if masked else b""
    return head + mask + (bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload)


def serve_one(connection):
    with connection, connection.makefile("rwb") as stream:
        _, fields = read_head(stream)
        stream.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Accept: {accept_of(fields['sec-websocket-key'])}\r\n\r\n").encode())
        stream.flush()
        while True:
            opcode, payload = read_frame(stream, masked=True)
            stream.write(frame(opcode, payload if opcode == CLOSE else b"echo " + payload, masked=False))
            stream.flush()
            if opcode == CLOSE:
                return


def serve(port):
    with socket.create_server(("", port)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()


def ask(address, port, host, texts):
    with socket.create_connection((address, port), timeout=10) as connection, connection.makefile("rwb") as stream:
        key = base64.b64encode(os.urandom(16)).decode()
        stream.write((f"GET /chat HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        stream.flush()
        status, fields = read_head(stream)
        assert status.startswith("HTTP/1.1 101 "), status
        assert fields["sec-websocket-accept"] == accept_of(key), fields
        for text in texts:
            stream.write(frame(TEXT, text.encode(), masked=True))
            stream.flush()
            print(read_frame(stream, masked=False)[1].decode(), flush=True)
        stream.write(frame(CLOSE, struct.pack("!H", 1000), masked=True))
        stream.flush()
        assert read_frame(stream, masked=False)[0] == CLOSE
        assert stream.read(1) == b"", "closed by the server"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        ask(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:])
