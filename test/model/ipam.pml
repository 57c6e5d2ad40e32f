/* Address management as a model: one controller, three nodes, one block of three addresses that starts at node 0, kept by the
 * API as three variables. What is modelled is the protocol between controller and agents and nothing else:
 *
 *   withhold    the controller names an address in the block's spec; the agent, once it has seen that, gives it no more and
 *               says so; only then, and only if the agent does not list it, is it lent alone to another node
 *   hand back   the controller marks a lease for deletion; the agent gives nothing more of it and says so; once nothing of
 *               it is in use or resting, the lease ends
 *   restore     what nobody is lent any more belongs to its block again
 *
 * Agents see the API late (their cache is refreshed as a step of its own), write their status late, and die between any two
 * steps, keeping only the log: what is in use and what rests. The controller forgets nothing that matters when it dies: it
 * decides by the API alone, so it has no state here. Time is one step that ends an address's rest.
 *
 *   never   an address is in use on two nodes, or given while it rests
 *
 * Run by test/model/run: exhaustive, some seconds. */

#define NODES 3
#define ADDRESSES 3
#define HOME 0 /* the node that the block is lent to */

/* The API. Bit a of a byte speaks of address a. */
byte withheld;              /* the block's spec.withheld */
bool acknowledged;          /* the block's status.observedGeneration is its generation */
byte listed;                /* the block's status: in use or resting */
byte single_node[ADDRESSES];     /* a lease of one address: NODES = there is none */
bool single_leaving[ADDRESSES];  /* it has a deletionTimestamp */
bool single_given_up[ADDRESSES]; /* its status: the agent gives nothing of it any more */
bool single_listed[ADDRESSES];   /* its status: in use or resting */

/* Each agent's cache of it. */
typedef cache {
    byte withheld;
    bool is_newest;        /* of the block's spec */
    bool single[ADDRESSES];
    bool leaving[ADDRESSES];
    bool is_same[ADDRESSES];  /* that lease is the one in the API, by its uid: a name comes again */
}
cache known[NODES];

/* Each node's log and kernel, which outlive the agent. */
typedef ledger {
    byte used;
    byte resting;
}
ledger log[NODES];

#define BIT(a) (1 << (a))
#define HAS(set, a) (((set) >> (a)) & 1)

/* What the next refresh would change is what a cache lags behind. */
inline refresh(n) {
    byte i;
    if
    :: n == HOME -> known[n].withheld = withheld; known[n].is_newest = true
    :: else -> skip
    fi;
    for (i : 0 .. ADDRESSES - 1) {
        known[n].single[i] = (single_node[i] == n);
        known[n].leaving[i] = (single_node[i] == n && single_leaving[i]);
        known[n].is_same[i] = (single_node[i] == n)
    }
    i = 0
}

inline may_give(n, a, yes) {
    yes = false;
    if
    :: n == HOME && !HAS(known[n].withheld, a) -> yes = true
    :: known[n].single[a] && !known[n].leaving[a] -> yes = true
    :: else -> skip
    fi;
    if
    :: HAS(log[n].used, a) || HAS(log[n].resting, a) -> yes = false
    :: else -> skip
    fi
}

inline nobody_else_has(n, a) {
    byte other;
    for (other : 0 .. NODES - 1) {
        assert(other == n || (!HAS(log[other].used, a) && !HAS(log[other].resting, a)))
    }
    other = 0
}

proctype agent(byte n) {
    byte a;
    bool yes;
    byte status_used;
    do
    /* The cache catches up, or the process is new and lists: the same. */
    :: atomic { refresh(n) }
    /* ADD: reserve in the log by what the cache says. */
    :: atomic {
        select(a : 0 .. ADDRESSES - 1);
        may_give(n, a, yes);
        if
        :: yes -> nobody_else_has(n, a); log[n].used = log[n].used | BIT(a)
        :: else -> skip
        fi;
        a = 0; yes = false
       }
    /* DEL, or a crash between reserve and confirm that the next agent undoes. */
    :: atomic {
        select(a : 0 .. ADDRESSES - 1);
        if
        :: HAS(log[n].used, a) -> log[n].used = log[n].used & ~BIT(a); log[n].resting = log[n].resting | BIT(a)
        :: else -> skip
        fi;
        a = 0
       }
    /* Time. */
    :: atomic { log[n].resting != 0 -> log[n].resting = 0 }
    /* The status, written as what the cache and the log say at one moment (the brain) and stored at once: a later write of
     * it replaces an earlier one, and one thread writes in order. */
    :: atomic {
        if
        :: n == HOME -> listed = log[n].used | log[n].resting; acknowledged = known[n].is_newest
        :: else -> skip
        fi;
        for (a : 0 .. ADDRESSES - 1) {
            if
            :: known[n].single[a] && known[n].is_same[a] ->
                single_listed[a] = HAS(log[n].used, a) || HAS(log[n].resting, a);
                single_given_up[a] = known[n].leaving[a]
            :: else -> skip
            fi
        };
        a = 0
       }
    od
}

inline spec_changed() {
    acknowledged = false;
    known[HOME].is_newest = false
}

/* Every branch is one write to the API, so a death lies between any two of them. */
proctype controller() {
    byte a, n;
    do
    :: atomic { /* withhold */
        select(a : 0 .. ADDRESSES - 1);
        if
        :: !HAS(withheld, a) -> withheld = withheld | BIT(a); spec_changed()
        :: else -> skip
        fi;
        a = 0
       }
    :: atomic { /* lend it alone */
        select(a : 0 .. ADDRESSES - 1);
        select(n : 0 .. NODES - 1);
        if
        :: HAS(withheld, a) && acknowledged && !HAS(listed, a) && single_node[a] == NODES ->
            single_node[a] = n; single_leaving[a] = false; single_given_up[a] = false; single_listed[a] = false
        :: else -> skip
        fi;
        a = 0; n = 0
       }
    :: atomic { /* ask it back */
        select(a : 0 .. ADDRESSES - 1);
        if
        :: single_node[a] != NODES -> single_leaving[a] = true
        :: else -> skip
        fi;
        a = 0
       }
    :: atomic { /* its end */
        select(a : 0 .. ADDRESSES - 1);
        if
        :: single_node[a] != NODES && single_leaving[a] && single_given_up[a] && !single_listed[a] ->
            single_node[a] = NODES; single_leaving[a] = false; single_given_up[a] = false;
            for (n : 0 .. NODES - 1) {
                known[n].is_same[a] = false
            };
            n = 0
        :: else -> skip
        fi;
        a = 0
       }
    :: atomic { /* restore */
        select(a : 0 .. ADDRESSES - 1);
        if
        :: HAS(withheld, a) && single_node[a] == NODES ->
            withheld = withheld & ~BIT(a); spec_changed()
        :: else -> skip
        fi;
        a = 0
       }
    od
}

init {
    atomic {
        byte i;
        for (i : 0 .. ADDRESSES - 1) {
            single_node[i] = NODES
        };
        i = 0;
        acknowledged = true;
        known[HOME].is_newest = true;
        for (i : 0 .. NODES - 1) {
            run agent(i)
        };
        run controller()
    }
}
