/* ICMP and ICMPv6 messages we read or write. Ours, because <linux/icmp.h> pulls in the C library.
 * Source: RFC 792, RFC 4443, RFC 4861, RFC 3810.
 */
#ifndef WEFT_LIB_ICMP_H
#define WEFT_LIB_ICMP_H

#include <linux/types.h>

/* The first eight bytes are the same in both. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 id; /* of an echo; in errors unused or the MTU */
	__be16 sequence;
};

enum icmp_type {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_ECHO_REQUEST = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
	ICMPV6_UNREACHABLE = 1,
	ICMPV6_PARAMETER_PROBLEM = 4,
	ICMPV6_ECHO_REQUEST = 128,
	ICMPV6_ECHO_REPLY = 129,
	MLD_QUERY = 130,
	MLD_DONE = 132,
	ND_ROUTER_SOLICITATION = 133,
	ND_ROUTER_ADVERTISEMENT = 134,
	ND_SOLICITATION = 135,
	ND_ADVERTISEMENT = 136,
	ND_REDIRECT = 137,
	MLD_REPORT_V2 = 143,
};

#define ICMP_CODE_PORT 3
#define ICMPV6_CODE_PORT 4

#endif
