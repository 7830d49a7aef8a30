/* SPDX-License-Identifier: MIT */
/* segments_open.c: segments.h, as far as it opens a directory and checks what is there
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "segments_table.h"

static const char FOLDER[] = "log";
static const char PROBE[] = "probe.new";

/* What a directory lists of ours. */
struct found {
    uint64_t *bases;
    uint64_t count;
    uint64_t room;
    uint64_t *unfinished;
    uint64_t unfinished_count;
    uint64_t unfinished_room;
    int status;
};

/* ---- listing -----------------------------------------------------------------------
 */

/* Read a name of ours; false for all others. */
static bool parse_name(const char *name, const char *ending, uint64_t *base) {
    if (strlen(name) != SEGMENT_NAME_LENGTH ||
        strcmp(name + SEGMENT_NAME_DIGITS, ending) != 0) {
        return false;
    }
    uint64_t value = 0;
    for (int i = 0; i < SEGMENT_NAME_DIGITS; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9';
        bool letter = name[i] >= 'a' && name[i] <= 'f';
        if ((!digit && !letter) || value >> 60 != 0) {
            return false;
        }
        value = value << 4 | (uint64_t)(digit ? name[i] - '0' : name[i] - 'a' + 10);
    }
    *base = value;
    return true;
}

static int append(uint64_t **list, uint64_t *count, uint64_t *room, uint64_t value) {
    if (*count == *room) {
        uint64_t wanted = *room == 0 ? 64 : 2 * *room;
        uint64_t *grown = realloc(*list, (size_t)wanted * sizeof **list);
        if (grown == NULL) {
            return -ENOMEM;
        }
        *list = grown;
        *room = wanted;
    }
    (*list)[(*count)++] = value;
    return 0;
}

static void note_name(void *context, const char *name) {
    struct found *found = context;
    uint64_t base;
    int status = 0;
    if (parse_name(name, SEGMENT_ENDING, &base)) {
        status = append(&found->bases, &found->count, &found->room, base);
    } else if (parse_name(name, SEGMENT_UNFINISHED, &base)) {
        status = append(&found->unfinished, &found->unfinished_count,
                        &found->unfinished_room, base);
    }
    found->status = found->status == 0 ? status : found->status;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static int list_names(struct segments *segments, struct found *found) {
    int status = segments->os->list_directory(segments->os, segments->directory,
                                              note_name, found);
    status = status == 0 ? found->status : status;
    if (status == 0 && found->count > 1) {
        qsort(found->bases, (size_t)found->count, sizeof *found->bases, compare);
    }
    return status;
}

static void free_names(struct found *found) {
    free(found->bases);
    free(found->unfinished);
}

/* ---- checking ----------------------------------------------------------------------
 */

static int differs(struct segments_problem *problem, uint32_t kind, uint64_t found,
                   uint64_t expected) {
    problem->kind = kind;
    problem->found = found;
    problem->expected = expected;
    return -EILSEQ;
}

/* Read a file's header block into segments->block. */
static int read_header(struct segments *segments, os_file file,
                       struct segments_problem *problem) {
    const struct os *os = segments->os;
    struct os_measure measure;
    int status = os->measure_file(os, file, &measure);
    if (status != 0) {
        return status;
    }
    if (measure.gone && segments->read_only) {
        return -ENOENT; /* its owner removed it just now */
    }
    if (!measure.plain) {
        return differs(problem, SEGMENTS_NOT_PLAIN, 0, 0);
    }
    if (measure.size < SEGMENT_HEADER_SIZE) {
        return differs(problem, SEGMENTS_CUT, measure.size, SEGMENT_HEADER_SIZE);
    }
    int64_t moved = -EINTR;
    for (int i = 0; i < SEGMENTS_TRIES && moved != SEGMENT_HEADER_SIZE; i++) {
        moved = os->read_file(os, file, segments->block, SEGMENT_HEADER_SIZE, 0);
        if (moved < 0 && moved != -EINTR && moved != -EAGAIN) {
            return (int)moved;
        }
    }
    return moved == SEGMENT_HEADER_SIZE ? 0 : -EIO;
}

/* Compare what a file says of itself with what it should be (segments.h I5). */
static int check_label(const struct segments *segments, uint64_t base,
                       struct segments_problem *problem) {
    struct segment_label label;
    int status = segment_header_read(segments->block, &label, problem);
    if (status != 0) {
        return status;
    }
    if (label.store_id != segments->store_id) {
        return differs(problem, SEGMENTS_STORE, label.store_id, segments->store_id);
    }
    if (label.segment_size != segments->segment_size) {
        return differs(problem, SEGMENTS_SIZE, label.segment_size,
                       segments->segment_size);
    }
    if (label.base != base || (base & (segments->segment_size - 1)) != 0) {
        return differs(problem, SEGMENTS_BASE, label.base, base);
    }
    return 0;
}

/* A segment has its full size from the beginning. */
static int check_size(const struct segments *segments, os_file file,
                      struct segments_problem *problem) {
    uint64_t expected = SEGMENT_HEADER_SIZE + segments->segment_size;
    struct os_measure measure;
    int status = segments->os->measure_file(segments->os, file, &measure);
    if (status == 0 && measure.size < expected) {
        status = differs(problem, SEGMENTS_CUT, measure.size, expected);
    }
    return status;
}

static int open_segment(struct segments *segments, uint64_t base, os_file *file) {
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, base, SEGMENT_ENDING);
    uint32_t flags = segments->geometry.direct ? OS_DIRECT : 0u;
    flags |= segments->read_only ? OS_READ : 0u;
    return segments->os->open_file(segments->os, segments->directory, name, flags,
                                   file);
}

/* What opening gives for a name that is no file's. */
static bool means_no_file(int status) {
    return status == -ELOOP || status == -ENXIO || status == -EISDIR;
}

/* Open a file that is listed and find out whether it is ours. */
static int open_and_read(struct segments *segments, uint64_t base, os_file *file,
                         struct segments_problem *problem) {
    problem->base = base;
    int status = open_segment(segments, base, file);
    if (means_no_file(status)) {
        return differs(problem, SEGMENTS_NOT_PLAIN, 0, 0);
    }
    if (status != 0) {
        return status;
    }
    status = read_header(segments, *file, problem);
    if (status != 0) {
        (void)segments->os->close_file(segments->os, *file);
    }
    return status;
}

/* Show a file that was checked. */
static int show(struct segments *segments, uint64_t base, struct segment *segment,
                struct segments_problem *problem) {
    os_lock_enter(&segments->table_lock);
    int status = segments_insert(segments, base >> segments->shift, segment);
    if (status == 0) {
        segments->floor = segments->first;
    }
    os_lock_leave(&segments->table_lock);
    if (status == -EFBIG) {
        (void)differs(problem, SEGMENTS_TOO_MANY, base, SEGMENTS_MAX);
    }
    return status;
}

int segments_adopt(struct segments *segments, uint64_t base,
                   struct segments_problem *problem) {
    struct segment *segment = calloc(1, sizeof *segment);
    if (segment == NULL) {
        return -ENOMEM;
    }
    int status = open_and_read(segments, base, &segment->file, problem);
    if (status != 0) {
        free(segment);
        return status;
    }
    /* An earlier process may have written and never synced it (segments.h I3). */
    segment->dirty = !segments->read_only;
    status = check_label(segments, base, problem);
    if (status == 0) {
        status = check_size(segments, segment->file, problem);
    }
    if (status == 0) {
        status = show(segments, base, segment, problem);
    }
    if (status != 0) {
        (void)segments->os->close_file(segments->os, segment->file);
        free(segment);
    }
    return status;
}

static int adopt_all(struct segments *segments, const struct found *found,
                     struct segments_problem *problem) {
    int status = 0;
    for (uint64_t i = 0; i < found->count && status == 0; i++) {
        status = segments_adopt(segments, found->bases[i], problem);
        if (status == -ENOENT && segments->read_only) {
            status = 0; /* removed since it was listed */
        }
    }
    return status;
}

/* Remove all segments, of whatever store, but nothing that is no segment. */
static int clear(struct segments *segments, const struct found *found,
                 struct segments_problem *problem) {
    int status = 0;
    for (uint64_t i = 0; i < found->count && status == 0; i++) {
        os_file file;
        status = open_and_read(segments, found->bases[i], &file, problem);
        if (status != 0) {
            return status;
        }
        (void)segments->os->close_file(segments->os, file);
        if (!segment_header_is_ours(segments->block)) {
            struct segment_label label;
            status = segment_header_read(segments->block, &label, problem);
        }
    }
    for (uint64_t i = 0; i < found->count && status == 0; i++) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, found->bases[i], SEGMENT_ENDING);
        status = segments->os->remove_file(segments->os, segments->directory, name);
    }
    return status;
}

/* Remove files whose making was interrupted: nothing was ever written behind their
 * headers. */
static int remove_unfinished(struct segments *segments, const struct found *found) {
    int status = 0;
    for (uint64_t i = 0; i < found->unfinished_count && status == 0; i++) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(name, found->unfinished[i], SEGMENT_UNFINISHED);
        status = segments->os->remove_file(segments->os, segments->directory, name);
    }
    return status;
}

static int take_stock(struct segments *segments, bool fresh,
                      struct segments_problem *problem) {
    struct found found;
    memset(&found, 0, sizeof found);
    int status = list_names(segments, &found);
    if (status == 0) {
        status = fresh ? clear(segments, &found, problem)
                       : adopt_all(segments, &found, problem);
    }
    if (status == 0 && !segments->read_only) {
        status = remove_unfinished(segments, &found);
        if (status == 0) {
            status = segments_sync_directory(segments, segments->directory);
        }
    }
    free_names(&found);
    return status;
}

/* ---- the place ---------------------------------------------------------------------
 */

/* Make sure that a directory's own name is kept.  Whoever may not read the directory
 * above did not make this one just now. */
static int sync_parent(struct segments *segments, os_file directory) {
    const struct os *os = segments->os;
    os_file parent;
    int status = os->open_directory(os, directory, "..", &parent);
    if (status == -EACCES || status == -EPERM) {
        return 0;
    }
    if (status != 0) {
        return status;
    }
    status = segments_sync_directory(segments, parent);
    (void)os->close_file(os, parent);
    return status;
}

/* Open a directory, made with access for its owner only if it is not there and may be
 * made. */
static int enter(struct segments *segments, os_file parent, const char *name,
                 os_file *directory) {
    const struct os *os = segments->os;
    int status = os->open_directory(os, parent, name, directory);
    if (status != -ENOENT || segments->read_only) {
        return status;
    }
    status = os->make_directory(os, parent, name);
    if (status != 0 && status != -EEXIST) {
        return status;
    }
    return os->open_directory(os, parent, name, directory);
}

static int enter_place(struct segments *segments, const char *path) {
    os_file root;
    int status = enter(segments, OS_NOWHERE, path, &root);
    if (status != 0) {
        return status;
    }
    status = enter(segments, root, FOLDER, &segments->directory);
    if (status == 0 && !segments->read_only) {
        status = segments_sync_directory(segments, root);
        if (status == 0) {
            status = sync_parent(segments, root);
        }
    }
    (void)segments->os->close_file(segments->os, root);
    return status;
}

/* Try a direct transfer on a file that is removed again. */
static int probe_direct(struct segments *segments, struct os_alignment *alignment) {
    const struct os *os = segments->os;
    os_file file;
    (void)os->remove_file(os, segments->directory, PROBE);
    int status =
        os->open_file(os, segments->directory, PROBE, OS_CREATE | OS_DIRECT, &file);
    if (status != 0) {
        /* Some systems make the file and refuse it then. */
        (void)os->remove_file(os, segments->directory, PROBE);
        return status;
    }
    status = os->align_file(os, file, alignment);
    if (status == 0) {
        memset(segments->block, 0, SEGMENT_HEADER_SIZE);
        int64_t moved =
            os->write_file(os, file, segments->block, SEGMENT_HEADER_SIZE, 0);
        status = moved < 0 ? (int)moved : 0;
    }
    (void)os->close_file(os, file);
    int removed = os->remove_file(os, segments->directory, PROBE);
    return status == 0 ? removed : status;
}

/* Try a direct transfer on a segment that is there; -ENOENT for what only looked as if
 * it were one, which is refused later. */
static int probe_segment(struct segments *segments, uint64_t base,
                         struct os_alignment *alignment) {
    const struct os *os = segments->os;
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, base, SEGMENT_ENDING);
    os_file file;
    int status =
        os->open_file(os, segments->directory, name, OS_READ | OS_DIRECT, &file);
    if (status != 0) {
        return means_no_file(status) ? -ENOENT : status;
    }
    struct os_measure measure;
    status = os->measure_file(os, file, &measure);
    if (status == 0 && !measure.plain) {
        status = -ENOENT;
    }
    if (status == 0) {
        status = os->align_file(os, file, alignment);
    }
    if (status == 0) {
        int64_t moved =
            os->read_file(os, file, segments->block, SEGMENT_HEADER_SIZE, 0);
        status = moved < 0 ? (int)moved : 0;
    }
    (void)os->close_file(os, file);
    return status;
}

/* Try it on the first segment.  Where there is none, who insists gets the widest
 * alignment that is accepted: the first file that is opened then decides. */
static int probe_reading(struct segments *segments, bool insists,
                         struct os_alignment *alignment) {
    struct found found;
    memset(&found, 0, sizeof found);
    bool tried = false;
    int status = list_names(segments, &found);
    for (uint64_t i = 0; i < found.count && status == 0 && !tried; i++) {
        status = probe_segment(segments, found.bases[i], alignment);
        tried = status != -ENOENT;
        status = tried ? status : 0;
    }
    free_names(&found);
    if (status != 0 || tried) {
        return status;
    }
    if (!insists) {
        return -EOPNOTSUPP;
    }
    status = segments->os->align_file(segments->os, segments->directory, alignment);
    alignment->transfer = SEGMENT_HEADER_SIZE;
    return status;
}

static bool means_no_direct(int status) {
    return status == -EINVAL || status == -EOPNOTSUPP || status == -ENOSYS;
}

static int find_geometry(struct segments *segments, uint32_t direct,
                         struct segments_problem *problem) {
    struct os_alignment alignment = {0, 0};
    int status = 0;
    if (direct != SEGMENTS_CACHED) {
        bool insists = direct == SEGMENTS_DIRECT;
        status = segments->read_only ? probe_reading(segments, insists, &alignment)
                                     : probe_direct(segments, &alignment);
        if (means_no_direct(status)) {
            status = differs(problem, SEGMENTS_NO_DIRECT, 0, 0);
        } else if (status == 0 && alignment.transfer > SEGMENT_HEADER_SIZE) {
            status = differs(problem, SEGMENTS_WIDE_ALIGNMENT, alignment.transfer,
                             SEGMENT_HEADER_SIZE);
        }
        if (status == 0) {
            segments->geometry.direct = true;
        } else if (direct == SEGMENTS_TRY && problem->kind != SEGMENTS_FINE) {
            memset(problem, 0, sizeof *problem);
            status = 0;
        }
    }
    if (status == 0 && !segments->geometry.direct) {
        status =
            segments->os->align_file(segments->os, segments->directory, &alignment);
        alignment.transfer = 1;
    }
    segments->geometry.alignment = alignment.transfer == 0 ? 1 : alignment.transfer;
    segments->geometry.sector_size = alignment.sector;
    return status;
}

/* ---- the struct --------------------------------------------------------------------
 */

void segments_free(struct segments *segments) {
    if (segments->directory != OS_NOWHERE) {
        (void)segments->os->close_file(segments->os, segments->directory);
    }
    os_lock_destroy(&segments->table_lock);
    os_lock_destroy(&segments->change_lock);
    os_lock_destroy(&segments->sync_lock);
    free(segments->slots);
    free(segments->block_memory);
    free(segments);
}

static int init_locks(struct segments *segments) {
    int status = os_lock_init(&segments->sync_lock);
    if (status != 0) {
        return status;
    }
    status = os_lock_init(&segments->change_lock);
    if (status != 0) {
        goto no_change;
    }
    status = os_lock_init(&segments->table_lock);
    if (status != 0) {
        goto no_table;
    }
    return 0;
no_table:
    os_lock_destroy(&segments->change_lock);
no_change:
    os_lock_destroy(&segments->sync_lock);
    return status;
}

/* Room for a header, aligned for direct transfers. */
static int init_block(struct segments *segments) {
    segments->block_memory = malloc((size_t)2 * SEGMENT_HEADER_SIZE);
    if (segments->block_memory == NULL) {
        return -ENOMEM;
    }
    uintptr_t start = (uintptr_t)segments->block_memory;
    uintptr_t misfit = start & (SEGMENT_HEADER_SIZE - 1);
    segments->block = (uint8_t *)segments->block_memory + SEGMENT_HEADER_SIZE - misfit;
    return 0;
}

static int segments_new(const struct segments_settings *settings, const struct os *os,
                        struct segments **out) {
    struct segments *segments = calloc(1, sizeof *segments);
    if (segments == NULL) {
        return -ENOMEM;
    }
    int status = init_block(segments);
    if (status == 0) {
        status = init_locks(segments);
    }
    if (status != 0) {
        free(segments->block_memory);
        free(segments);
        return status;
    }
    segments->os = os;
    segments->store_id = settings->store_id;
    segments->generation = settings->generation;
    segments->segment_size = settings->segment_size;
    while ((uint64_t)1 << segments->shift < settings->segment_size) {
        segments->shift++;
    }
    segments->preallocate = settings->preallocate;
    segments->read_only = settings->read_only;
    (void)segments_latch(segments, settings->read_only ? -EROFS : 0); /* I7 */
    segments->directory = OS_NOWHERE;
    *out = segments;
    return 0;
}

static bool settings_are_sane(const struct segments_settings *settings) {
    uint64_t size = settings->segment_size;
    return size >= SEGMENT_SIZE_MIN && size <= SEGMENT_SIZE_MAX &&
           (size & (size - 1)) == 0 && settings->direct <= SEGMENTS_TRY &&
           !(settings->fresh && settings->read_only);
}

int segments_open(const struct segments_settings *settings, const struct os *os,
                  struct segments **segments, struct segments_problem *problem) {
    memset(problem, 0, sizeof *problem);
    if (!settings_are_sane(settings)) {
        return -EINVAL;
    }
    struct segments *opened;
    int status = segments_new(settings, os, &opened);
    if (status != 0) {
        return status;
    }
    status = enter_place(opened, settings->path);
    if (status == 0) {
        status = find_geometry(opened, settings->direct, problem);
    }
    if (status == 0) {
        status = take_stock(opened, settings->fresh, problem);
    }
    if (status != 0) {
        (void)segments_close(opened);
        return status;
    }
    *segments = opened;
    return 0;
}
