#!/usr/bin/env python3
"""A crowd: many long TCP flows and many new connections a second to echo servers, every loss counted.

crowd.py ADDRESS PORT SECONDS FLOWS NEW_PER_SECOND
Each long flow sends a line a second and waits for its echo; each new connection connects, sends one line, reads its echo and
closes. A flow or connection that gets no answer within 10 s, is reset or refused, counts as failed.
Prints one JSON line: {"flows", "echoes", "flows_failed", "resets", "new_done", "new_failed", "refused", "slowest_ms", "errors"}.
"""
import collections
import errno
import heapq
import json
import select
import selectors
import socket
import sys
import time

WAIT = 10.0
PERIOD = 1.0


class Crowd:
    def __init__(self, address, port):
        self.target = (address, port)
        self.selector = selectors.DefaultSelector()
        self.timers = []  # (when, serial, connection): send again, or give up
        self.serial = 0
        self.counts = collections.Counter()
        self.slowest = 0.0
        self.errors = []

    def later(self, when, connection):
        self.serial += 1
        heapq.heappush(self.timers, (when, self.serial, connection, connection.turn))


class Connection:
    def __init__(self, crowd, is_long):
        self.crowd, self.is_long, self.turn, self.n, self.data = crowd, is_long, 0, 0, b""
        self.started = time.monotonic()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.state = "connecting"
        code = self.socket.connect_ex(crowd.target)
        if code not in (0, errno.EINPROGRESS):
            self.fail(OSError(code, "connect"))
            return
        crowd.selector.register(self.socket, selectors.EVENT_WRITE, self)
        crowd.later(self.started + WAIT, self)

    def next_turn(self):
        self.turn += 1  # timers of an earlier turn mean nothing any more

    def send(self):
        self.next_turn()
        self.n += 1
        self.started = time.monotonic()
        self.state = "waiting"
        self.data = b""
        self.line = b"%d\n" % self.n
        self.socket.send(self.line)
        self.crowd.selector.modify(self.socket, selectors.EVENT_READ, self)
        self.crowd.later(self.started + WAIT, self)

    def event(self):
        try:
            if self.state == "connecting":
                code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, errno.errorcode.get(code, "?"))
                self.send()
                return
            part = self.socket.recv(4096)
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, "closed by the other side")
            self.data += part
            if self.state == "waiting" and self.data.endswith(self.line):
                self.answered()
        except BlockingIOError:
            pass
        except OSError as error:
            self.fail(error)

    def answered(self):
        crowd = self.crowd
        crowd.slowest = max(crowd.slowest, time.monotonic() - self.started)
        crowd.counts["echoes" if self.is_long else "new_done"] += 1
        self.next_turn()
        if self.is_long:
            self.state = "idle"
            crowd.later(self.started + PERIOD, self)
        else:
            self.close()

    def timer(self):
        try:
            if self.state == "idle":
                self.send()
            elif self.state in ("connecting", "waiting"):
                self.fail(TimeoutError(f"{self.state} for {WAIT} s, from port {self.port()}"))
        except OSError as error:
            self.fail(error)

    def is_ready(self):
        if self.state not in ("connecting", "waiting"):
            return False
        poll = select.poll()
        poll.register(self.socket, select.POLLOUT if self.state == "connecting" else select.POLLIN)
        return bool(poll.poll(0))

    def port(self):
        try:
            return self.socket.getsockname()[1]
        except OSError:
            return 0

    def fail(self, error):
        counts = self.crowd.counts
        counts["flows_failed" if self.is_long else "new_failed"] += 1
        code = getattr(error, "errno", None)
        if code == errno.ECONNRESET:
            counts["resets"] += 1
        if code == errno.ECONNREFUSED:
            counts["refused"] += 1
        if len(self.crowd.errors) < 5:
            self.crowd.errors.append(f"{time.strftime('%H:%M:%S')} {'flow' if self.is_long else 'new'} {type(error).__name__}: {error}")
        self.close()

    def close(self):
        self.next_turn()
        self.state = "closed"
        try:
            self.crowd.selector.unregister(self.socket)
        except (KeyError, ValueError):
            pass
        self.socket.close()


def main():
    address, port, seconds, flows, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    crowd = Crowd(address, port)
    start = time.monotonic()
    end = start + seconds
    long_flows = []
    opened = 0
    while True:
        now = time.monotonic()
        if now >= end + WAIT or (now >= end and not any(c[2].state in ("connecting", "waiting") for c in crowd.timers)):
            break
        if now < end:
            while len(long_flows) < flows and len(long_flows) < (now - start) * 500 + 1:  # not all in one burst
                long_flows.append(Connection(crowd, True))
            # What a starved machine could not open in time is not made up for in a burst.
            due = min(int((now - start) * rate), opened + max(1, int(rate / 10)))
            while opened < due:
                Connection(crowd, False)
                opened += 1
            opened = max(opened, int((now - start) * rate) - 1)
        for key, _ in crowd.selector.select(0.005):
            key.data.event()
        now = time.monotonic()
        while crowd.timers and crowd.timers[0][0] <= now:
            _, _, connection, turn = heapq.heappop(crowd.timers)
            if connection.turn != turn:
                continue
            if now >= end and connection.state == "idle":
                continue
            # The answer may lie in the buffer already: a slow reader's fault is not the network's.
            if connection.is_ready():
                connection.event()
                if connection.turn != turn:
                    continue
            connection.timer()
    counts = crowd.counts
    print(json.dumps({"flows": len(long_flows), "echoes": counts["echoes"], "flows_failed": counts["flows_failed"],
                      "resets": counts["resets"], "refused": counts["refused"], "new_done": counts["new_done"],
                      "new_failed": counts["new_failed"], "slowest_ms": round(crowd.slowest * 1000), "errors": crowd.errors}), flush=True)



main()
