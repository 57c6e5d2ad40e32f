"""Where a stream's work is done when client and server have a CPU each: the same contestants, with counts beside the rate.

Each contestant also runs with RPS: what its tunnel device (weft and plain routing: the uplink) of the receiving node takes
is handled on the server's CPU instead of where it was sent. The counts are of one run, per megabyte where it says so:
  cpu0, cpu1       busy share of each, and of it in softirq
  switches         context switches of client and server: each is a wait for the other, or for a softirq
  wakes            reschedule interrupts: one CPU told the other to run somebody
  rx0, rx1         NET_RX softirqs of each CPU
  packets          on the receiving node's uplink: how large they are
  acks             segments that the server's side sent; coalesced: segments it joined before the socket saw them
"""
import os
import statistics
import subprocess
import time

CLIENT_CPU, SERVER_CPU = 0, 1
PORT = 7001 + SERVER_CPU


def cpu_times():
    with open("/proc/stat") as file:
        lines = [line.split() for line in file if line.startswith(("cpu0 ", "cpu1 "))]
    return [[int(x) for x in line[1:]] for line in lines]


def row_of(path, name):
    with open(path) as file:
        for line in file:
            words = line.split()
            if words and words[0] == name + ":":
                return [int(x) for x in words[1:3]]
    return [0, 0]


def switches_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)


def inside(netns, path):
    return subprocess.run(["nsenter", f"--net=/run/netns/{netns}", "cat", path], text=True, capture_output=True).stdout


def pairs(text, family):
    """/proc/net/{snmp,netstat}: a line of names, a line of values."""
    lines = [line.split() for line in text.splitlines() if line.startswith(family + ":")]
    return dict(zip(lines[0][1:], map(int, lines[1][1:])))


def rx_packets(netns, device):
    for line in inside(netns, "/proc/net/dev").splitlines():
        if line.strip().startswith(device + ":"):
            return int(line.split(":")[1].split()[1])
    return 0


class Counts:
    """What changed between two looks."""

    def __init__(self, server_pid, pod, node, uplink):
        self.what = (server_pid, pod, node, uplink)
        self.before, self.start = self.look(), time.monotonic()

    def look(self):
        server_pid, pod, node, uplink = self.what
        tcp, more = pairs(inside(pod, "/proc/net/snmp"), "Tcp"), pairs(inside(pod, "/proc/net/netstat"), "TcpExt")
        return {"cpu": cpu_times(), "server": switches_of(server_pid), "wakes": sum(row_of("/proc/interrupts", "RES")),
                "rx": row_of("/proc/softirqs", "NET_RX"), "packets": rx_packets(node, uplink), "acks": tcp["OutSegs"],
                "coalesced": more.get("TCPRcvCoalesce", 0) + more.get("TCPBacklogCoalesce", 0), "segments": tcp["InSegs"]}

    def text(self, megabytes, client_switches):
        now, was = self.look(), self.before
        per_mb = lambda name: (now[name] - was[name]) / megabytes
        cpus = []
        for cpu in (0, 1):
            spent = [b - a for a, b in zip(was["cpu"][cpu], now["cpu"][cpu])]
            whole = sum(spent) or 1
            cpus.append(f"{100 * (whole - spent[3] - spent[4]) / whole:3.0f} % ({100 * spent[6] / whole:2.0f} %)")
        rx = [(b - a) / megabytes for a, b in zip(was["rx"], now["rx"])]
        return (f"cpu0 {cpus[0]} cpu1 {cpus[1]}  switches {client_switches / megabytes:6.1f} + {per_mb('server'):6.1f}  "
                f"wakes {per_mb('wakes'):6.1f}  rx0 {rx[0]:6.1f} rx1 {rx[1]:6.1f}  packets {per_mb('packets'):6.1f}  "
                f"acks {per_mb('acks'):6.1f}  coalesced {per_mb('coalesced'):5.1f} of {per_mb('segments'):5.1f}")


def set_rps(node, device, mask):
    # A namespace of its own /sys shows the node's devices.
    subprocess.run(["ip", "netns", "exec", node, "sh", "-c", f"echo {mask} > /sys/class/net/{device}/queues/rx-0/rps_cpus"], check=True)


def run(places, netbench, turns, seconds):
    """places: name → {client, server (pods' namespaces), node (the server's), address, tunnel, uplink, pid (of the server)}."""
    contestants = [(name, rps) for rps in (False, True) for name in places]
    rates = {contestant: [] for contestant in contestants}
    counts = {}
    for turn in range(turns):
        shift = turn % len(contestants)
        for name, rps in contestants[shift:] + contestants[:shift]:
            place = places[name]
            set_rps(place["node"], place["tunnel"], f"{1 << SERVER_CPU:x}" if rps else "0")
            look = Counts(place["pid"], place["server"], place["node"], place["uplink"])
            client = subprocess.Popen(["nsenter", f"--net=/run/netns/{place['client']}", "taskset", "-c", str(CLIENT_CPU), netbench,
                                       "stream", place["address"], str(PORT), str(seconds)], text=True, stdout=subprocess.PIPE)
            rate = float(client.stdout.read())
            usage = os.wait4(client.pid, 0)[2]
            client.returncode = 0
            rates[name, rps].append(rate)
            counts[name, rps] = look.text(rate * seconds, usage.ru_nvcsw + usage.ru_nivcsw)
            set_rps(place["node"], place["tunnel"], "0")
        print(f"round {turn + 1} of {turns} done", flush=True)
    ours = rates["weft", False]
    print(f"\nstream with client on CPU {CLIENT_CPU}, server on CPU {SERVER_CPU}: MB/s, and weft as it is against each, round by round")
    for name, rps in contestants:
        values = rates[name, rps]
        ratios = [a / b for a, b in zip(ours, values)]
        print(f"  {name + (' + RPS' if rps else ''):<20} {statistics.median(values):>8.0f} [{min(values):.0f}..{max(values):.0f}]   "
              f"{statistics.median(ratios):.3f} [{min(ratios):.3f}..{max(ratios):.3f}]")
    print("\nof the last round, a megabyte each:")
    for (name, rps), text in counts.items():
        print(f"  {name + (' + RPS' if rps else ''):<20} {text}")
