/* SPDX-License-Identifier: MIT */
/*
 * log.h: appending to a durable log
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   An append is a copy of some bytes; a call through cffi would cost several times as
 *   much.  So what is done for each entry is a method of a C type, and what is done for
 *   a commit is Python (_cabi_flog.py).
 *
 * Model
 *   Log holds the handle of a log, a capsule that frees it with the last reference, and
 *   whoever owns its device.  Entries one by one go to the core from where they are.
 *   Many of them are gathered into one buffer, a slice at a time, for the core takes
 *   them in a row; those that are large, or in a row already, are not copied.
 *
 * Invariants
 *   J1  The core is given memory only while it is held and cannot move: bytes by their
 *       reference, anything else by its exported buffer.
 *   J2  Offsets are copied and checked before the core reads them, so no other thread
 *       can change them meanwhile.
 *   J3  Types and sizes of a batch are looked at before its first entry is appended.
 *   J4  The handle is dropped only by an object that is garbage; `flog` is NULL then.
 *
 * Ordering
 *   none
 *
 * The GIL
 *   append() keeps it: the core never waits there.  It is released to wait for room,
 *   for commits, for batches and for reading, in slices of SLICE_MS, between which
 *   signals are noticed.  One read is not cut into slices.
 */
#ifndef PYFASTER_LOG_H
#define PYFASTER_LOG_H

#include "batch.h"
#include "calls.h"
#include "faster/flog.h"
#include "hot.h"

enum {
    MANY_ENTRIES = 4096,   /* gathered at most for one call of the core */
    MANY_BYTES = 1 << 18,  /* of their payloads: they stay in the second cache */
    MANY_DIRECT = 1 << 15, /* a payload of so many bytes is not worth copying */
    MANY_OFFSETS = MANY_BYTES / 8 + MANY_ENTRIES /* of entries in a row already */
};
enum { LOG_HANDLE, LOG_OWNER };

struct log {
    struct holder head;
    struct faster_flog *flog;
    PyObject *weak;
    uint64_t *scratch; /* of append_many, while no call uses it */
};

/* Set the exception of a failure; `source` is a Log or a LogScan.  `done` says how many
 * entries of a batch were appended, `size` how large a payload was. */
static int log_raise_more(PyObject *source, int status, const struct failure *failure,
                          const struct faster_flog_damage *damage) {
    if (status == RAISED) {
        tell_interrupted(failure->done < 0 ? 0 : failure->done);
        return -1;
    }
    if (hot.log_errors == NULL)
        return raise_failure(status, failure);
    PyObject *error = PyObject_CallFunction(
        hot.log_errors, "OisLL(KIKK)", source, status, failure->where,
        (long long)failure->done, (long long)failure->size,
        (unsigned long long)damage->address, (unsigned int)damage->what,
        (unsigned long long)damage->expected, (unsigned long long)damage->found);
    if (error != NULL && failure->done >= 0 && tell_done(error, failure->done) < 0)
        Py_CLEAR(error);
    if (error != NULL && PyExceptionInstance_Check(error))
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    else if (error != NULL)
        PyErr_SetString(PyExc_SystemError, "the error factory gave no exception");
    Py_XDECREF(error);
    return -1;
}

static const struct faster_flog_damage nothing_damaged = {.what = FASTER_FLOG_WHOLE};

static int log_raise(PyObject *source, int status, const char *where) {
    return log_raise_more(source, status, FAILURE(.where = where), &nothing_damaged);
}

/* --- one entry -------------------------------------------------------------------- */

struct entry_place {
    uint64_t address, end;
};

static int append_once(const struct log *self, const void *data, uint64_t size,
                       struct entry_place *place) {
    return self->flog == NULL ? FASTER_E_CLOSED
                              : hot.table->flog_append(self->flog, data, size,
                                                       &place->address, &place->end);
}

/* Append, and wait for room when there is none. */
static int append_waiting(const struct log *self, const void *data, uint64_t size,
                          struct entry_place *place) {
    int status;
    for (;;) { /* ends with room, an error, or the caller's patience */
        status = append_once(self, data, size, place);
        if (status != FASTER_RETRY)
            return status;
        Py_BEGIN_ALLOW_THREADS;
        status = hot.table->flog_wait(self->flog, SLICE_MS);
        Py_END_ALLOW_THREADS;
        if (status != FASTER_OK && status != FASTER_E_TIMEOUT)
            return status;
        if (PyErr_CheckSignals() != 0)
            return RAISED;
    }
}

/* Bytes that stay as they are: those of any object that has a buffer.  What somebody
 * could write to meanwhile, without the GIL, is copied first: it must not change
 * between its checksum and its copy. */
struct steady {
    Py_buffer view;
    PyObject *copy; /* NULL of bytes, which do not change */
    const void *bytes;
    uint64_t size;
};

static int steady_open(struct steady *steady, PyObject *data) {
    if (PyObject_GetBuffer(data, &steady->view, PyBUF_SIMPLE) < 0)
        return -1;
    steady->copy = NULL;
    steady->bytes = steady->view.buf;
    steady->size = (uint64_t)steady->view.len;
    if (Py_IS_TYPE(data, &PyBytes_Type))
        return 0;
    steady->copy = PyBytes_FromStringAndSize(steady->view.buf, steady->view.len);
    if (steady->copy == NULL) {
        PyBuffer_Release(&steady->view);
        return -1;
    }
    steady->bytes = PyBytes_AsString(steady->copy);
    return 0;
}

static void steady_close(struct steady *steady) {
    Py_XDECREF(steady->copy);
    PyBuffer_Release(&steady->view);
}

/* The same for any object that has a buffer (J1). */
static int append_object(struct log *self, PyObject *data, struct entry_place *place,
                         const char *where) {
    struct steady steady;
    if (steady_open(&steady, data) < 0)
        return -1;
    int status = append_waiting(self, steady.bytes, steady.size, place);
    steady_close(&steady);
    const struct failure failure = {
        .where = where, .done = -1, .size = (int64_t)steady.size};
    return status == FASTER_OK
               ? 0
               : log_raise_more((PyObject *)self, status, &failure, &nothing_damaged);
}

static PyObject *log_append(PyObject *object, PyObject *data) {
    struct log *self = (struct log *)object;
    struct entry_place place;
    char *bytes;
    Py_ssize_t size;
    if (Py_IS_TYPE(data, &PyBytes_Type) && self->flog != NULL &&
        PyBytes_AsStringAndSize(data, &bytes, &size) == 0 &&
        hot.table->flog_append(self->flog, bytes, (uint64_t)size, &place.address,
                               &place.end) == FASTER_OK)
        return PyLong_FromUnsignedLongLong(place.address);
    if (append_object(self, data, &place, "append") < 0)
        return NULL;
    return PyLong_FromUnsignedLongLong(place.address);
}

/* The same without waiting: None when there is no room. */
static PyObject *log_try_append(PyObject *object, PyObject *data) {
    struct log *self = (struct log *)object;
    struct entry_place place;
    struct steady steady;
    if (steady_open(&steady, data) < 0)
        return NULL;
    int status = append_once(self, steady.bytes, steady.size, &place);
    steady_close(&steady);
    const struct failure failure = {
        .where = "append", .done = -1, .size = (int64_t)steady.size};
    if (status == FASTER_OK)
        return PyLong_FromUnsignedLongLong(place.address);
    if (status == FASTER_RETRY)
        return Py_NewRef(Py_None);
    log_raise_more(object, status, &failure, &nothing_damaged);
    return NULL;
}

/* Wait until everything below `until` is durable. */
static int commit_waiting(const struct log *self, uint64_t until) {
    struct faster_flog_commit commit;
    int status;
    do { /* ends with the commit, the log or the caller's patience */
        if (self->flog == NULL)
            return FASTER_E_CLOSED;
        Py_BEGIN_ALLOW_THREADS;
        status = hot.table->flog_commit(self->flog, until, SLICE_MS, &commit);
        Py_END_ALLOW_THREADS;
        if (status == FASTER_E_TIMEOUT && PyErr_CheckSignals() != 0)
            return RAISED;
    } while (status == FASTER_E_TIMEOUT);
    return status;
}

static PyObject *log_append_and_commit(PyObject *object, PyObject *data) {
    struct log *self = (struct log *)object;
    struct entry_place place;
    if (append_object(self, data, &place, "append_and_commit") < 0)
        return NULL;
    int status = commit_waiting(self, place.end);
    if (status != FASTER_OK)
        return log_raise(object, status, "append_and_commit"), NULL;
    return PyLong_FromUnsignedLongLong(place.address);
}

/* --- many entries ----------------------------------------------------------------- */

struct many {
    struct log *log;
    uint64_t *offsets; /* of what is gathered: count + 1 of them */
    uint8_t *data;     /* gathered payloads */
    uint64_t capacity; /* bytes of these */
    uint64_t places;   /* entries of these */
    uint64_t count;    /* gathered now */
    uint64_t done;     /* appended, of the whole batch */
    uint64_t total;    /* entries of the whole batch */
    uint64_t end;      /* behind the last one appended */
    int64_t refused;   /* size of a payload that is too large; -1: of none */
    uint64_t payload_max;
    uint64_t *addresses; /* NULL, or where they are wanted */
    Py_buffer view;      /* what holds them, if view.obj is set */
    uint32_t atomic;
};

/* Make room for what is gathered.  The log's own room serves one call at a time. */
static int many_room(struct many *many, uint64_t entries, uint64_t bytes) {
    uint64_t *room = NULL;
    int own = entries <= MANY_ENTRIES && bytes <= MANY_BYTES;
    uint64_t offsets = own ? MANY_ENTRIES : entries;
    uint64_t payloads = own ? MANY_BYTES : bytes;
    if (own) {
        room = many->log->scratch;
        many->log->scratch = NULL;
    }
    if (room == NULL && offsets < PY_SSIZE_T_MAX / 16 && payloads < PY_SSIZE_T_MAX / 4)
        room = PyMem_Malloc((offsets + 1) * sizeof *room + payloads);
    if (room == NULL) {
        PyErr_NoMemory();
        return RAISED;
    }
    many->offsets = room;
    many->data = (uint8_t *)(room + offsets + 1);
    many->places = offsets;
    many->capacity = payloads;
    room[0] = 0;
    return FASTER_OK;
}

static void many_close(struct many *many) {
    if (many->places == MANY_ENTRIES && many->capacity == MANY_BYTES &&
        many->log->scratch == NULL)
        many->log->scratch = many->offsets;
    else
        PyMem_Free(many->offsets);
    if (many->view.obj != NULL)
        PyBuffer_Release(&many->view);
}

/* Append `count` payloads that lie in a row. */
static int many_run(struct many *many, const void *data, const uint64_t *offsets,
                    uint64_t count) {
    int status;
    do { /* ends with the entries, an error, or the caller's patience */
        uint64_t some = 0;
        struct faster_flog *flog = many->log->flog;
        struct faster_flog_batch batch = {
            .data = data,
            .offsets = offsets,
            .count = count,
            .addresses = many->addresses ? many->addresses + many->done : NULL,
            .atomic = many->atomic};
        if (flog == NULL)
            return FASTER_E_CLOSED;
        Py_BEGIN_ALLOW_THREADS;
        status = hot.table->flog_append_many(flog, &batch, SLICE_MS, &some, &many->end);
        Py_END_ALLOW_THREADS;
        offsets += some;
        count -= some;
        many->done += some;
        if (many->done < many->total && PyErr_CheckSignals() != 0)
            return RAISED;
    } while (status == FASTER_E_TIMEOUT);
    return status;
}

/* Append what is gathered. */
static int many_flush(struct many *many) {
    uint64_t count = many->count;
    many->count = 0;
    return count == 0 ? FASTER_OK : many_run(many, many->data, many->offsets, count);
}

static int many_refuse(struct many *many, uint64_t size) {
    many->refused = (int64_t)size;
    return FASTER_E_VALUE_SIZE;
}

static int many_wrong(const char *why) {
    PyErr_SetString(PyExc_ValueError, why);
    return RAISED;
}

/* The same of arguments that are not what they should be. */
static int many_shape(const char *why) {
    PyErr_SetString(PyExc_TypeError, why);
    return RAISED;
}

/* Take one payload: gather it, or append it from where it is. */
static int many_take(struct many *many, const void *data, uint64_t size) {
    int status = FASTER_OK;
    uint64_t at = many->offsets[many->count];
    if (size > many->payload_max)
        return many_refuse(many, size);
    if (size > many->capacity - at || many->count == many->places) {
        if (many->atomic)
            return many_wrong("an entry has changed its size while it was appended");
        status = many_flush(many);
        at = 0;
    }
    if (status != FASTER_OK)
        return status;
    if (size >= MANY_DIRECT && !many->atomic) {
        uint64_t alone[2] = {0, size};
        status = many_flush(many);
        return status == FASTER_OK ? many_run(many, data, alone, 1) : status;
    }
    memcpy(many->data + at, data, (size_t)size);
    many->offsets[++many->count] = at + size;
    return FASTER_OK;
}

/* Bytes are what they are; anything else is held by its buffer (J1). */
static int many_take_object(struct many *many, PyObject *entry) {
    char *bytes;
    Py_ssize_t size;
    Py_buffer view;
    if (Py_IS_TYPE(entry, &PyBytes_Type) &&
        PyBytes_AsStringAndSize(entry, &bytes, &size) == 0)
        return many_take(many, bytes, (uint64_t)size);
    if (PyObject_GetBuffer(entry, &view, PyBUF_SIMPLE) < 0)
        return RAISED;
    int status = many_take(many, view.buf, (uint64_t)view.len);
    PyBuffer_Release(&view);
    return status;
}

/* How many bytes an entry has; -1: it has none, and an exception says so. */
static Py_ssize_t size_of_entry(PyObject *entry) {
    char *bytes;
    Py_ssize_t size;
    Py_buffer view;
    if (Py_IS_TYPE(entry, &PyBytes_Type))
        return PyBytes_AsStringAndSize(entry, &bytes, &size) < 0 ? -1 : size;
    if (PyObject_GetBuffer(entry, &view, PyBUF_SIMPLE) < 0)
        return -1;
    size = view.len;
    PyBuffer_Release(&view);
    return size;
}

/* J3: look through the entries; *bytes is what all of them have. */
static int many_check(struct many *many, PyObject *entries, uint64_t *bytes) {
    *bytes = 0;
    for (uint64_t i = 0; i < many->total; i++) {
        PyObject *entry = PyTuple_GetItem(entries, (Py_ssize_t)i);
        Py_ssize_t size = entry == NULL ? -1 : size_of_entry(entry);
        if (size < 0)
            return RAISED;
        if ((uint64_t)size > many->payload_max)
            return many_refuse(many, (uint64_t)size);
        *bytes += (uint64_t)size;
    }
    return FASTER_OK;
}

/* Append the entries of a sequence. */
static int many_sequence(struct many *many, PyObject *entries) {
    uint64_t bytes;
    int status = many_check(many, entries, &bytes);
    if (status == FASTER_OK && many->atomic && bytes > many->payload_max)
        return many_refuse(many, bytes);
    if (status == FASTER_OK)
        status = many_room(many, many->atomic ? many->total : MANY_ENTRIES,
                           many->atomic ? bytes : MANY_BYTES);
    for (uint64_t i = 0; status == FASTER_OK && i < many->total; i++) {
        PyObject *entry = PyTuple_GetItem(entries, (Py_ssize_t)i);
        status = entry == NULL ? RAISED : many_take_object(many, entry);
    }
    return status == FASTER_OK ? many_flush(many) : status;
}

/* J2: copy offsets [first, first + count], and check them. */
static int many_offsets(struct many *many, const Py_buffer *offsets, uint64_t first,
                        uint64_t count, uint64_t limit) {
    memcpy(many->offsets, (const uint8_t *)offsets->buf + first * sizeof(uint64_t),
           (size_t)(count + 1) * sizeof(uint64_t));
    uint64_t last = many->offsets[0];
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t next = many->offsets[i];
        if (next < last || next > limit)
            return many_wrong("offsets must ascend and stay within the data");
        if (next - last > many->payload_max)
            return many_refuse(many, next - last);
        last = next;
    }
    return last > limit ? many_wrong("offsets must stay within the data") : FASTER_OK;
}

/* Append the entries of one buffer, in slices; the first round only looks (J3). */
static int many_slices(struct many *many, const Py_buffer *data,
                       const Py_buffer *offsets) {
    uint64_t most = many->atomic ? many->total : MANY_OFFSETS;
    int status = many_offsets(many, offsets, 0, 0, (uint64_t)data->len);
    for (int round = 0; round < 2 && status == FASTER_OK; round++)
        for (uint64_t i = 0, n; i < many->total && status == FASTER_OK; i += n) {
            n = many->total - i < most ? many->total - i : most;
            status = many_offsets(many, offsets, i, n, (uint64_t)data->len);
            if (round == 1 && status == FASTER_OK)
                status = many_run(many, data->buf, many->offsets, n);
        }
    return status;
}

/* Whether a buffer holds integers of 8 bytes, or bytes that are such. */
static int holds_words(const Py_buffer *view) {
    const char *format = view->format == NULL ? "B" : view->format;
    size_t length = strlen(format);
    int word = view->itemsize == 8 || view->itemsize == 1;
    return length > 0 && length <= 2 && word &&
           strchr("QqLlBbc", format[length - 1]) != NULL && view->len % 8 == 0;
}

/* Append what lies in a row, with offsets. */
static int many_buffer(struct many *many, PyObject *data, PyObject *offsets) {
    Py_buffer bytes, words;
    int status = RAISED;
    if (PyObject_GetBuffer(data, &bytes, PyBUF_SIMPLE) < 0)
        return RAISED;
    if (PyObject_GetBuffer(offsets, &words, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) == 0) {
        uint64_t found = (uint64_t)words.len / sizeof(uint64_t);
        if (!holds_words(&words) || found == 0 || many->total != found - 1)
            many_wrong("offsets: one integer of 64 bits more than there are entries");
        else
            status = FASTER_OK;
        if (status == FASTER_OK && many->atomic)
            status = many_room(many, many->total, 0);
        else if (status == FASTER_OK)
            status = many_room(many, MANY_ENTRIES, MANY_BYTES);
        if (status == FASTER_OK)
            status = many_slices(many, &bytes, &words);
        PyBuffer_Release(&words);
    } else if (!PyObject_CheckBuffer(offsets)) {
        many_shape("offsets: give array(\"Q\", [...]), or another buffer of uint64");
    }
    PyBuffer_Release(&bytes);
    return status;
}

/* Lock the room for addresses, once it is known how many there will be. */
static int many_addresses(struct many *many, PyObject *object, uint64_t total) {
    if (object == NULL || object == Py_None)
        return FASTER_OK;
    int flags = PyBUF_WRITABLE | PyBUF_FORMAT | PyBUF_C_CONTIGUOUS;
    if (PyObject_GetBuffer(object, &many->view, flags) < 0)
        return RAISED;
    many->addresses = many->view.buf;
    int placed = (uintptr_t)many->view.buf % sizeof(uint64_t) == 0 ||
                 many->view.len == 0; /* of nothing: anywhere */
    if (!holds_words(&many->view) || !placed)
        return many_wrong("addresses: room for integers of 64 bits is needed");
    if ((uint64_t)many->view.len / sizeof(uint64_t) < total)
        return many_wrong("addresses: there is not room for one of each entry");
    return FASTER_OK;
}

/* How many entries a buffer with offsets has. */
static uint64_t count_offsets(PyObject *offsets) {
    Py_buffer view;
    if (PyObject_GetBuffer(offsets, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear(); /* many_buffer() will say so */
        return 0;
    }
    uint64_t found = (uint64_t)view.len / sizeof(uint64_t);
    PyBuffer_Release(&view);
    return found == 0 ? 0 : found - 1;
}

/* Bring the arguments into place, and append. */
static int many_start(struct many *many, PyObject *const *in) {
    int status = FASTER_OK, packed = in[1] != NULL && in[1] != Py_None;
    int atomic = in[2] == NULL ? 0 : PyObject_IsTrue(in[2]);
    if (!packed && (PyBytes_Check(in[0]) || PyByteArray_Check(in[0])))
        return many_shape("append_many: one buffer needs offsets=array(\"Q\", [...])");
    PyObject *entries = packed || atomic < 0 ? NULL : PySequence_Tuple(in[0]);
    if (atomic < 0 || (!packed && entries == NULL))
        return RAISED;
    many->atomic = (uint32_t)atomic;
    many->total = packed ? count_offsets(in[1]) : (uint64_t)PyTuple_Size(entries);
    status = many_addresses(many, in[3], many->total);
    if (status == FASTER_OK && many->log->flog == NULL)
        status = FASTER_E_CLOSED; /* taking the arguments may have run anything */
    if (status == FASTER_OK) {
        many->payload_max = hot.table->flog_payload_max(many->log->flog);
        status =
            packed ? many_buffer(many, in[0], in[1]) : many_sequence(many, entries);
    }
    Py_XDECREF(entries);
    return status;
}

static PyObject *log_append_many(PyObject *object, PyObject *const *args,
                                 Py_ssize_t given, PyObject *keywords) {
    static const struct signature signature = {
        "append_many(entries, *, [offsets], [atomic], [addresses])",
        1,
        4,
        {"entries", "offsets", "atomic", "addresses"}};
    PyObject *in[4];
    if (arguments(&signature, args, given, keywords, in) < 0)
        return NULL;
    struct many many = {.log = (struct log *)object, .refused = -1};
    int status = many_start(&many, in);
    many_close(&many);
    if (status == FASTER_OK)
        return PyLong_FromUnsignedLongLong(many.end);
    const struct failure failure = {
        .where = "append_many", .done = (int64_t)many.done, .size = many.refused};
    log_raise_more(object, status, &failure, &nothing_damaged);
    return NULL;
}

/* --- the log as an object --------------------------------------------------------- */

static PyObject *log_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"address", "handle", "owner", NULL};
    PyObject *address, *handle, *owner = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|O:Log", names, &address,
                                     &handle, &owner))
        return NULL;
    void *flog = PyLong_AsVoidPtr(address);
    if (flog == NULL || hot.table == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "no log, or init() was not called");
        return NULL;
    }
    struct log *self = holder_new(type);
    if (self == NULL)
        return NULL;
    self->flog = flog;
    hold(self, LOG_HANDLE, handle);
    hold(self, LOG_OWNER, owner);
    return (PyObject *)self;
}

static int log_clear(PyObject *object) {
    ((struct log *)object)->flog = NULL; /* J4 */
    return holder_clear(object);
}

static void log_dealloc(PyObject *object) {
    struct log *self = (struct log *)object;
    PyObject_GC_UnTrack(object);
    if (self->weak != NULL)
        PyObject_ClearWeakRefs(object);
    self->flog = NULL; /* J4 */
    PyMem_Free(self->scratch);
    holder_dealloc(object);
}

static PyObject *log_address(PyObject *object, void *Py_UNUSED(closure)) {
    return PyLong_FromVoidPtr(((struct log *)object)->flog);
}

static PyObject *log_payload_max(PyObject *object, void *Py_UNUSED(closure)) {
    const struct log *self = (struct log *)object;
    return PyLong_FromUnsignedLongLong(
        self->flog ? hot.table->flog_payload_max(self->flog) : 0);
}

#endif
