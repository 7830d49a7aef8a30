/* SPDX-License-Identifier: MIT */
/*
 * flog_life.pml - lives of a durable log: slots, generations, cuts (D4)
 *
 * A log of N sectors; each holds the generation of the life that wrote it, and is an
 * entry with its commit record. Two slots hold (sequence, generation, until). One owner
 * opens the log, appends, commits, updates a slot, cuts the end off, and crashes, each
 * wherever it likes; NLIFE generations in all. What was written and not synced is there
 * after a crash or not, sector by sector; a slot that was being written is old, new or
 * torn. NDAM slots are damaged, one whose log has both.
 *
 * Opening: the newer slot that is whole; from its `until` on, sectors of exactly its
 * generation; then a life more, in both slots, the older or damaged one first, each
 * synced, before anything is appended. So does a cut.
 *
 * Claims: what is recovered is what was appended by the lives that it belongs to, as
 * long as it was not cut off; all that was acknowledged is there; nothing comes back.
 *
 * Mutations: NO_RAISE ONE_SLOT SLOT_LATE NO_SLOT_SYNC NEWER_FIRST CUT_ONE_SLOT
 *     CUT_NO_RAISE SLOT_BEFORE_DATA
 */
#ifndef N
#define N 3
#endif
#ifndef NLIFE
#define NLIFE 3
#endif
#ifndef NDAM
#define NDAM 1
#endif
#ifndef NCRASH
#define NCRASH 2
#endif
#ifndef NSLOT
#define NSLOT 1         /* slots that are written in between */
#endif

byte dev[N];            /* durable: 0 = nothing, else a generation */
byte cache[N];          /* written, not synced; 0 = nothing */
byte seq[2];            /* slots, durable; 0 = torn or damaged */
byte gen[2];
byte til[2];
byte wseq[2];           /* a slot that is written and not synced; 0 = none */
byte wgen[2];
byte wtil[2];

/* ghosts */
byte issued[N];         /* whose sector it is in the log as it is; 0 = nobody's */
byte acked;             /* sectors that are acknowledged */
byte least;             /* what a crash must leave of them: less while it is cut */
byte ndam = NDAM;
byte ncrash = NCRASH;
byte nslot = NSLOT;
bit  both;              /* both slots are whole and of this life */

/* the owner's */
byte g;                 /* its generation */
byte end;               /* appended up to here */
byte done;              /* committed up to here */
byte last;              /* the sequence written last */
byte k, e, x, y;

inline sync_slot(s) {
    d_step {
        if
        :: wseq[s] != 0 ->
            seq[s] = wseq[s]; gen[s] = wgen[s]; til[s] = wtil[s]; wseq[s] = 0
        :: else
        fi
    }
}

inline put_slot(s, u) {
    d_step { last++; wseq[s] = last; wgen[s] = g; wtil[s] = u };
#ifndef NO_SLOT_SYNC
    if
    :: sync_slot(s)
    :: ncrash > 0 -> goto CRASH
    fi
#endif
}

/* Both slots; first the one that is older or not whole. */
inline put_both(u) {
    d_step {
#ifdef NEWER_FIRST
        x = (seq[0] >= seq[1] -> 0 : 1);
#else
        x = (seq[0] >= seq[1] -> 1 : 0);
#endif
        y = u; both = 0
    };
    put_slot(x, y);
#ifndef ONE_SLOT
    put_slot(1 - x, y);
#endif
    both = 1;
    d_step { x = 0; y = 0 }
}

/* A crash: each sector that is in the cache came or did not. */
inline crash() {
    ncrash--;
    both = 0;
    k = 0;
    do
    :: k < N ->
        if
        :: cache[k] != 0 -> dev[k] = cache[k]
        :: skip
        fi;
        cache[k] = 0;
        k++
    :: else -> k = 0; break
    od;
    do
    :: k < 2 ->
        if
        :: wseq[k] != 0 -> sync_slot(k)
        :: wseq[k] != 0 -> wseq[k] = 0; seq[k] = 0
        :: wseq[k] = 0
        fi;
        k++
    :: else -> k = 0; break
    od
}

/* What a recovery says, and whether it is right. */
inline recover() {
    d_step {
        k = (seq[0] >= seq[1] -> 0 : 1);
        assert(seq[k] != 0);
        g = gen[k]; e = til[k]; last = seq[k];
        do
        :: e < N && dev[e] == g -> e++
        :: else -> break
        od;
        assert(e >= least);              /* acknowledged <= recovered */
        x = 0;
        do
        :: x < e -> assert(issued[x] != 0 && dev[x] == issued[x]); x++
        :: else -> x = 0; break
        od;
        x = e;
        do
        :: x < N -> issued[x] = 0; x++   /* the rest is cut off */
        :: else -> x = 0; k = 0; break
        od;
        acked = e; least = e; done = e; end = e
    }
}

active proctype owner() {
    d_step {
        seq[0] = 1; gen[0] = 1; seq[1] = 2; gen[1] = 1; last = 2; g = 1; both = 1
    };
LIFE:
    do
    :: end < N -> d_step { cache[end] = g; issued[end] = g; end++ }
    :: done < end ->
        d_step {
            x = 0;
            do
            :: x < N && cache[x] != 0 -> dev[x] = cache[x]; cache[x] = 0; x++
            :: x < N && cache[x] == 0 -> x++
            :: else -> x = 0; break
            od;
            done = end; acked = end; least = end
        }
    /* a slot, now and then: the older one */
    :: nslot > 0 && both ->
        nslot--;
        x = (seq[0] >= seq[1] -> 1 : 0);
#ifdef SLOT_BEFORE_DATA
        y = end;
#else
        y = done;
#endif
        put_slot(x, y);
        d_step { x = 0; y = 0 }
    /* the end is cut off, down to any place */
    :: g < NLIFE && end > 0 && done == end ->
        e = 0;
        do
        :: e < end - 1 -> e++
        :: break
        od;
        least = e;
#ifndef CUT_NO_RAISE
        g++;
#endif
#ifdef CUT_ONE_SLOT
        x = (seq[0] >= seq[1] -> 1 : 0);
        put_slot(x, e);
        x = 0;
#else
        put_both(e);
#endif
        d_step {
            x = e;
            do
            :: x < N -> issued[x] = 0; x++
            :: else -> x = 0; break
            od;
            end = e; done = e; acked = e; e = 0
        }
    :: ndam > 0 && both -> d_step { ndam--; seq[0] = 0; both = 0 }
    :: ndam > 0 && both -> d_step { ndam--; seq[1] = 0; both = 0 }
    :: ncrash > 0 -> goto CRASH
    :: ncrash == 0 -> break
    od;
    goto OVER;
CRASH:
    crash();
    x = 0; y = 0; e = 0;
    recover();
    if
    :: g >= NLIFE -> goto OVER
    :: else
    fi;
#ifndef NO_RAISE
    g++;
#endif
#ifdef SLOT_LATE
    if
    :: end < N ->
        d_step { dev[end] = g; issued[end] = g; end++; done = end; least = end }
    :: else
    fi;
    e = end - 1;
#endif
    put_both(e);
    e = 0;
    goto LIFE;
OVER:
    skip
}
