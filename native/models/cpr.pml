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
#define NOPS 1          /* operations of a session */
#endif
#define NID (NS*NOPS)
#ifndef NREC             /* addresses 1 .. NREC-1 */
#if NID > 2
#define NREC 8
#else
#define NREC 6
#endif
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

#include "cpr_update.pml"

#ifdef RMWS
#define CHOOSE_KIND :: kind = RMW
#else
#ifdef UPSERTS
#define CHOOSE_KIND :: kind = UPS
#else
#ifdef NO_DEL
#define CHOOSE_KIND :: kind = UPS :: kind = RMW
#else
#define CHOOSE_KIND :: kind = UPS :: kind = RMW :: kind = DEL
#endif
#endif
#endif
#ifdef KEY
#define CHOOSE_KEY :: key = KEY
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

#include "cpr_checkpoint.pml"

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
#ifdef MOVE
        run mover();
#endif
        run coordinator()
    }
}
