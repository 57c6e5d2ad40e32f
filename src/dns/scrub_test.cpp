#include "dns/scrub.h"

#include <gtest/gtest.h>

namespace weft::dns {
namespace {

using dns_wire::Message;
using dns_wire::Name;
using dns_wire::Record;
using dns_wire::Type;

Name name(std::string_view text) { return *Name::parse(text); }

Record address(std::string_view owner, uint8_t last = 1) {
    return dns_wire::a_record(name(owner), 30, net::Address::v4(192, 0, 2, last));
}

Record alias(std::string_view owner, std::string_view target, Type type = Type::cname) {
    return dns_wire::name_record(name(owner), 30, type, name(target));
}

Record soa(std::string_view owner) {
    return dns_wire::soa_record(name(owner), 30, {name("ns.test."), name("who.test."), 1, 2, 3, 4, 5});
}

Record proof(std::string_view owner, unsigned type) { return {name(owner), Type(type), dns_wire::Class::in, 30, "x"}; }

struct Sections {
    std::vector<Record> answers, authorities, additionals;
    bool operator==(const Sections&) const = default;
};

Sections scrubbed(Sections sections, std::string_view asked, Type type = Type::a) {
    Message reply;
    reply.answers = std::move(sections.answers);
    reply.authorities = std::move(sections.authorities);
    reply.additionals = std::move(sections.additionals);
    scrub(reply, {name(asked), type, dns_wire::Class::in}, name("cluster.local."));
    return {reply.answers, reply.authorities, reply.additionals};
}

TEST(Scrub, DNS_26_an_honest_reply_stays_as_it_is) {
    for (const Sections& honest : {
             Sections{{address("a.test."), address("A.test.", 2)}, {}, {}},
             Sections{{alias("a.test.", "b.test."), alias("b.test.", "c.other."), address("c.other.")}, {}, {}},
             Sections{{address("c.other."), alias("b.test.", "c.other."), alias("a.test.", "b.test.")}, {}, {}},
             Sections{{}, {soa("test.")}, {}},
             Sections{{}, {soa("test."), proof("z.test.", 46), proof("z.test.", 47), proof("hash.test.", 50)}, {}},
             Sections{{alias("a.test.", "gone.other.")}, {soa("other.")}, {}},
             Sections{{alias("test.", "other.", Type::dname), alias("a.test.", "a.other."), address("a.other.")}, {}, {}},
             Sections{{address("a.test.")}, {alias("test.", "ns.test.", Type::ns)}, {address("ns.test.")}},
         })
        EXPECT_EQ(scrubbed(honest, "a.test."), honest);
    const Sections service{{dns_wire::srv_record(name("_x._tcp.test."), 30, 0, 0, 80, name("h.test."))}, {}, {address("h.test.")}};
    EXPECT_EQ(scrubbed(service, "_x._tcp.test.", Type::srv), service);
}

TEST(Scrub, DNS_26_what_nobody_asked_for_is_dropped) {
    const Sections nothing;
    EXPECT_EQ(scrubbed({{address("bank.test.")}, {}, {}}, "a.test."), nothing);
    EXPECT_EQ(scrubbed({{}, {soa("bank.test."), alias("bank.test.", "evil.test.", Type::ns)}, {}}, "a.test."), nothing);
    EXPECT_EQ(scrubbed({{}, {}, {address("bank.test.")}}, "a.test."), nothing);
    EXPECT_EQ(scrubbed({{}, {address("a.test.")}, {}}, "a.test."), nothing) << "an address is no authority";
    EXPECT_EQ(scrubbed({{}, {proof("z.bank.", 47)}, {}}, "a.test."), nothing);
    EXPECT_EQ(scrubbed({{alias("b.test.", "c.test."), address("c.test.")}, {}, {}}, "a.test."), nothing)
        << "an alias that the question does not lead to";
    Record chaos = address("a.test.");
    chaos.cls = dns_wire::Class::ch;
    EXPECT_EQ(scrubbed({{chaos}, {}, {}}, "a.test."), nothing);
}

TEST(Scrub, DNS_26_nobody_upstream_speaks_for_our_zone) {
    const Record into = alias("a.test.", "web.default.svc.cluster.local.");
    EXPECT_EQ(scrubbed({{into, address("web.default.svc.cluster.local.", 66)}, {soa("cluster.local.")},
                        {address("web.default.svc.CLUSTER.local.", 66)}},
                       "a.test."),
              (Sections{{into}, {}, {}}));
}

TEST(Scrub, an_alias_that_goes_in_circles_ends) {
    const Sections circle{{alias("a.test.", "b.test."), alias("b.test.", "a.test.")}, {}, {}};
    EXPECT_EQ(scrubbed(circle, "a.test."), circle);
    Sections endless;
    for (int i = 0; i < 100; ++i)
        endless.answers.push_back(alias(i == 0 ? "a.test." : std::to_string(i) + ".test.", std::to_string(i + 1) + ".test."));
    EXPECT_EQ(scrubbed(endless, "a.test.").answers.size(), alias_chain_max);
}

}  // namespace
}  // namespace weft::dns
