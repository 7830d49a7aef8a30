/* SPDX-License-Identifier: MIT */
/*
 * flog_group.pml - commits of the durable log as the code makes them (D1, D3, D5)
 *
 * Clients 0 .. NA-1 append, clients NA .. NA+NC-1 commit and lead. Under one lock a
 * leader reserves a record with a filler to its sector's end, by one CAS, inside the
 * epoch; at most K leaders are under way. Flushing is one leader's at a time: bump,
 * then write sector after sector. One sync is in flight; it covers what was flushed
 * when it was submitted. Then `committed` := the larger one. Who does not lead waits,
 * and leads itself when what it wants is not covered by a leader any more.
 *
 * An entry is one unit, a record one unit, a sector SU units. The device has a volatile
 * cache; a failed sync drops what it had to write. check() looks at every image that a
 * crash could leave: any of the sectors that no sync covers, each whole or not there.
 * Recovery follows whole units to the last record; where that ends it refuses (D5) if a
 * later record that is whole says that this place had been durable.
 *
 * Claims: acknowledged <= recovered <= issued, no hole; recovery never refuses what
 * only a crash has left; with any one durable sector damaged it refuses, if a record
 * above that is durable was reserved after the sector's commit had been published.
 *
 * Mutations: NO_BUMP NO_SYNC SYNC_LATE NOT_MAX LATER_RECORD DURABLE_PROMISED
 *     DURABLE_NONE NO_LATCH LATCH_LATE TRUST_LEADER
 */
#ifndef NA
#define NA 1            /* appenders */
#endif
#ifndef NC
#define NC 2            /* committers */
#endif
#ifndef NAPP
#define NAPP 1          /* entries per appender */
#endif
#ifndef NCOM
#define NCOM 1          /* commits per committer, each after an entry of its own */
#endif
#ifndef K
#define K 2             /* leaders */
#endif
#ifndef NERR
#define NERR 1          /* device errors */
#endif
#ifndef NSEC
#define NSEC 5
#endif
#define SU 2
#define LEN (NSEC*SU)
#define NT (NA+NC)
#define REC 100
#define FILL 101

byte current = 1;
byte slot[NT];
byte tail;
byte mem[LEN];          /* 0 = reserved or free */
byte rdur[LEN];         /* of a record: its `durable` */
byte rcom[LEN];         /* ghost: what was published when it was reserved */
byte leaders;
byte promised;          /* the leaders' records end here */
byte committed;         /* published = acknowledged */
bit  err;               /* D3: latched */
byte nerr = NERR;

bit  flushing;          /* a lock */
byte flushed;           /* sectors below have been written */
bit  syncing;
byte covers;            /* of the sync in flight, in sectors */
byte synced;            /* sectors that a sync has covered */

/* device: per sector 0 = nothing, 1 = in the cache, 2 = durable */
byte state[NSEC];
byte disk[LEN];         /* what was written */

hidden byte hi, hj, hk, hm, hs, hl;
hidden byte hr, hok;

#define DR(i) (slot[i] == 0 || slot[i] > old)
#if NT == 2
#define ALL_DRAINED (DR(0) && DR(1))
#elif NT == 3
#define ALL_DRAINED (DR(0) && DR(1) && DR(2))
#else
#define ALL_DRAINED (DR(0) && DR(1) && DR(2) && DR(3))
#endif
#define UNTIL(r) (((r) / SU + 1) * SU)

/* Recovery of an image: sectors that are durable, or in the cache and chosen by hm;
 * sector hs is damaged (NSEC: none). hk: where it ends; hr: it refuses. */
#define THERE(s) ((s) != hs && (state[s] == 2 || (state[s] == 1 && (hm & (1 << (s))))))
inline recover() {
    hk = 0; hi = 0; hr = 0;
    do
    :: hi < LEN && THERE(hi / SU) && disk[hi] != 0 ->
        if
        :: disk[hi] == REC -> hk = UNTIL(hi)
        :: else
        fi;
        hi++
    :: else -> break
    od;
    hj = hi;
    do
    :: hj < LEN ->
        if
#ifdef LATER_RECORD
        :: THERE(hj / SU) && disk[hj] == REC -> hr = 1
#else
        :: THERE(hj / SU) && disk[hj] == REC && rdur[hj] > hi -> hr = 1
#endif
        :: else
        fi;
        hj++
    :: else -> break
    od;
    hi = 0; hj = 0
}

/* Every image, then every durable sector damaged in the least one. */
inline check() {
    hm = 0; hs = NSEC; hl = 0;
    do
    :: hm < (1 << NSEC) ->
        hi = 0; hok = 1;
        do
        :: hi < NSEC ->  /* only the choices that differ */
            if
            :: (hm & (1 << hi)) && state[hi] != 1 -> hok = 0
            :: else
            fi;
            hi++
        :: else -> break
        od;
        hi = 0;
        if
        :: hok ->
            recover();
            assert(!hr);                 /* D5: a crash is not damage */
            assert(hk >= committed);     /* D1: acknowledged <= recovered */
            assert(hk <= tail);          /* recovered <= issued */
            do
            :: hi < hk -> assert(disk[hi] == mem[hi]); hi++
            :: else -> hi = 0; break
            od
        :: else
        fi;
        hm++
    :: else -> break
    od;
    hm = 0;
    do
    :: hl < NSEC ->
        if
        :: state[hl] == 2 ->
            hok = 0; hi = (hl + 1) * SU;
            do
            :: hi < LEN ->  /* a record that knew of it */
                if
                :: state[hi / SU] == 2 && disk[hi] == REC && rcom[hi] > hl * SU ->
                    hok = 1
                :: else
                fi;
                hi++
            :: else -> hi = 0; break
            od;
            hs = hl;
            recover();
            assert(hr || !hok)           /* D5: damage is not cut off */
        :: else
        fi;
        hl++
    :: else -> break
    od;
    hl = 0; hk = 0; hr = 0; hok = 0; hs = 0
}

inline append(s, v) {
    c = current;
    slot[s] = c; c = 0;
    d_step { assert(tail < LEN); a = tail; tail++ };
    d_step { assert(mem[a] == 0); mem[a] = v };
    slot[s] = 0
}

/* The record: reserved under the lock, which makes it one step with its number; written
 * inside the slot. */
inline reserve(s) {
    c = current;
    slot[s] = c; c = 0;
    d_step {
        assert(tail < LEN);
        t = tail; tail = UNTIL(t); u = tail; promised = u;
        rcom[t] = committed;
#ifdef DURABLE_PROMISED
        rdur[t] = u;
#elif defined(DURABLE_NONE)
        rdur[t] = 0;
#else
        rdur[t] = committed;
#endif
    };
    d_step {
        mem[t] = REC;
        if
        :: u == t + 2 -> mem[t + 1] = FILL
        :: else
        fi;
        t = 0
    };
    slot[s] = 0
}

/* Have everything below u written. */
inline flush(u) {
    atomic { flushing == 0 -> flushing = 1 };
#ifndef NO_BUMP
    if
    :: flushed * SU < u ->
        d_step { old = current; current++ };
        atomic { ALL_DRAINED -> old = 0 }
    :: else
    fi;
#endif
    do
    :: flushed * SU < u && !err ->
        if
        :: d_step {
                assert(state[flushed] == 0);  /* L5: never written again */
                disk[flushed * SU] = mem[flushed * SU];
                disk[flushed * SU + 1] = mem[flushed * SU + 1];
                state[flushed] = 1; flushed++;
                check()
            }
        :: nerr > 0 -> d_step { nerr--; err = 1 }
        fi
    :: else -> break
    od;
    flushing = 0
}

/* Have everything below u synced: wait for one that covers it, or make it. */
inline sync(u) {
    do
    :: err || synced * SU >= u -> break
    :: atomic { !err && synced * SU < u && !syncing ->
            syncing = 1; covers = flushed };
        if
        :: d_step {
                i = 0;
                do  /* what was written before it was submitted */
                :: i < covers -> state[i] = 2; i++
                :: else -> i = 0; break
                od;
#ifdef SYNC_LATE
                synced = flushed; syncing = 0;
#else
                synced = covers; syncing = 0;
#endif
                check()
            }
        :: nerr > 0 -> d_step {
                nerr--; i = 0;
                do  /* what it had to write is gone */
                :: i < NSEC && state[i] == 1 ->
                    state[i] = 0; disk[i*SU] = 0; disk[i*SU+1] = 0; i++
                :: i < NSEC && state[i] != 1 -> i++
                :: else -> i = 0; break
                od;
                syncing = 0;
#ifdef NO_LATCH
                synced = covers;         /* the next one would succeed */
#elif !defined(LATCH_LATE)
                err = 1;                 /* before anybody can begin another */
#endif
                check()
            }
#ifdef LATCH_LATE
            ; err = 1
#endif
        fi
    od
}

proctype client(byte s; byte na; byte nc)
{
    byte c, a, t, u, old, i, n, want;
    bit trusts;
    do
    :: na > 0 ->
        na--; n++;
        append(s, s * 8 + n);
        a = 0
    :: nc > 0 ->
        nc--; n++;
        append(s, s * 8 + n);
        want = a + 1; a = 0;
LEAD:
        atomic {
            if
            :: committed >= want || err -> goto SEEN
            :: committed < want && !err && leaders < K &&
               !(leaders != 0 && promised >= want) -> leaders++
#ifdef TRUST_LEADER
            /* a leader that covers it may still fail */
            :: committed < want && !err && leaders != 0 && promised >= want ->
                trusts = 1
#endif
            fi
        };
        if
        :: trusts -> assert(committed >= want); want = 0; trusts = 0; goto NEXT
        :: else
        fi;
        reserve(s);
        flush(u);
#ifndef NO_SYNC
        if
        :: !err -> sync(u)
        :: else
        fi;
#endif
        atomic {
            if
#ifdef NOT_MAX
            :: !err -> committed = u; check()
#else
            :: !err && u > committed -> committed = u; check()
            :: !err && u <= committed
#endif
            :: else
            fi;
            u = 0; leaders--
        };
        goto LEAD;
SEEN:
        if
        :: committed >= want -> want = 0
        :: else -> assert(err); want = 0; break  /* the latched error */
        fi;
NEXT:   skip
    :: na == 0 && nc == 0 -> break
    od
}

init {
    byte k;
    atomic {
        do
        :: k < NA -> run client(k, NAPP, 0); k++
        :: k >= NA && k < NA + NC -> run client(k, 0, NCOM); k++
        :: else -> break
        od;
        k = 0
    }
}
