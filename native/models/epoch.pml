/* SPDX-License-Identifier: MIT */
/*
 * epoch.pml - rules E2 and E3: entering by one CAS of the slot, bumps, actions, refresh
 *
 * A thread loads `current`, may sleep for any time, and swaps its slot from 0 to that
 * (then stale) value. Bumps run meanwhile. The claim: an action of a bump never runs
 * while a thread works with shared state that it read before the bump's store.
 *
 * Not a mutation: CACHED (one cached bound for all actions), RECHECK (the entry repeats
 *     when `current` has moved; shows that it changes nothing)
 * Mutations:
 *     STATE_BEFORE_CAS     the thread reads the guarded state before its slot's CAS
 *     STORE_AFTER_BUMP     the bump comes before the store of the new state
 *     BOUND_AFTER_SCAN     a cached safe epoch takes its bound (current) after the scan
 *     REFRESH_STATE_FIRST  a refresh reads the state before it stores its slot
 *     NO_POLL              only threads that leave run due actions, and the scan may
 *                          pass the store: the lost wake-up
 */
#ifndef NT
#define NT 2
#endif
#ifndef NB
#define NB 2                    /* bumps */
#endif
#ifndef NE
#define NE 2                    /* entries per thread */
#endif
byte current = 1;
byte slot[NT];
byte state;                     /* guarded: phase, read_only, head, table pointer ... */
byte due[NB];                   /* epoch bumped from, 0 = not queued */
bit  claimed[NB], ran[NB];
byte using[NT];                 /* ghost: 1 + state value in use, 0 = none */
byte safe;                      /* cached safe epoch (only BOUND_AFTER_SCAN / CACHED) */
byte ended;

/* an action that makes everything older than state value k+1 unusable */
inline act(k) {
    atomic {
        ran[k] = 1;
        tt = 0;
        do
        :: tt < NT -> assert(using[tt] == 0 || using[tt] - 1 > k); tt++
        :: else -> tt = 0; break
        od
    }
}

inline run_due() {
    k = 0;
    do
    :: k < NB ->
        d = due[k];
        if
        :: d != 0 && !claimed[k] ->
            ok = 1; j = 0;
            do
            :: j < NT -> v = slot[j]; if :: v != 0 && v <= d -> ok = 0 :: else fi; j++
            :: else -> j = 0; break
            od;
            if
            :: ok ->
                /* exactly once */
                atomic { if :: !claimed[k] -> claimed[k] = 1 :: else -> ok = 0 fi };
                if :: ok -> act(k) :: else fi
            :: else
            fi
        :: else
        fi;
        k++
    :: else -> break
    od;
    k = 0; d = 0; v = 0; ok = 0
}

/* the same with one cached bound for all actions */
inline run_due_cached() {
    d = 255; j = 0;
#ifndef BOUND_AFTER_SCAN
    m = current - 1;                            /* bound first */
#endif
    do
    :: j < NT -> v = slot[j]; if :: v != 0 && v - 1 < d -> d = v - 1 :: else fi; j++
    :: else -> j = 0; break
    od;
#ifdef BOUND_AFTER_SCAN
    m = current - 1;
#endif
    if :: m < d -> d = m :: else fi;
    atomic { if :: d > safe -> safe = d :: else fi };   /* monotonic */
    k = 0;
    do
    :: k < NB ->
        atomic {
            if
            :: due[k] != 0 && !claimed[k] && due[k] <= safe -> claimed[k] = 1; ok = 1
            :: else -> ok = 0
            fi
        };
        if :: ok -> act(k) :: else fi;
        k++
    :: else -> break
    od;
    k = 0; d = 0; v = 0; ok = 0; m = 0
}
#ifdef BOUND_AFTER_SCAN
#define CACHED
#endif
#ifdef CACHED
#define RUN_DUE run_due_cached()
#else
#define RUN_DUE run_due()
#endif

proctype thread(byte me)
{
    byte c, g, n, k, d, j, v, tt, m, ok;
    do
    :: n < NE ->
        n++;
#ifdef STATE_BEFORE_CAS
        g = state;
#endif
        c = current;
AGAIN:  atomic { assert(slot[me] == 0); slot[me] = c };  /* CAS; c may be stale */
#ifdef RECHECK
        if :: current != c -> slot[me] = 0; c = current; goto AGAIN :: else fi;
#endif
#ifndef STATE_BEFORE_CAS
        g = state;
#endif
        using[me] = g + 1;
        /* ... the operation works with g ... */
        if
        :: using[me] = 0;            /* refresh: drop, slot, then read */
#ifdef REFRESH_STATE_FIRST
           g = state; using[me] = g + 1;
           c = current; slot[me] = c
#else
           c = current; slot[me] = c;
           g = state; using[me] = g + 1
#endif
        :: true
        fi;
        using[me] = 0;
#ifdef NO_POLL
        /* the scan of the other slots may be done before the store of 0 is seen */
        if
        :: slot[me] = 0; RUN_DUE
        :: ok = 1; j = 0;
           do
           :: j < NT ->
              v = slot[j];
              if :: j != me && v != 0 && v <= due[0] -> ok = 0 :: else fi;
              j++
           :: else -> j = 0; v = 0; break
           od;
           slot[me] = 0;
           if :: ok && due[0] != 0 -> RUN_DUE :: else fi
        fi;
#else
        slot[me] = 0;
        RUN_DUE;
#endif
        c = 0; g = 0
    :: else -> break
    od;
    ended++
}

proctype bumper(byte b)
{
    byte k, d, j, v, tt, m, ok, old;
#ifdef STORE_AFTER_BUMP
    d_step { old = current; current++ };
    state = b + 1;
#else
    (state == b);               /* bumps follow one another */
    state = b + 1;
    d_step { old = current; current++ };
#endif
    due[b] = old; old = 0;
#ifdef NO_POLL
    RUN_DUE;
    (ran[b] == 1)               /* waits, does not look itself */
#else
    do
    :: ran[b] -> break
    :: !ran[b] -> RUN_DUE
    od
#endif
}

init {
    byte i;
    atomic {
        i = 0;
        do :: i < NT -> run thread(i); i++ :: else -> break od;
        i = 0;
        do :: i < NB -> run bumper(i); i++ :: else -> break od;
        i = 0
    }
}
