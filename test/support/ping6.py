# One ICMPv6 echo request to ADDRESS, "pong" when its answer comes within three seconds: for machines without ping.
import socket
import sys

ping = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
ping.settimeout(3)
request = bytes([128, 0, 0, 0, 0, 7, 0, 1]) + b"weft"
ping.sendto(request, (sys.argv[1], 0))
answer = next(packet for packet in iter(lambda: ping.recv(2048), None) if packet[0] == 129)
print("pong" if answer[8:] == b"weft" else answer)
