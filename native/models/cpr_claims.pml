/* SPDX-License-Identifier: MIT */
/*
 * What cpr.pml claims: ghosts, and the judge of a recovered or a live state.
 *
 * A value is (last upsert or delete, set of the RMWs after it), so that it names the
 * operations it is made of. `before[x]` is every operation that was complete when x
 * began, and every earlier one of the same session (flag SESSION_ORDER: only these).
 * Ghosts are written in the same step as the word they watch and guide nothing.
 */
SETT donemask, effmask;  /* operations that are complete, that have had their effect */
SETT before[NID];               /* operations that must precede this one */
byte opkind[NID];
bit  opkey[NID];
byte inside[NS];  /* 0 nobody, 1 the session's thread, 2 the coordinator */
byte capver;                    /* newest version that has been captured */
byte frozen;                    /* while files are written: their final, otherwise 0 */

hidden byte hx, ha, hk, hbase, hbest;
hidden SETT hset;
hidden byte htomb;

/* Is value (B,R,T) of key K what exactly the operations S leave, in some order that
 * respects before[]? */
inline explain(K, S, B, R, T) {
    assert(B == 0 || (S & (1 << (B-1))));
    assert((R & ~S) == 0);
    hx = 0;
    do
    :: hx < NID ->
        if
        :: (S & (1 << hx)) && opkey[hx] == K ->
            if
            :: opkind[hx] == RMW && (R & (1 << hx)) ->
                assert(B == 0 || !(before[B-1] & (1 << hx)))
            :: opkind[hx] == RMW && !(R & (1 << hx)) ->
                assert(B != 0);                     /* otherwise a lost RMW */
                assert(!(before[hx] & (1 << (B-1))));
                assert(!(before[hx] & R))
            :: opkind[hx] != RMW ->
                assert(B != 0);  /* otherwise a lost upsert, delete */
                if
                :: hx != B-1 ->
                    assert(!(before[hx] & (1 << (B-1))));
                    assert(!(before[hx] & R))
                :: else
                fi
            fi
        :: else
        fi;
        hx++
    :: else -> break
    od;
#ifdef INIT_TOMB
    assert(T == (B == 0 && R == 0 && K == 0
        || B != 0 && opkind[(B == 0 -> 0 : B-1)] == DEL && R == 0));
#else
    assert(T == (B != 0 && opkind[(B == 0 -> 0 : B-1)] == DEL && R == 0));
#endif
    hx = 0
}

/* The effect of operation id at version v: once, and never behind a capture. */
inline effect(id, v) {
    assert(!(effmask & (1 << id)));
    effmask = effmask | (1 << id);
    assert(v > capver)
}

/* Record a is about to change: what files are being made of stands still. */
#define THAWED(a) (frozen == 0 || a >= frozen || IS_NEW(a, capver))

/* The operations that must precede operation `oid`, which begins now. */
inline begin() {
#ifndef SESSION_ORDER
    before[oid] = donemask;
#endif
    hx = s * NOPS;
    do
    :: hx < oid -> before[oid] = before[oid] | (1 << hx); hx++
    :: else -> break
    od;
    hx = 0
}

/* Replay takes the highest address of the tag, in whatever order it walks. */
#ifdef REPLAY_FIRST
#define HIGHER(a) (hbest == copy)
#else
#define HIGHER(a) (a > hbest)
#endif

/* C9: what recovery to version v finds, from the index copy and the records of
 * [start, last), is exactly the operations S. */
inline recovered(v, copy, start, last, S) {
    hbest = copy; ha = start;
    do
    :: ha < last ->
        if
        /* zero header: the end of the page */
        :: ha >= FIRST && !r_written[ha] -> break
        :: else
        fi;
        if
        /* the highest address of the tag */
        :: COUNTS(ha, v) && HIGHER(ha) -> hbest = ha
        :: else
        fi;
        ha++
    :: else -> break
    od;
    hk = 0;
    do
    :: hk < 2 ->
        ha = hbest;
        do
        :: ha == 0 -> break
        :: ha != 0 && COUNTS(ha, v) && r_key[ha] == hk -> break
        :: else -> ha = r_prev[ha]
        od;
        if
        :: ha == 0 || FROM_BASE(ha) -> hbase = 0; hset = 0; htomb = 0
        :: else -> hbase = r_base[ha]; hset = r_set[ha]; htomb = r_tomb[ha]
        fi;
        explain(hk, S, hbase, hset, htomb);
        hk++
    :: else -> break
    od;
    hk = 0; ha = 0; hbase = 0; hset = 0; htomb = 0; hbest = 0
}

/* The live store is the result of all operations. */
inline live() {
    hk = 0;
    do
    :: hk < 2 ->
        ha = entry;
        do
        :: ha == 0 -> break
        :: ha != 0 && r_key[ha] == hk -> break
        :: else -> assert(!r_inval[ha]); ha = r_prev[ha]
        od;
        assert(ha == 0 || !r_inval[ha]);
        if
        :: ha == 0 -> hbase = 0; hset = 0; htomb = 0
        :: else -> hbase = r_base[ha]; hset = r_set[ha]; htomb = r_tomb[ha]
        fi;
        explain(hk, effmask, hbase, hset, htomb);
        hk++
    :: else -> break
    od;
    hk = 0; ha = 0; hbase = 0; hset = 0; htomb = 0
}
