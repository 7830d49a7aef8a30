/* SPDX-License-Identifier: MIT */
/*
 * The checkpoint, for cpr.pml: who drives it (C4 .. C9, C11), and who moves read_only
 * and head beside it (R6, L2).
 */
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
    atomic { old = current; current++ };  /* N6: no header below is still zero */
    atomic { ALL_DRAINED(old) -> old = 0; frozen = final; capver = v };
#endif
    capture_serials();
#ifdef FOLD
    atomic { if :: final > ro -> ro = final :: else fi };  /* C6: the log is the file */
    bump_wait(old, i);
    atomic { if :: final > safe_ro -> safe_ro = final :: else fi };
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
        atomic { if :: t > safe_ro -> safe_ro = t :: else fi };
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
