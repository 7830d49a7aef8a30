/* SPDX-License-Identifier: MIT */
/* recording.c: see recording.h */
#include "device/recording.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "device/device.h"
#include "faster/status.h"

struct entry {
    struct faster_recording *owner;
    struct faster_completion outer; /* the log's */
    struct faster_completion inner; /* the one the device gets */
    void *copy;                     /* of a write's bytes, or NULL */
    bool open;                      /* neither completed nor refused */
    struct faster_recording_event event;
};

struct faster_recording {
    struct faster_device device;
    const struct faster_device *behind;
    uint64_t events_max;
    uint64_t bytes_max;
    uint32_t flags;

    struct lock lock; /* guards the rest, and what changes in entries */
    struct entry **entries;
    uint64_t count;
    uint64_t room;
    uint64_t lost;
    uint64_t bytes; /* held by copies */
    uint64_t clock; /* I1 */
    uint64_t open;
    bool closed;
};

static uint64_t hash_of(const uint8_t *bytes, uint64_t length) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a's basis and prime */
    for (uint64_t i = 0; i < length; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    return hash;
}

/* --- events ----------------------------------------------------------------------- */

static void entry_free(struct entry *entry) {
    free(entry->copy);
    free(entry);
}

/* Have room for one more.  Inside the lock. */
static bool has_room(struct faster_recording *recording) {
    if (recording->count < recording->room) {
        return true;
    }
    uint64_t room = recording->room == 0 ? 64 : 2 * recording->room;
    struct entry **grown =
        realloc(recording->entries, (size_t)room * sizeof *recording->entries);
    if (grown == NULL) {
        return false;
    }
    recording->entries = grown;
    recording->room = room;
    return true;
}

/* Whether a write's bytes are kept; claims their size if so. */
static bool claim_bytes(struct faster_recording *recording, uint64_t length) {
    bool kept = false;
    lock_enter(&recording->lock);
    if ((recording->flags & FASTER_RECORD_BYTES) != 0 &&
        length <= recording->bytes_max - recording->bytes) {
        recording->bytes += length;
        kept = true;
    }
    lock_leave(&recording->lock);
    return kept;
}

static void done(void *context, int32_t code, uint64_t moved) {
    struct entry *entry = context;
    struct faster_recording *recording = entry->owner;
    struct faster_completion outer = entry->outer;
    lock_enter(&recording->lock);
    struct faster_recording_event *event = &entry->event;
    if (event->completions++ == 0) {
        event->completed = ++recording->clock; /* I2 */
        event->code = code;
        event->moved = moved;
    }
    recording->open -= entry->open;
    entry->open = false;
    lock_leave(&recording->lock);
    outer.done(outer.context, code, moved);
}

/* Describe a request; NULL without memory. */
static struct entry *entry_new(struct faster_recording *recording, uint32_t kind,
                               uint64_t offset, uint64_t length, const void *bytes) {
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    entry->owner = recording;
    entry->inner = (struct faster_completion){done, entry};
    entry->event.kind = kind;
    entry->event.offset = offset;
    entry->event.length = length;
    if (bytes == NULL || !device_range_exists(offset, length)) {
        return entry;
    }
    entry->event.hash = hash_of(bytes, length);
    if (claim_bytes(recording, length)) {
        entry->copy = malloc(length > 0 ? (size_t)length : 1);
        if (entry->copy == NULL) {
            entry_free(entry);
            return NULL;
        }
        memcpy(entry->copy, bytes, (size_t)length);
        entry->event.bytes = entry->copy;
    }
    return entry;
}

enum enlisted { ENLISTED, NO_ROOM, NO_MEMORY };

static enum enlisted enlist(struct faster_recording *recording, struct entry *entry) {
    enum enlisted enlisted = ENLISTED;
    lock_enter(&recording->lock);
    if (recording->count >= recording->events_max) {
        recording->lost++;
        enlisted = NO_ROOM;
    } else if (!has_room(recording)) {
        enlisted = NO_MEMORY;
    } else {
        entry->event.submitted = ++recording->clock; /* I2 */
        entry->open = true;
        recording->open++;
        recording->entries[recording->count++] = entry;
    }
    if (enlisted != ENLISTED && entry->copy != NULL) {
        recording->bytes -= entry->event.length;
    }
    lock_leave(&recording->lock);
    if (enlisted != ENLISTED) {
        entry_free(entry);
    }
    return enlisted;
}

/*
 * Make and list a request's entry.
 * Returns the completion that the device is to be given, which is the log's own when
 * there is no room for more events; NULL without memory.
 */
static const struct faster_completion *begin(struct faster_recording *recording,
                                             uint32_t kind, uint64_t offset,
                                             uint64_t length, const void *bytes,
                                             const struct faster_completion *completion,
                                             struct entry **entry) {
    struct entry *made = entry_new(recording, kind, offset, length, bytes);
    *entry = NULL;
    if (made == NULL) {
        return NULL;
    }
    if (completion != NULL) {
        made->outer = *completion;
    }
    switch (enlist(recording, made)) {
    case NO_MEMORY:
        return NULL;
    case NO_ROOM:
        return completion;
    case ENLISTED:
        break;
    }
    *entry = made;
    return &made->inner;
}

/* Note what a submission returned. */
static int end(struct faster_recording *recording, struct entry *entry, int result) {
    if (entry == NULL) {
        return result;
    }
    lock_enter(&recording->lock);
    entry->event.result = result;
    if (result != 0) {
        recording->open -= entry->open;
        entry->open = false;
    }
    lock_leave(&recording->lock);
    return result;
}

/* --- the table -------------------------------------------------------------------- */

static int recording_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                          const struct faster_completion *completion) {
    struct faster_recording *recording = context;
    const struct faster_device *behind = recording->behind;
    struct entry *entry = NULL;
    const struct faster_completion *to = completion;
    if ((recording->flags & FASTER_RECORD_READS) != 0) {
        to = begin(recording, FASTER_KIND_READ, offset, length, NULL, completion,
                   &entry);
        if (to == NULL) {
            return -ENOMEM;
        }
    }
    return end(recording, entry,
               behind->read(behind->context, offset, buffer, length, to));
}

static int recording_write(void *context, uint64_t offset, const void *buffer,
                           uint64_t length,
                           const struct faster_completion *completion) {
    struct faster_recording *recording = context;
    const struct faster_device *behind = recording->behind;
    struct entry *entry;
    const struct faster_completion *to =
        begin(recording, FASTER_KIND_WRITE, offset, length, buffer, completion, &entry);
    if (to == NULL) {
        return -ENOMEM;
    }
    return end(recording, entry,
               behind->write(behind->context, offset, buffer, length, to));
}

static int recording_sync(void *context, const struct faster_completion *completion) {
    struct faster_recording *recording = context;
    const struct faster_device *behind = recording->behind;
    struct entry *entry;
    const struct faster_completion *to =
        begin(recording, FASTER_KIND_SYNC, 0, 0, NULL, completion, &entry);
    if (to == NULL) {
        return -ENOMEM;
    }
    return end(recording, entry, behind->sync(behind->context, to));
}

/* Nobody completes a truncation but its own return. */
static void note_truncated(struct faster_recording *recording, struct entry *entry) {
    lock_enter(&recording->lock);
    recording->open -= entry->open;
    entry->open = false;
    entry->event.completions = 1;
    entry->event.completed = ++recording->clock;
    entry->event.code = FASTER_DEVICE_DONE;
    lock_leave(&recording->lock);
}

static int recording_truncate_before(void *context, uint64_t offset) {
    struct faster_recording *recording = context;
    const struct faster_device *behind = recording->behind;
    const struct faster_completion nobody = {NULL, NULL};
    struct entry *entry;
    if (begin(recording, FASTER_KIND_TRUNCATE, offset, 0, NULL, &nobody, &entry) ==
        NULL) {
        return -ENOMEM;
    }
    int result = behind->truncate_before(behind->context, offset);
    if (result == 0 && entry != NULL) {
        note_truncated(recording, entry);
    }
    return end(recording, entry, result);
}

static int recording_poll(void *context) {
    struct faster_recording *recording = context;
    return recording->behind->poll(recording->behind->context);
}

static int recording_wait(void *context, uint32_t timeout_ms) {
    struct faster_recording *recording = context;
    return recording->behind->wait(recording->behind->context, timeout_ms);
}

static int recording_close(void *context) {
    struct faster_recording *recording = context;
    lock_enter(&recording->lock);
    bool was = recording->closed;
    recording->closed = true;
    lock_leave(&recording->lock);
    return was ? FASTER_E_CLOSED : recording->behind->close(recording->behind->context);
}

/* --- opening, reading out, ending ------------------------------------------------- */

static void fill_table(struct faster_recording *recording) {
    const struct faster_device *behind = recording->behind;
    recording->device = (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof recording->device,
        .context = recording,
        .capabilities = behind->capabilities,
        .sector_size = behind->sector_size,
        .alignment = behind->alignment,
        .capacity = behind->capacity,
        .max_io = behind->max_io,
        .atomic_unit = behind->atomic_unit,
        .read = recording_read,
        .write = recording_write,
        .sync = recording_sync,
        .truncate_before = recording_truncate_before,
        .poll = recording_poll,
        .wait = recording_wait,
        .close = recording_close,
    };
}

int faster_recording_open(const struct faster_recording_config *config,
                          const struct faster_device *inner,
                          struct faster_recording **recording) {
    if (config->size != sizeof *config) {
        return FASTER_E_ABI;
    }
    if ((config->flags & ~(uint32_t)(FASTER_RECORD_BYTES | FASTER_RECORD_READS)) != 0) {
        return -EINVAL;
    }
    int status = device_validate(inner);
    if (status != 0) {
        return status;
    }
    struct faster_recording *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    status = lock_init(&made->lock);
    if (status != 0) {
        free(made);
        return status;
    }
    made->behind = inner;
    made->flags = config->flags;
    made->events_max = config->events_max != 0 ? config->events_max : RECORDING_EVENTS;
    made->bytes_max = config->bytes_max != 0 ? config->bytes_max : RECORDING_BYTES;
    fill_table(made);
    *recording = made;
    return 0;
}

struct faster_device *faster_recording_device(struct faster_recording *recording) {
    return &recording->device;
}

uint64_t faster_recording_count(struct faster_recording *recording) {
    lock_enter(&recording->lock);
    uint64_t count = recording->count;
    lock_leave(&recording->lock);
    return count;
}

uint64_t faster_recording_lost(struct faster_recording *recording) {
    lock_enter(&recording->lock);
    uint64_t lost = recording->lost;
    lock_leave(&recording->lock);
    return lost;
}

int faster_recording_event(struct faster_recording *recording, uint64_t index,
                           struct faster_recording_event *event) {
    int status = FASTER_NOT_FOUND;
    lock_enter(&recording->lock);
    if (index < recording->count) {
        *event = recording->entries[index]->event;
        status = FASTER_OK;
    }
    lock_leave(&recording->lock);
    return status;
}

/* Inside the lock, or alone. */
static void forget_all(struct faster_recording *recording) {
    for (uint64_t i = 0; i < recording->count; i++) {
        entry_free(recording->entries[i]);
    }
    recording->count = recording->lost = recording->bytes = 0;
}

int faster_recording_clear(struct faster_recording *recording) {
    int status = -EBUSY;
    lock_enter(&recording->lock);
    if (recording->open == 0) {
        forget_all(recording);
        status = 0;
    }
    lock_leave(&recording->lock);
    return status;
}

void faster_recording_free(struct faster_recording *recording) {
    lock_enter(&recording->lock);
    bool closed = recording->closed;
    lock_leave(&recording->lock);
    if (!closed) {
        return;
    }
    forget_all(recording);
    lock_destroy(&recording->lock);
    free(recording->entries);
    free(recording);
}
