/* SPDX-License-Identifier: MIT */
/*
 * cpr.pml - checkpoints while sessions work, and what recovery finds
 *
 * One statement is one atomic memory operation on shared words. d_step is used only for
 * fields that cannot change once published, for private records and for ghosts. Rules
 * carry the names that the code uses (E2, R4, C5 ...); N1 .. N8 are in README.md, with
 * all flags. Without flags this is the protocol as the code has it.
 */
#ifndef NS
#define NS 2            /* sessions */
#endif
#ifndef NOPS
#define NOPS 2          /* operations of a session */
#endif
#define NID (NS*NOPS)
#ifndef NREC
#define NREC 8          /* addresses 1 .. NREC-1 */
#endif
#ifndef SETT
#define SETT byte       /* a set of operations; -DSETT=short when NID > 8 */
#endif
#ifndef NCK
#ifdef FAIL
#define NCK 2           /* attempts at a checkpoint */
#else
#define NCK 1
#endif
#endif
#ifndef NMOVE
#define NMOVE 1         /* how often read_only moves */
#endif

#define UPS 1
#define RMW 2
#define DEL 3

/* the one global word: phase and version */
#define REST 0
#define PREP 1
#define INP 2                   /* IN_PROGRESS, WAIT_FLUSH and PERSIST */
#define G(p, v) ((v) * 4 + (p))
#define PHASE(g) ((g) % 4)
#define GVER(g) ((g) / 4)
#define V 3                     /* the first version that a checkpoint is taken of */

#define FIRST 3                 /* first address that is free at the start */

/* what a record keeps of a version: its low bits (C12; three values are enough here,
 * as only v-1, v and v+1 may be met between two fuzzy starts) */
#ifdef WRAP
#define LOW(v) ((v) % 3)
#else
#define LOW(v) (v)
#endif

/* ---- shared words ---- */
byte current = 1;               /* E1 */
byte slot[NS];                  /* 0 = idle */
#ifdef OLD
byte gs = G(INP, V);            /* the checkpoint before is not yet complete */
#else
byte gs = G(REST, V);
#endif
byte tail = FIRST;
byte ro = 2;                    /* read_only */
byte safe_ro = 2;               /* safe_read_only */
byte head = 2;                  /* address 1 is on the device, 2 is in memory */
byte closed = 2;                /* frames below are free */
byte entry = 2;                 /* the one index entry: both keys have the same tag */
byte fuzzy = FIRST;             /* fuzzy start of the newest checkpoint */

/* ---- words of a session ---- */
byte serial[NS];
byte ver[NS];
byte cserial[NS];               /* its serial at the last switch of versions */
bit  pend[NS];                  /* one update with a serial waits for the device */
byte pend_id[NS];
byte pend_at[NS];               /* the address that is read for it */
bit  pkey[NS];
bit  reg[NS];                   /* it is listed */

/* ---- records ---- */
bit  r_key[NREC];
byte r_ver[NREC];
byte r_prev[NREC];
bit  r_tomb[NREC];
bit  r_inval[NREC];
bit  r_sealed[NREC];
bit  r_lock[NREC];
bit  r_written[NREC];           /* the header is not zero */
byte r_base[NREC];              /* 1 + id of the last upsert or delete, 0 = none */
SETT r_set[NREC];               /* ids of the RMWs after it */

byte nstopped;

/* C12: only at or above the fuzzy start the bits of a version mean anything */
#ifdef NO_FUZZY
#define IS_NEW(a, v) (r_ver[a] == LOW((v) + 1))
#else
#define IS_NEW(a, v) (a >= fuzzy && r_ver[a] == LOW((v) + 1))
#endif
/* C6, C9: a record that a checkpoint of v is made of */
#ifdef KEEP_NEW
#define COUNTS(a, v) (!r_inval[a])
#else
#define COUNTS(a, v) (!r_inval[a] && !IS_NEW(a, v))
#endif

/* C6: what a delta does not have, because its version is not above the base's */
#ifdef DELTA
#define FROM_BASE(a) (r_ver[a] == LOW(V - 1))
#else
#define FROM_BASE(a) 0
#endif

#include "cpr_claims.pml"

/* ---- epochs ---- */
#define DRAINED(i, old) (slot[i] == 0 || slot[i] > old)
#if NS == 1
#define ALL_DRAINED(old) DRAINED(0, old)
#elif NS == 2
#define ALL_DRAINED(old) (DRAINED(0, old) && DRAINED(1, old))
#else
#define ALL_DRAINED(old) (DRAINED(0, old) && DRAINED(1, old) && DRAINED(2, old))
#endif
inline bump_wait(old, i) {
    d_step { old = current; current++ };            /* E3: fetch_add */
#ifdef SLOTWISE
    i = 0;
    do
    :: i < NS -> atomic { DRAINED(i, old) -> i++ }  /* one slot a step */
    :: else -> i = 0; old = 0; break
    od
#else
    atomic { ALL_DRAINED(old) -> old = 0 }          /* epoch.pml checks the scan */
#endif
}

/* ---- one attempt of an operation, inside slot s at version myv ----
 * rc: 0 done, 1 RETRY (an own pending update first), 2 RETRY (not in PREPARE),
 *     3 became pending, 4 the model's space is used up, 5 met a newer version (C2),
 *     6 helped meanwhile, 7 must be read again */
#ifdef DROP_C2
#define NEWER(a) 0
#else
#define NEWER(a) (PHASE(g) == PREP && IS_NEW(a, myv))
#endif
#ifdef DROP_C3
#define INPLACE(a) (a >= MYRO)
#else
#ifdef RESTAMP_ANYPHASE
#define RESTAMPS 1
#else
#define RESTAMPS (PHASE(g) == REST)
#endif
/* R2, C3 */
#ifdef NO_FUZZY
#define OWN(a) (r_ver[a] == LOW(myv))
#else
#define OWN(a) (r_ver[a] == LOW(myv) && (PHASE(g) == PREP || a >= fuzzy))
#endif
#define INPLACE(a) (a >= MYRO && (RESTAMPS || OWN(a)))
#endif
#ifdef NO_TOMB_LOCK
#define NEEDLOCK (kind == RMW && !r_tomb[a])
#else
#define NEEDLOCK (kind == RMW)                      /* N8 */
#endif
#ifdef NO_MOVE
#ifndef FOLD
#define STILL                                       /* read_only never moves */
#endif
#endif
#ifdef STILL
#define MYRO 2
#else
#define MYRO myro
#endif
#ifdef EVICT
#define MYHEAD myhead
#define IN_MEMORY(a) assert(a >= closed)
#else
#define MYHEAD 2
#define IN_MEMORY(a) skip
#endif
#ifdef REUSE
#ifdef REUSE_ANY
#define SPARE_OK (spare != 0)
#else
#define SPARE_OK (spare != 0 && spare > e && spare >= MYRO)   /* N5 */
#endif
#else
#define SPARE_OK (0)                                /* R3: never */
#endif
/* the phase may change records' versions under the walk: one record a step */
#ifdef OLD
#define STEPWISE
#endif
#ifdef FAIL
#define STEPWISE
#endif
#if NCK > 1
#define STEPWISE
#endif

inline value(k) {  /* what operation id makes of (b, st) */
    if
    :: kind == RMW -> r_base[k] = b; r_set[k] = st | (1 << id); r_tomb[k] = 0
    :: kind == UPS -> r_base[k] = id + 1; r_set[k] = 0; r_tomb[k] = 0
    :: kind == DEL -> r_base[k] = id + 1; r_set[k] = 0; r_tomb[k] = 1
    fi
}

/* the value that the device has for the key, from address a downwards */
inline read_device(from) {
    ha = from;
    do
    :: ha == 0 -> break
    :: ha != 0 && !r_inval[ha] && r_key[ha] == key -> break
    :: else -> ha = r_prev[ha]
    od;
    b = (ha == 0 -> 0 : r_base[ha]);
    st = (ha == 0 -> 0 : r_set[ha]);
    ha = 0
}

inline attempt() {
    locked = 0;
LOOK:
    e = entry;                                      /* then fields that never change */
#ifdef STEPWISE
    {
#else
    d_step {
#endif
        a = e; res = 0;
        do
        :: a == 0 -> break
        :: a != 0 && a < MYHEAD -> res = 1; break
        :: a >= MYHEAD && NEWER(a) -> res = 3; break
        :: a >= MYHEAD && !NEWER(a) && r_key[a] == key ->
            IN_MEMORY(a); res = 2; break
        :: a >= MYHEAD && !NEWER(a) && r_key[a] != key -> IN_MEMORY(a); a = r_prev[a]
        od
    };
    locked = 0;
    if
    :: res == 3 -> rc = 5; goto OUT
#ifdef MERGE
    :: res == 2 && INPLACE(a) ->
        atomic {
            r_lock[a] == 0 -> IN_MEMORY(a);
            if
            :: r_sealed[a] -> goto LOOK
            :: else
            fi;
            assert(a >= safe_ro);
            assert(THAWED(a));
            r_ver[a] = LOW(myv);
            b = r_base[a]; st = r_set[a];
            effect(id, myv);
            value(a);
            rc = 0; goto OUT
        }
    :: res == 2 && !INPLACE(a) && NEEDLOCK ->
        atomic {
            if
            :: a >= safe_ro ->
                r_lock[a] == 0 -> IN_MEMORY(a);
                if
                :: r_sealed[a] -> goto LOOK
                :: else -> r_lock[a] = 1; locked = 1
                fi
            :: else -> IN_MEMORY(a)
            fi;
            b = r_base[a]; st = r_set[a]
        }
#else
    :: res == 2 && INPLACE(a) ->
#ifndef DROP_LOCK
        atomic { r_lock[a] == 0 -> IN_MEMORY(a); r_lock[a] = 1 };
#endif
        if
        :: r_sealed[a] -> r_lock[a] = 0; goto LOOK
        :: else
        fi;
#ifndef RESTAMP_NOSTAMP
        if
        :: r_ver[a] != LOW(myv) ->                  /* R2: before the value */
            atomic { assert(THAWED(a)); r_ver[a] = LOW(myv) }
        :: else
        fi;
#endif
        d_step { b = r_base[a]; st = r_set[a] };    /* read under the lock */
        atomic {
            assert(a >= safe_ro);                   /* R6 */
            assert(THAWED(a));
            effect(id, myv);
            value(a);
            b = 0; st = 0
        };
        r_lock[a] = 0;
        rc = 0; goto OUT
    :: res == 2 && !INPLACE(a) && NEEDLOCK ->
        if
        :: a >= safe_ro ->                          /* R4 */
#ifndef DROP_LOCK
            atomic { r_lock[a] == 0 -> IN_MEMORY(a); r_lock[a] = 1 }; locked = 1;
#endif
            if
            :: r_sealed[a] -> r_lock[a] = 0; goto LOOK
            :: else
            fi
        :: else
        fi;
        d_step { IN_MEMORY(a); b = r_base[a]; st = r_set[a] }
#endif
    :: res == 2 && !INPLACE(a) && !NEEDLOCK ->
#ifdef NO_TOMB_LOCK
        d_step { b = r_base[a]; st = r_set[a] }
#else
        skip
#endif
    :: res == 1 && kind == RMW && !ispend ->        /* the record is on the device */
#ifndef NO_DEFER
        if
        :: PHASE(g) == PREP -> rc = 2; goto OUT  /* N1: no serial, the FIFO's front */
        :: else
        fi;
#endif
        if
        :: pend[s] -> rc = 1; goto OUT
        :: else
        fi;
        d_step { pend_id[s] = id; pkey[s] = key; pend_at[s] = a };
        pend[s] = 1;
        rc = 3; goto OUT
    :: res == 1 && kind == RMW && ispend ->
#ifndef READ_STALE
        if
        :: pend_at[s] != a -> pend_at[s] = a; rc = 7; goto OUT  /* evicted meanwhile */
        :: else
        fi;
#endif
        d_step { read_device(pend_at[s]) }
    :: res == 1 && kind != RMW -> b = 0; st = 0
    :: res == 0 -> b = 0; st = 0
    fi;
    /* R3: append */
    if
    :: SPARE_OK -> nr = spare; spare = 0
    :: else ->
        spare = 0;
        d_step {
            if
            :: tail < NREC -> nr = tail; tail++
            :: else -> nr = 0
            fi
        }
    fi;
    if
    :: nr == 0 ->
        if
        :: locked -> r_lock[a] = 0
        :: else
        fi;
        rc = 4; goto OUT
    :: else
    fi;
    d_step {                                        /* private until published */
        assert(nr >= safe_ro);                      /* R6 */
        assert(nr >= frozen || myv > capver);
        r_key[nr] = key; r_ver[nr] = LOW(myv); r_prev[nr] = e;
        r_inval[nr] = 0; r_written[nr] = 1;
        value(nr)
    };
    atomic {                                        /* CAS of the entry */
        if
        :: entry == e -> entry = nr; res = 1; effect(id, myv);
#ifdef MERGE
            if
            :: locked -> r_sealed[a] = 1; r_lock[a] = 0; locked = 0
            :: else
            fi
#endif
        :: else -> res = 0
        fi;
        b = 0; st = 0
    };
    if
    :: res == 1 ->
        if
        :: locked ->
#ifndef DROP_SEAL
            r_sealed[a] = 1;
#endif
            r_lock[a] = 0
        :: else
        fi;
        nr = 0; rc = 0
    :: else ->
#ifndef LEAVE_VALID
        /* R3: before the slot is left */
        atomic { assert(THAWED(nr)); r_inval[nr] = 1 };
#endif
#ifdef REUSE
        spare = nr;
#endif
        nr = 0;
        if
        :: locked -> r_lock[a] = 0
        :: else
        fi;
        goto LOOK
    fi;
OUT:
    locked = 0;
    d_step { e = 0; a = 0; res = 0; b = 0; st = 0; nr = 0 }
}

#ifdef ONLY_KINDS
#define CHOOSE_KIND ONLY_KINDS
#else
#define CHOOSE_KIND :: kind = UPS :: kind = RMW :: kind = DEL
#endif
#ifdef ONEKEY
#define CHOOSE_KEY :: key = ONEKEY
#else
#define CHOOSE_KEY :: key = 0 :: key = 1
#endif

proctype session(byte s; byte late)
{
    byte e, a, nr, b, rc, res, myro, myhead, myv, c, g, n, id, kind, oid, okind, spare;
    SETT st;
    bit key, okey, locked, ispend, have;
    byte retry;

    if
    :: late -> g = gs; ver[s] = GVER(g); reg[s] = 1; g = 0  /* C5: at any moment */
    :: else
    fi;
MAIN:
    if
    :: !have && n < NOPS ->
        atomic {
            if
            CHOOSE_KIND
            fi;
            if
            CHOOSE_KEY
            fi;
            oid = s * NOPS + n; okind = kind; okey = key; have = 1; n++; retry = 0;
            opkind[oid] = okind; opkey[oid] = okey;
            begin();
            ispend = 0; id = oid
        }
    :: atomic { have && retry == 0 -> ispend = 0; id = oid; kind = okind; key = okey }
    :: atomic { pend[s] -> ispend = 1; id = pend_id[s]; kind = RMW; key = pkey[s] }
    :: atomic { have && retry == 1 && !pend[s] -> retry = 0 }; goto MAIN
    :: atomic { have && retry == 2 && PHASE(gs) != PREP -> retry = 0 }; goto MAIN
#ifdef NO_STOP
    :: !have && n == NOPS && !pend[s] -> goto STOP
#else
    :: goto STOP                                    /* the session never comes back */
#endif
    fi;
#ifdef SERIAL_EARLY
    if
    :: !ispend && serial[s] == n - 1 -> serial[s] = n
    :: else
    fi;
#endif
ENTER:
#ifdef STATE_BEFORE_CAS
    g = gs;
#endif
#ifndef MERGE
    c = current;
#endif
    atomic {                                        /* E2 */
#ifdef MERGE
        c = current;
#endif
        if
#ifdef BLIND_ENTRY
        :: true -> slot[s] = c; c = 0; assert(inside[s] == 0); inside[s] = 1
#else
        :: slot[s] == 0 -> slot[s] = c; c = 0; assert(inside[s] == 0); inside[s] = 1
        :: else -> c = 0; assert(inside[s] == 2); slot[s] == 0; goto ENTER  /* N3 */
#endif
        fi
    };
REFRESHED:
#ifndef STATE_BEFORE_CAS
    g = gs;
#endif
#ifndef STILL
    myro = ro;
#endif
#ifdef EVICT
    myhead = head;
#endif
    if
    :: ispend && !pend[s] -> rc = 6; goto LEAVE     /* helped meanwhile */
    :: else
    fi;
    if
    :: GVER(g) > ver[s] ->                          /* C1 */
        assert(!pend[s]);                           /* N1 sees to that */
#ifdef SWITCH_ORDER
        ver[s] = GVER(g);
        cserial[s] = serial[s]
#else
        cserial[s] = serial[s];
        ver[s] = GVER(g)
#endif
    :: else
    fi;
    myv = ver[s];
#ifndef NO_PEND_ORDER
    if
    :: !ispend && pend[s] && pkey[s] == key -> rc = 1; goto LEAVE   /* N4 */
    :: else
    fi;
#endif
    attempt();
    if
    :: rc == 5 ->
        assert(!ispend);  /* a pending update of v can go on */
        c = current; slot[s] = c; c = 0;            /* refresh */
        g = gs;
        assert(GVER(g) > ver[s]);
        goto REFRESHED
    :: else
    fi;
    if
    :: rc == 0 && ispend -> pend[s] = 0
    :: (rc == 0 || rc == 3) && !ispend ->
#ifndef SERIAL_EARLY
        serial[s] = n;                              /* N2: when done or pending */
#endif
        have = 0
    :: else
    fi;
LEAVE:
    atomic {
        if
        :: rc == 0 -> donemask = donemask | (1 << id)
        :: rc == 1 || rc == 2 -> retry = rc
        :: else
        fi;
        assert(inside[s] == 1); inside[s] = 0;
        slot[s] = 0;
        g = 0; myro = 0; myhead = 0; myv = 0; id = 0; kind = 0; key = 0; ispend = 0
    };
    if
    :: rc == 4 -> rc = 0; goto STOP
    :: else -> rc = 0; goto MAIN
    fi;
STOP:
    atomic {
        nstopped++;
        e = 0; n = 0; have = 0; retry = 0; oid = 0; okind = 0; okey = 0;
        spare = 0; rc = 0
    }
}

#ifdef FAIL
#define MAY_FAIL if :: nfail > 0 -> nfail--; goto FAILED :: true fi
#else
#define MAY_FAIL skip
#endif

/* C4: completes the pending updates of sessions that do nothing */
inline drain() {
    s = 0;
    do
    :: s < NS ->
        if
        :: pend[s] == 0 -> s++
        :: else ->
            MAY_FAIL;
            c = current;
            atomic {
                if
                :: slot[s] == 0 ->
                    slot[s] = c; assert(inside[s] == 0); inside[s] = 2; res = 1
                :: else -> res = 0; (slot[s] == 0 || pend[s] == 0)
                fi;
                c = 0
            };
            if
            :: res == 1 ->
                res = 0;
                if
#ifdef HELP_NO_RECHECK
                :: true ->
#else
                :: pend[s] ->
#endif
                    atomic { id = pend_id[s]; key = pkey[s]; kind = RMW; ispend = 1 };
                    g = gs; myv = ver[s];
#ifndef STILL
                    myro = ro;
#endif
#ifdef EVICT
                    myhead = head;
#endif
                    attempt();
                    if
                    :: rc == 4 -> goto NOSPACE
                    :: rc == 7 -> ispend = 0
                    :: else -> assert(rc == 0); pend[s] = 0
                    fi
                :: else
                fi;
                atomic {
                    if
                    :: ispend -> donemask = donemask | (1 << id)
                    :: else
                    fi;
                    assert(inside[s] == 2); inside[s] = 0;
                    slot[s] = 0; rc = 0;
                    id = 0; key = 0; kind = 0; ispend = 0;
                    g = 0; myro = 0; myhead = 0; myv = 0
                }
            :: else
            fi
        fi
    :: else -> s = 0; break
    od
}

/* C5: the commit points, as one set of operations */
inline capture_serials() {
    s = 0;
    do
    :: s < NS ->
        if
        :: reg[s] ->
#ifdef SWAP_C5
            vr = ver[s];
            sr = serial[s];
#else
            sr = serial[s];
            vr = ver[s];
#endif
            if
            :: vr <= v                              /* it has not switched */
            :: else -> sr = cserial[s]
            fi
        :: else -> sr = 0
        fi;
        atomic {
            hx = 0;
            do
            :: hx < sr -> st = st | (1 << (s * NOPS + hx)); hx++
            :: else -> break
            od;
            hx = 0; sr = 0; vr = 0
        };
        s++
    :: else -> s = 0; break
    od
}

proctype coordinator()
{
    byte e, a, nr, b, rc, res, myro, myhead, myv, c, g, id, kind, spare;
    byte s, old, i, v, final, sr, vr, istart, isnap, n, nfail;
    SETT st;
    bit key, locked, ispend;

#ifdef FAIL
    nfail = 1;
#endif
NEXT:
    n++;
    v = GVER(gs);
#ifdef OLD
    gs = G(REST, v);                                /* the checkpoint before ends */
#endif
    istart = 1; isnap = 0;
#ifdef INDEX
    istart = tail;                                  /* C11: in a phase of its own */
#ifndef INDEX_NO_BUMP
    bump_wait(old, i);                              /* N7 */
#endif
#ifndef INDEX_LATE
    isnap = entry;
#endif
#endif
#ifndef NO_PREPARE
    gs = G(PREP, v);                                /* N1 */
    MAY_FAIL;
#ifndef NO_PREP_BUMP
    bump_wait(old, i);
#endif
#ifndef NO_DRAIN
    drain();
#endif
#endif
    MAY_FAIL;
#ifndef LATE_FUZZY
    fuzzy = tail;
#endif
    gs = G(INP, v + 1);                             /* C4 */
#ifdef LATE_FUZZY
    fuzzy = tail;
#endif
    MAY_FAIL;
#ifndef NO_BUMP
    bump_wait(old, i);
#endif
    final = tail;
#ifdef INDEX_LATE
    isnap = entry;
#endif
    MAY_FAIL;
#ifdef NO_QUIESCE
    d_step { frozen = final; capver = v };
#else
    d_step { old = current; current++ };  /* N6: no header below is still zero */
    atomic { ALL_DRAINED(old) -> old = 0; frozen = final; capver = v };
#endif
    capture_serials();
#ifdef FOLD
    atomic { if :: final > ro -> ro = final :: else fi };  /* C6: the log is the file */
    bump_wait(old, i);
    d_step { if :: final > safe_ro -> safe_ro = final :: else fi };
#endif
    MAY_FAIL;
    atomic {  /* the files, and recovery from them */
        assert((st & ~effmask) == 0);
        assert(isnap < final);
        recovered(v, isnap, istart, final, st);
#ifdef REST_EARLY
        skip
    };
    gs = G(REST, v + 1);  /* C7: before the files are complete */
    atomic {
#endif
        st = 0; final = 0; istart = 0; isnap = 0; frozen = 0
    };
    gs = G(REST, v + 1);
#ifdef FAIL
    goto ENDED;
FAILED:                                             /* C8 */
    atomic {
        frozen = 0; s = 0; st = 0; final = 0; istart = 0; isnap = 0;
        if
#ifdef BACK
        :: true -> gs = G(REST, v)
#else
        :: PHASE(gs) == PREP -> gs = G(REST, v)
        :: else -> gs = G(REST, v + 1)
#endif
        fi
    };
ENDED:
#endif
    v = 0;
    if
    :: n < NCK -> goto NEXT
    :: else
    fi;
    atomic { nstopped == NS; live() };
    goto DONE;
NOSPACE:                                            /* the model's space is used up */
    atomic { inside[s] = 0; slot[s] = 0 };
DONE: skip
}

/* R6, L2: read_only moves, safe_read_only lags until every slot has passed the bump;
 * then what lies below may be written, and head follows in the same way */
proctype mover()
{
    byte t, old, i, n;
    do
    :: n < NMOVE ->
        n++;
        t = tail;
        d_step { if :: t > ro -> ro = t :: else fi };
#ifndef NO_LAG
        bump_wait(old, i);
#endif
        d_step { if :: t > safe_ro -> safe_ro = t :: else fi };
#ifdef EVICT
        head = t;
#ifndef NO_HEAD_BUMP
        bump_wait(old, i);
#endif
        closed = t;
#endif
        t = 0
    :: else -> break
    od
}

init {
    byte i;
    atomic {
        r_key[1] = 1; r_written[1] = 1;             /* key 1: on the device */
        r_key[2] = 0; r_written[2] = 1; r_prev[2] = 1;      /* key 0: in memory */
        r_ver[1] = LOW(V); r_ver[2] = LOW(V);
#ifdef OLD
        r_ver[1] = LOW(V - 1); r_ver[2] = LOW(V - 1);
#endif
#ifdef WRAP
        r_ver[1] = LOW(V + 1); r_ver[2] = LOW(V + 1);       /* their bits say v+1 */
#endif
#ifdef INIT_TOMB
        r_tomb[2] = 1;
#endif
        i = 0;
        do
        :: i < NS ->
            if
#ifdef LATE
            :: i == NS-1 -> run session(i, 1)
#endif
#ifdef LAG
            :: i == 0 -> ver[i] = V - 1; reg[i] = 1; run session(i, 0)
#endif
            :: else -> ver[i] = V; reg[i] = 1; run session(i, 0)
            fi;
            i++
        :: else -> break
        od;
        i = 0;
#ifndef NO_MOVE
        run mover();
#endif
        run coordinator()
    }
}
