"""The peers of bench/service: Services by the kernel's own NAT, with rules shaped as kube-proxy writes them.

    client 10.0.1.2 ── node (forwards, NAT) ── server 10.0.2.2       one set of namespaces a peer, of this run's own

Iptables: one chain KUBE-SERVICES that a packet of a new connection walks rule by rule, a chain a Service, a chain an
endpoint; legacy iptables, filled by iptables-restore. Nftables: verdict maps by address, protocol and port, filled by nft -f.
Every Service has the one endpoint that is the server. Service n has 172.21.x.y; the one measured stands in the middle of the
list, which is what an average Service pays.
"""
import subprocess

CLIENT, SERVER = "10.0.1.2", "10.0.2.2"


def address(number):
    return f"172.21.{(number + 16) // 256}.{(number + 16) % 256}"


def sh(command, text=None):
    done = subprocess.run(command, shell=True, text=True, input=text, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")
    return done.stdout.strip()


class Peer:
    def __init__(self, name, instance, count, port):
        self.name, self.count, self.port = name, count, port
        self.client, self.node, self.server = (f"bench-{instance}-{name}-{part}" for part in ("client", "node", "server"))
        self.service = address(count // 2)

    def __enter__(self):
        try:
            for netns in (self.client, self.node, self.server):
                sh(f"ip netns add {netns}; ip -n {netns} link set lo up")
            for place, inside, outside, side in ((self.client, CLIENT, "10.0.1.1", "c"), (self.server, SERVER, "10.0.2.1", "s")):
                sh(f"ip -n {self.node} link add {side} type veth peer name eth0 netns {place}")
                sh(f"ip -n {self.node} addr add {outside}/24 dev {side}; ip -n {self.node} link set {side} up")
                sh(f"ip -n {place} addr add {inside}/24 dev eth0; ip -n {place} link set eth0 up; ip -n {place} route add default via {outside}")
            sh(f"nsenter --net=/run/netns/{self.node} sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'")
            self.fill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for netns in (self.client, self.node, self.server):
            subprocess.run(f"ip netns del {netns}", shell=True, capture_output=True)

    def in_node(self, command, text):
        sh(f"nsenter --net=/run/netns/{self.node} {command}", text)


class Iptables(Peer):
    def fill(self):
        chains = [":KUBE-SERVICES - [0:0]", ":KUBE-POSTROUTING - [0:0]", ":KUBE-MARK-MASQ - [0:0]"]
        rules = ["-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
                 "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
                 "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
                 "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
                 "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
                 "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully",
                 "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000"]
        for n in range(self.count):
            tag = f"{n:016X}"
            comment = f"-m comment --comment default/s{n}"
            chains += [f":KUBE-SVC-{tag[:16]} - [0:0]", f":KUBE-SEP-{tag[:16]} - [0:0]"]
            rules += [f"-A KUBE-SERVICES -d {address(n)}/32 -p tcp {comment} -m tcp --dport {self.port} -j KUBE-SVC-{tag}",
                      f"-A KUBE-SVC-{tag} {comment} -j KUBE-SEP-{tag}",
                      f"-A KUBE-SEP-{tag} -s {SERVER}/32 {comment} -j KUBE-MARK-MASQ",
                      f"-A KUBE-SEP-{tag} -p tcp {comment} -m tcp -j DNAT --to-destination {SERVER}:{self.port}"]
        self.in_node("iptables-legacy-restore --noflush", "*nat\n" + "\n".join(chains + rules) + "\nCOMMIT\n")


class Nftables(Peer):
    def fill(self):
        lines = ["table ip kube-proxy {", "  chain mark-for-masquerade { meta mark set meta mark or 0x4000; }"]
        services = []
        for n in range(self.count):
            lines += [f"  chain endpoint-{n} {{ ip saddr {SERVER} jump mark-for-masquerade; meta l4proto tcp dnat to {SERVER}:{self.port}; }}",
                      f"  chain service-{n} {{ numgen random mod 1 vmap {{ 0 : goto endpoint-{n} }}; }}"]
            services.append(f"{address(n)} . tcp . {self.port} : goto service-{n}")
        lines += ["  map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; elements = { " + ", ".join(services) + " }; }",
                  "  chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }",
                  "  chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }",
                  "  chain nat-output { type nat hook output priority -100; jump services; }",
                  "  chain masquerading { meta mark & 0x4000 == 0 return; meta mark set meta mark xor 0x4000; masquerade fully-random; }",
                  "  chain nat-postrouting { type nat hook postrouting priority srcnat; jump masquerading; }", "}"]
        self.in_node("nft -f -", "\n".join(lines) + "\n")
