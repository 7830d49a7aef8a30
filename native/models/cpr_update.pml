/* SPDX-License-Identifier: MIT */
/*
 * One attempt of an operation, for cpr.pml: the lookup, in place, copy, append (R2, R3,
 * R4), and what a session does that meets a newer version (C2).
 */
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
#ifdef EVICT
#define MOVE
#endif
#ifndef MOVE
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
