/* SPDX-License-Identifier: MIT */
/* transfer.c: see transfer.h */
#include <errno.h>

#include "transfer.h"

static bool may_be_repeated(int64_t status) {
    return status == -EINTR || status == -EAGAIN;
}

/* How far a call came, as far as the next one can go on from there. */
static uint64_t usable(const struct transfer *transfer, uint64_t done, int64_t moved) {
    uint64_t reached = done + (uint64_t)moved;
    bool whole = reached >= transfer->length;
    uint64_t aligned = reached & ~(uint64_t)(transfer->alignment - 1);
    return whole ? transfer->length : aligned;
}

int64_t transfer_read(const struct transfer *transfer, uint8_t *to) {
    uint64_t done = 0;
    int64_t moved = 0;
    for (int idle = 0; done < transfer->length && idle < TRANSFER_TRIES;) {
        moved =
            transfer->os->read_file(transfer->os, transfer->file, to + done,
                                    transfer->length - done, transfer->position + done);
        if (moved == 0) {
            return (int64_t)done; /* I2 */
        }
        uint64_t reached = moved > 0 ? usable(transfer, done, moved) : done;
        if (moved < 0 && !may_be_repeated(moved)) {
            return moved; /* I3 */
        }
        idle = reached > done ? 0 : idle + 1;
        done = reached;
    }
    if (done == transfer->length) {
        return (int64_t)done;
    }
    /* Bytes that no direct call can go on behind: the file ends inside a sector. */
    return moved < 0 ? moved : (int64_t)done + moved;
}

int transfer_write(const struct transfer *transfer, const uint8_t *from) {
    uint64_t done = 0;
    int64_t moved = 0;
    for (int idle = 0; done < transfer->length && idle < TRANSFER_TRIES;) {
        moved = transfer->os->write_file(transfer->os, transfer->file, from + done,
                                         transfer->length - done,
                                         transfer->position + done);
        if (moved < 0 && !may_be_repeated(moved)) {
            return (int)moved; /* I3 */
        }
        uint64_t reached = moved > 0 ? usable(transfer, done, moved) : done;
        idle = reached > done ? 0 : idle + 1;
        done = reached;
    }
    if (done == transfer->length) {
        return 0;
    }
    return moved < 0 ? (int)moved : -EIO;
}
