/* SPDX-License-Identifier: MIT */
/*
 * segments.h: a log kept as files of equal size in one directory
 *
 * Purpose
 *   A log grows without end and is cut off at its beginning.  So it is kept as files
 *   that each hold `segment_size` bytes of it: cutting is removing files, and the whole
 *   is never larger than what it holds.  This is all that the devices of this format
 *   have in common; how bytes are moved is each device's own business.
 *
 * Model
 *   <path>/log/<base>.seg, the base address as twenty hexadecimal digits, is a header
 *   block (segment_header.h) and then the bytes [base, base + segment_size) of the log,
 *   so that byte `o` is at position 4096 + o % segment_size.  The files stay open from
 *   the first use to the end, so that no error of the system is missed.  A file has
 *   its full size from the beginning: what was not written takes no room and reads as
 *   zeros, no sync has a size to write, and a file that is shorter was cut by somebody.
 *
 *   A request is split into pieces, one per file.  A piece is pinned while its bytes
 *   are moved: truncation then removes the file's name, and the last unpin closes it.
 *
 *        truncated        first ................ last
 *       ----------+------+------+------+------+------+------------
 *         -ENOENT    hole | file | file | file | file |  end
 *
 *   A file comes into being as <base>.new, which is renamed when its header is safe.
 *   One that is left over was never used and is removed by the next open.
 *
 *   A directory that another process owns may be opened for reading alone, by any
 *   number of processes.  The owner goes on beside them: a file that it adds is whole
 *   when its name appears, and is found by the first read that wants it; one that it
 *   removes stays readable for whoever had it open.
 *
 * Invariants
 *   I1  A file is pinned for writing only when its header, its name and the names of
 *       all files between it and the others are on stable storage.
 *   I2  Between `first` and `last` every file is there, but for those that were missing
 *       when the directory was opened: using one of these is -ENOENT, never zeros.
 *   I3  A sync syncs every file into which a piece was written and unpinned before it
 *       began; the first one also every file that was there.
 *   I4  The first sync that fails, of a file or a directory, is the last: from then on
 *       every sync, truncation and pin for writing fails with its status.  The system
 *       may have dropped what it could not write, so that a second sync would succeed
 *       wrongly.
 *   I5  A file that another store, another format or another name made is refused when
 *       the directory is opened, before anything is changed.
 *   I6  A transfer that meets the end of the file inside a piece has met damage: it is
 *       an error of the device, and nothing is read as zeros.
 *   I7  Opened for reading alone, nothing in the directory is made, changed, removed
 *       or synced: `failed` is -EROFS from the beginning, so that I4 refuses it all.
 *
 * Ordering   `failed` needs none: whoever learns of a failure, learns it from a call
 *            that returned after the failure was stored.
 * Progress   Pinning takes a short lock; pinning for writing blocks for several syncs
 *            when it makes a file.
 * Threads    Any, at once; take_dirty and what follows it by one thread at a time.
 * Errors     -errno of the system; -EILSEQ for a file that is not the one expected;
 *            -ENOENT for bytes that are gone; -EFBIG for more than SEGMENTS_MAX files;
 *            -EROFS for what I7 refuses.
 * Limits     SEGMENTS_MAX files; offsets of 63 bits; segments of 4 KiB to 1 TiB.
 * Source     none
 * Tests      tests/test_layout.py, tests/test_refusals.py, tests/test_faults.py,
 *            tests/test_reading.py
 */
#ifndef FASTER_FILE_SEGMENTS_H
#define FASTER_FILE_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "os.h"
#include "segment_header.h"

enum { SEGMENTS_MAX = 1 << 16 };

#define SEGMENT_SIZE_MIN ((uint64_t)4096)
#define SEGMENT_SIZE_MAX ((uint64_t)1 << 40)

/* Whether transfers go past the system's cache. */
enum segments_direct { SEGMENTS_CACHED = 0, SEGMENTS_DIRECT = 1, SEGMENTS_TRY = 2 };

struct segments_settings {
    const char *path; /* the store's directory; made if its parent is there */
    uint64_t store_id;
    uint64_t generation;
    uint64_t segment_size; /* a power of two */
    uint32_t direct;       /* enum segments_direct */
    bool fresh;            /* remove the segments that are there, of whatever store */
    bool preallocate;      /* have the room of a whole segment when it is made */
    bool read_only;        /* I7; what is not there is not made.  Never with `fresh` */
};

/* What was found out about the place. */
struct segments_geometry {
    uint32_t sector_size;
    uint32_t alignment; /* of offsets, lengths and memory; 1 when not direct */
    bool direct;
};

struct segments;
struct segment;

enum segments_piece_kind {
    SEGMENTS_FILE = 0, /* move the bytes; unpin the piece afterwards */
    SEGMENTS_HOLE = 1, /* nothing was written here: read zeros */
    SEGMENTS_END = 2,  /* the log ends before; `length` is 0 */
    SEGMENTS_GONE = 3  /* truncated: what is written here may be forgotten */
};

/* The part of a request that one file holds. */
struct segments_piece {
    uint32_t kind; /* enum segments_piece_kind */
    bool last;     /* no file is behind it */
    uint64_t length;
    uint64_t position; /* in the file */
    os_file file;
    struct segment *segment;
};

/*
 * Open a directory, or make it, and check every segment in it; for reading alone one
 * that is missing is -ENOENT.
 * Errors: `problem` has what is wrong with which file, when its kind is not 0.
 */
int segments_open(const struct segments_settings *settings, const struct os *os,
                  struct segments **segments, struct segments_problem *problem);

/* Close all files; no piece is pinned.  Returns the first error of a close. */
int segments_close(struct segments *segments);

struct segments_geometry segments_geometry(const struct segments *segments);

/* Find the first piece of [offset, offset + length), which does not wrap.  Of kind
 * SEGMENTS_FILE it is pinned.  Pinning for writing makes the file if need be. */
int segments_pin_read(struct segments *segments, uint64_t offset, uint64_t length,
                      struct segments_piece *piece);
int segments_pin_write(struct segments *segments, uint64_t offset, uint64_t length,
                       struct segments_piece *piece);

/* Let go of a piece of kind SEGMENTS_FILE; `written`: bytes of the file may differ. */
void segments_unpin(struct segments *segments, const struct segments_piece *piece,
                    bool written);

/* Sync what was written (I3); waits for a sync that is under way. */
int segments_sync(struct segments *segments);

/*
 * The same in steps, for devices that do not block.  Begin with *cursor 0; while
 * take_dirty gives a piece, sync its file, call segments_latch with what came of it,
 * and unpin it with `written` false.  When all were taken, segments_failed is what came
 * of the sync.  The caller has one such loop at a time, and none beside segments_sync.
 */
bool segments_take_dirty(struct segments *segments, uint64_t *cursor,
                         struct segments_piece *piece);
/* Note what came of a sync; a failure stays (I4).  Returns as segments_failed. */
int segments_latch(struct segments *segments, int status);
/* 0, or the status of the first sync that failed, or -EROFS (I7). */
int segments_failed(const struct segments *segments);

/* Remove the files that lie wholly below `offset`, lowest first. */
int segments_truncate_before(struct segments *segments, uint64_t offset);

#endif
