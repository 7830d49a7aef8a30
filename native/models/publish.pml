/* SPDX-License-Identifier: MIT */
/*
 * publish.pml - the order in which the files of a checkpoint become durable (C7, C10)
 *
 * One writer makes NCK checkpoints, one after the other, and keeps the newest. A crash
 * leaves nothing, all or some of what was written to a file, until it was synced. A
 * name in a folder is there or not until the folder was synced. A rename is one change
 * of the folder; such changes may become durable in any order. check() looks at every
 * image that a crash could leave, in the step of each change.
 *
 * Claims: a checkpoint that the caller knows of and that was not let go is found by
 * recovery, with all its files whole; there is one as soon as any was known; a manifest
 * that verifies never names a file that is missing or torn.
 *
 * Mutations: NO_DATA_SYNC NO_MANIFEST_SYNC NO_FOLDER_SYNC RENAME_FIRST ACK_EARLY
 *            REMOVE_FIRST REMOVE_DATA_FIRST FORGET_NAME
 */
#ifndef NCK
#define NCK 3
#endif
#ifndef NFAIL
#define NFAIL 1         /* steps that fail; the checkpoint is then given up (C8) */
#endif

/* the state of a file's bytes on the device */
#define NONE 0          /* nothing was written */
#define DIRTY 1         /* absent, torn or whole after a crash */
#define WHOLE 2

/* the state of a name in its folder */
#define ABSENT 0
#define ADDED 1         /* there or not after a crash */
#define THERE 2
#define GOING 3         /* removed, but perhaps there after a crash */

byte data[NCK];         /* bytes of the data files */
byte dname[NCK];        /* their names */
byte man[NCK];          /* bytes of the manifest */
byte mname[NCK];        /* its final name (a temporary name means nothing) */
bit  known[NCK];        /* the caller was told */
bit  gone[NCK];         /* let go by retention */
byte nfail = NFAIL;

bit  told;               /* the caller was told of any */

hidden byte hi, hn;

#define MAYBE(name) (name == ADDED || name == GOING)

inline check() {
    hi = 0; hn = 0;
    do
    :: hi < NCK ->
        if
        :: known[hi] && !gone[hi] ->    /* it is found, and whole */
            hn++;
            assert(mname[hi] == THERE && man[hi] == WHOLE);
            assert(dname[hi] == THERE && data[hi] == WHOLE)
        :: else
        fi;
        /* A crash may leave this manifest, and it verifies: so must what it names.
         * DIRTY bytes may be whole, and then the manifest verifies as well. */
        if
        :: (mname[hi] == THERE || MAYBE(mname[hi])) && man[hi] != NONE ->
            assert(man[hi] == WHOLE);   /* a torn one under the final name: damage */
            assert(dname[hi] == THERE && data[hi] == WHOLE)
        :: else
        fi;
        hi++
    :: else -> hi = 0; break
    od;
    assert(!told || hn > 0);            /* there is always one */
    hn = 0
}

inline sync_folder() {
    hi = 0;
    do
    :: hi < NCK ->
        if
        :: dname[hi] == ADDED -> dname[hi] = THERE
        :: dname[hi] == GOING -> dname[hi] = ABSENT; data[hi] = NONE
        :: else
        fi;
        if
        :: mname[hi] == ADDED -> mname[hi] = THERE
        :: mname[hi] == GOING -> mname[hi] = ABSENT; man[hi] = NONE
        :: else
        fi;
        hi++
    :: else -> hi = 0; break
    od;
    check()
}

/* a step of the writer: it is done, or it fails and nothing is certain */
#define MAY_FAIL if :: nfail > 0 -> nfail--; goto FAILED :: true fi

inline let_go(o) {
#ifdef REMOVE_DATA_FIRST
    atomic { gone[o] = 1; dname[o] = GOING; check() };
    atomic { sync_folder() };
    atomic { mname[o] = GOING; check() };
#else
    atomic { gone[o] = 1; mname[o] = GOING; check() };  /* first what names the rest */
#ifndef NO_FOLDER_SYNC
    atomic { sync_folder() };
#endif
    atomic { dname[o] = GOING; check() };
#endif
    atomic { sync_folder() }
}

proctype writer()
{
    byte k, last;
    do
    :: k < NCK ->
        atomic { dname[k] = ADDED; data[k] = DIRTY; check() };
        MAY_FAIL;
#ifndef NO_DATA_SYNC
        atomic { data[k] = WHOLE; check() };
#endif
        MAY_FAIL;
#ifndef NO_FOLDER_SYNC
        atomic { sync_folder() };
#endif
        MAY_FAIL;
        atomic { man[k] = DIRTY; check() };             /* under a temporary name */
        MAY_FAIL;
#ifdef RENAME_FIRST
        atomic { mname[k] = ADDED; check() };
#endif
#ifndef NO_MANIFEST_SYNC
        atomic { man[k] = WHOLE; check() };
#endif
        MAY_FAIL;
#ifdef REMOVE_FIRST
        if
        :: last > 0 -> let_go(last - 1)
        :: else
        fi;
#endif
#ifndef RENAME_FIRST
        atomic { mname[k] = ADDED; check() };           /* rename */
#endif
#ifdef ACK_EARLY
        atomic { known[k] = 1; told = 1; check() };
#endif
        if
        :: nfail > 0 -> nfail--; goto UNCERTAIN
        :: true
        fi;
        atomic { sync_folder() };
        atomic { known[k] = 1; told = 1; check() };
#ifndef REMOVE_FIRST
        if
        :: last > 0 -> let_go(last - 1)
        :: else
        fi;
#endif
        last = k + 1;
        goto DONE;
UNCERTAIN:                                      /* it may be there: name first */
#ifndef FORGET_NAME
        atomic { mname[k] = GOING; check() };
        atomic { sync_folder() };
#endif
FAILED:                                                 /* C8: its files are removed */
        atomic {
            if
            :: mname[k] == ABSENT -> man[k] = NONE
            :: else
            fi;
            dname[k] = GOING;
            check()
        };
DONE:   k++
    :: else -> break
    od
}

init {
    run writer()
}
