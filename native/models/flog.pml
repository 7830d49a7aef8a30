/* SPDX-License-Identifier: MIT */
/*
 * flog.pml - the durable log's commit (D1, D3)
 *
 * Clients 0 .. NA-1 append, clients NA .. NA+NC-1 commit. An entry is one unit, a
 * sector SU units. One worker flushes, syncs, writes the slot (or, with RECORD, a
 * commit record inside the log), publishes `committed` and wakes waiters; concurrent
 * commits merge in `req`. The device has a volatile cache: a write that is not synced
 * may be absent, present or torn after a crash; a failed sync drops what it had to
 * write and the next one succeeds. check() looks at every image that a crash could
 * leave; it runs in the step of each change of device, slot or `committed`, so a crash
 * needs no step of its own.
 *
 * Mutations: NO_BUMP ACK_EARLY SINGLE_SLOT NO_FILL SLOT_EARLY LAST_REQ NO_LATCH
 *     WAIT_RACE WAKE_TRUST RESERVE_OUT; with RECORD also REC_NO_BUMP REC_NO_PAD
 *     REC_SHORT
 * Not a mutation: REC_ONE_SYNC (one sync for data and record)
 */
#ifndef NA
#define NA 2            /* appenders */
#endif
#ifndef NC
#define NC 1            /* committers */
#endif
#ifndef NAPP
#define NAPP 2          /* entries per appender */
#endif
#ifndef NCOM
#define NCOM 1          /* commits per committer */
#endif
#ifndef ACOM
#define ACOM 0          /* commits per appender, anywhere between its entries */
#endif
#ifndef NERR
#define NERR 1          /* device errors */
#endif
#ifndef NSEC
#define NSEC 5
#endif
#define SU 2
#define LEN (NSEC*SU)
#define NT (NA+NC+1)    /* slots; the last is the worker's */
#define FILL 100
#define CREC 101

byte current = 1;
byte slot[NT];
byte tail;
byte mem[LEN];          /* 0 = reserved or free */
byte req;               /* merged commit request */
byte committed;         /* published = acknowledged */
bit  err;               /* D3: latched */
byte nerr = NERR;
byte waiting[NT];       /* 0, or the address waited for */
bit  wake[NT];

/* device */
byte cache[LEN];        /* last write of a dirty sector */
bit  dirty[NSEC];
byte dur[LEN];
bit  synced[NSEC];      /* ghost */
byte sdur[2];             /* durable slots, 0 = never written or torn */
bit  sdirty, six;       /* a slot write in the cache */
byte sval;

hidden byte hu, hi, hj, hk;

#define DR(i) (slot[i] == 0 || slot[i] > old)
#if NT == 3
#define ALL_DRAINED (DR(0) && DR(1) && DR(2))
#elif NT == 4
#define ALL_DRAINED (DR(0) && DR(1) && DR(2) && DR(3))
#else
#define ALL_DRAINED (DR(0) && DR(1) && DR(2) && DR(3) && DR(4))
#endif
inline bump_wait() {
    d_step { old = current; current++ };
    atomic { ALL_DRAINED -> old = 0 }
}

/* recovery finds slot value U */
inline good(U) {
    assert(U >= committed);                         /* acknowledged <= recovered */
    assert(U <= tail);                              /* recovered <= issued */
    hi = 0;
    do
    :: hi < U ->
        assert(!dirty[hi / SU]);                    /* could be lost or torn */
        assert(dur[hi] != 0);                       /* no hole */
        assert(dur[hi] == mem[hi]);
        hj = 0;
        do
        /* no duplicate */
        :: hj < hi -> assert(dur[hi] >= FILL || dur[hi] != dur[hj]); hj++
        :: else -> break
        od;
        hi++
    :: else -> break
    od
}
#ifdef REC_SHORT
#define RECOVERS(r) (r)
#else
#define RECOVERS(r) (((r) / SU + 1) * SU)  /* a commit record counts with its filler */
#endif
inline check() {
#ifndef RECORD
    hk = (sdur[0] > sdur[1] -> sdur[0] : sdur[1]);  /* no slot write, or it is absent */
    good(hk);
    if
    :: sdirty ->
        hk = (sval > sdur[1-six] -> sval : sdur[1-six]); good(hk);     /* present */
        hk = sdur[1-six]; good(hk)                                    /* torn */
    :: else
    fi;
#else
    /* least: every unsynced write lost or torn; the scan stops at the first unit that
     * is not valid */
    hk = 0; hi = 0;
    do
    :: hi < LEN && !dirty[hi / SU] && dur[hi] != 0 ->
        assert(dur[hi] == mem[hi]);
        if
        :: dur[hi] == CREC -> hk = RECOVERS(hi)
        :: else
        fi;
        hj = 0;
        do
        :: hj < hi -> assert(dur[hi] >= FILL || dur[hi] != dur[hj]); hj++
        :: else -> break
        od;
        hi++
    :: else -> break
    od;
    assert(hk >= committed);
    /* most: every unsynced write present */
    hi = 0;
    do
    :: hi < LEN && (dirty[hi / SU] -> cache[hi] : dur[hi]) != 0 ->
        hu = (dirty[hi / SU] -> cache[hi] : dur[hi]);
        assert(hi < tail); assert(hu == mem[hi]);
        hi++
    :: else -> break
    od;
    hu = 0;
#endif
    hi = 0; hj = 0; hk = 0
}

proctype client(byte s; byte na; byte nc)
{
    byte c, a, t, until, old, n;
    do
    :: na > 0 ->
        na--;
#ifdef RESERVE_OUT
        d_step { a = tail; tail++ };
        c = current;
        slot[s] = c; c = 0;
#else
        c = current;
        slot[s] = c; c = 0;
        d_step { assert(tail < LEN); a = tail; tail++ };            /* fetch_add */
#endif
        assert(mem[a] == 0);
        d_step { n++; mem[a] = s * 8 + n };
        a = 0;
        slot[s] = 0
    :: nc > 0 ->
        nc--;
#ifdef NO_FILL
        until = tail;
#else
        c = current;
        slot[s] = c; c = 0;
FILLER:
        t = tail;
        if
        :: t % SU == 0 -> until = t
        :: else ->
            atomic {
                if
                :: tail == t -> tail = t + 1; until = t + 1
                :: else -> goto FILLER
                fi
            };
            mem[t] = FILL
        fi;
        t = 0;
        slot[s] = 0;
#endif
#ifndef NO_BUMP
        bump_wait();
#endif
#ifdef LAST_REQ
        req = until;
#else
        d_step { if :: until > req -> req = until :: else fi };     /* fetch_max */
#endif
#ifdef WAIT_RACE
        if
        :: err || committed >= until
        :: else -> waiting[s] = until; (wake[s])
        fi;
#else
        waiting[s] = until;  /* register, then look */
LOOK:
        if
        :: err || committed >= until
        :: else ->
            (wake[s]);
#ifndef WAKE_TRUST
            wake[s] = 0;  /* a wake may be a late one: look again */
            goto LOOK
#endif
        fi;
#endif
        d_step { waiting[s] = 0; wake[s] = 0 };
        if
        :: committed >= until -> until = 0
        :: else -> assert(err); until = 0; break  /* the latched error */
        fi
    :: na == 0 && nc == 0 -> break
    od
}

inline flush(u) {
    do
    :: i * SU < u ->
        d_step {
            assert(!synced[i]);  /* L5: a durable sector is never written again */
            assert(!dirty[i]);
            cache[i*SU] = mem[i*SU]; cache[i*SU+1] = mem[i*SU+1]; dirty[i] = 1;
            check()
        };
        if
        :: i++
        /* the write failed; what it left is in the cache or not */
        :: nerr > 0 -> nerr--; goto FAIL
        fi
    :: else -> break
    od
}
inline sync() {
    if
    :: d_step {
            j = 0;
            do
            :: j < NSEC && dirty[j] ->
                dur[j*SU] = cache[j*SU]; dur[j*SU+1] = cache[j*SU+1];
                cache[j*SU] = 0; cache[j*SU+1] = 0; dirty[j] = 0; synced[j] = 1; j++
            :: j < NSEC && !dirty[j] -> j++
            :: else -> j = 0; break
            od;
            check()
        }
    :: nerr > 0 ->
        d_step {
            nerr--; j = 0;
            do
            :: j < NSEC -> cache[j*SU] = 0; cache[j*SU+1] = 0; dirty[j] = 0; j++
            :: else -> j = 0; break
            od;
            check()
        };
        goto FAIL
    fi
}
inline wake_all() {
    j = 0;
    do
    :: j < NT ->
        if
        :: waiting[j] != 0 && (err || waiting[j] <= committed) -> wake[j] = 1
        :: else
        fi;
        j++
    :: else -> j = 0; break
    od
}
inline write_slot() {
#ifdef SINGLE_SLOT
    d_step { six = 0; sval = u; sdirty = 1; check() };
#else
    d_step { six = (sdur[0] > sdur[1] -> 1 : 0); sval = u; sdirty = 1; check() };
#endif
    if
    :: d_step { sdur[six] = sval; sdirty = 0; sval = 0; six = 0; check() }
    :: nerr > 0 -> nerr--; goto FAIL  /* absent, present or torn: stays in the cache */
    fi
}

proctype worker()
{
    byte u, i, j, done, c, t, old;
end:
    do
    :: req > done && !err ->
        u = req;
#ifdef ACK_EARLY
        d_step { committed = u; check() }; wake_all();
#endif
RETRY:
#ifdef SLOT_EARLY
        write_slot();
#endif
#ifndef REC_ONE_SYNC
        flush(u);
        sync();
#endif
#ifdef RECORD
        c = current; slot[NT-1] = c; c = 0;
AGAIN:
        t = tail;
        atomic {
            if
#ifdef REC_NO_PAD
            :: tail == t -> assert(t < LEN); tail = t + 1; u = t + 1
#else
            :: tail == t -> assert(t < LEN); tail = (t / SU + 1) * SU; u = tail
#endif
            :: else -> goto AGAIN
            fi
        };
        mem[t] = CREC;
        if
        :: u == t + 2 -> mem[t+1] = FILL
        :: else
        fi;
        slot[NT-1] = 0;
#ifndef REC_NO_BUMP
        bump_wait();
#endif
        flush(u);
        sync();
#ifdef REC_SHORT
        d_step { committed = t; t = 0; check() };    /* only up to the record */
#else
        d_step { committed = u; t = 0; check() };
#endif
#else
#ifndef SLOT_EARLY
        write_slot();
#endif
#ifndef ACK_EARLY
        d_step { assert(u >= committed); committed = u; check() };
#endif
#endif
        done = u; u = 0;
        wake_all();
#ifdef NO_FILL
        i = done / SU;
#endif
        goto NEXT;
FAIL:
#ifdef NO_LATCH
        goto RETRY;  /* a sync that failed is tried again */
#else
        err = 1;                                     /* D3 */
        u = 0; i = 0;
        wake_all();
#endif
NEXT:   skip
    od
}

init {
    byte k;
    atomic {
        do
        :: k < NA -> run client(k, NAPP, ACOM); k++
        :: k >= NA && k < NA + NC -> run client(k, 0, NCOM); k++
        :: else -> break
        od;
        k = 0;
        run worker()
    }
}
