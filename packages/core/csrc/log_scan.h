/* SPDX-License-Identifier: MIT */
/*
 * log_scan.h: reading a durable log
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   A loop over a log's entries costs what making their objects costs; whoever wants to
 *   do without these gets the log's bytes as they are.
 *
 * Model
 *   LogScan  an iterator over a struct faster_flog_scan; one thread at a time
 *   Entry    an address, the bytes, and where it goes on; made in great numbers, so a
 *            few dead ones are kept for the next
 *   Piece    the entries that are in memory now, with their bytes where they are
 *   Lent     what exports a part of a piece as a buffer, and keeps it alive
 *
 * Invariants
 *   S1  A scan is freed before its log: it holds the log's handle, and drops it last.
 *   S2  `busy` is set while a thread is inside the core without the GIL.  Any other one
 *       that comes meanwhile is refused (FASTER_E_BUSY), and nothing is freed.
 *   S3  A piece belongs to nobody else: it may outlive its scan and its log.
 *   S4  The collector does not see an Entry, a Piece or a Lent: none of them refers to
 *       anything that could refer to it.
 *
 * Ordering
 *   none: `busy` is read and written with the GIL held.
 */
#ifndef PYFASTER_LOG_SCAN_H
#define PYFASTER_LOG_SCAN_H

#include "log.h"

enum { SCAN_HANDLE, SCAN_LOG };
enum { ENTRY_SPARES = 64 };

struct scan {
    struct holder head;
    struct faster_flog_scan *scan; /* NULL: closed */
    PyObject *weak;
    int busy;
};

struct entry {
    PyObject_HEAD PyObject *payload;
    unsigned long long address, next;
    unsigned int kind;
};

struct log_piece {
    PyObject_HEAD struct faster_flog_piece piece;
};

struct lent {
    PyObject_HEAD PyObject *keeper;
    const void *data;
    Py_ssize_t count, unit;
    const char *format;
};

/* --- entries ---------------------------------------------------------------------- */

static struct {
    struct entry *of[ENTRY_SPARES];
    int count;
} entry_spares;

static PyObject *entry_new(const struct faster_flog_entry *found) {
    PyObject *payload = PyBytes_FromStringAndSize(found->data, (Py_ssize_t)found->size);
    if (payload == NULL)
        return NULL;
    struct entry *self;
    if (entry_spares.count > 0)
        self = (struct entry *)PyObject_Init(
            (PyObject *)entry_spares.of[--entry_spares.count], hot.entry);
    else
        self = PyObject_New(struct entry, hot.entry);
    if (self == NULL) {
        Py_DECREF(payload);
        return NULL;
    }
    self->payload = payload;
    self->address = found->address;
    self->next = found->next;
    self->kind = found->kind;
    return (PyObject *)self;
}

static void entry_dealloc(PyObject *object) {
    struct entry *self = (struct entry *)object;
    PyTypeObject *type = Py_TYPE(object);
    Py_DECREF(self->payload);
    if (entry_spares.count < ENTRY_SPARES)
        entry_spares.of[entry_spares.count++] = self;
    else
        PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *entry_repr(PyObject *object) {
    const struct entry *self = (struct entry *)object;
    return PyUnicode_FromFormat("Entry(address=%llu, payload=%.80R, next=%llu)",
                                self->address, self->payload, self->next);
}

#define ENTRY_MEMBER(field, type) type, offsetof(struct entry, field), READONLY
static PyMemberDef entry_members[] = {
    {"address", ENTRY_MEMBER(address, T_ULONGLONG), "Where it is in the log."},
    {"payload", ENTRY_MEMBER(payload, T_OBJECT_EX), "Its bytes."},
    {"next", ENTRY_MEMBER(next, T_ULONGLONG), "Where to go on behind it."},
    {"kind", ENTRY_MEMBER(kind, T_UINT), "1 for an entry, 2 for a commit record."},
    {NULL, 0, 0, 0, NULL}};
static PyType_Slot entry_slots[] = {{Py_tp_dealloc, entry_dealloc},
                                    {Py_tp_repr, entry_repr},
                                    {Py_tp_members, entry_members},
                                    {Py_tp_doc, "An entry of a durable log."},
                                    {0, NULL}};
static PyType_Spec entry_spec = {"pyfaster._hot.Entry", sizeof(struct entry), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 entry_slots};

/* --- what lends ------------------------------------------------------------------- */

static int lent_export(PyObject *object, Py_buffer *buffer, int flags) {
    struct lent *self = (struct lent *)object;
    buffer->obj = NULL;
    if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE) {
        PyErr_SetString(PyExc_BufferError, "a log's bytes are not for writing");
        return -1;
    }
    buffer->buf = (void *)self->data;
    buffer->len = self->count * self->unit;
    buffer->itemsize = self->unit;
    buffer->readonly = 1;
    buffer->ndim = 1;
    buffer->format =
        (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? (char *)self->format : NULL;
    buffer->shape = (flags & PyBUF_ND) == PyBUF_ND ? &self->count : NULL;
    buffer->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &self->unit : NULL;
    buffer->suboffsets = NULL;
    buffer->internal = NULL;
    buffer->obj = Py_NewRef(object);
    return 0;
}

static void lent_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(((struct lent *)object)->keeper);
    PyObject_Free(object);
    Py_DECREF(type);
}

/* A memoryview of a piece's bytes or numbers. */
static PyObject *lend(PyObject *keeper, const void *data, uint64_t count, size_t unit,
                      const char *format) {
    struct lent *self = PyObject_New(struct lent, hot.lent);
    if (self == NULL)
        return NULL;
    self->keeper = Py_NewRef(keeper);
    self->data = data;
    self->count = (Py_ssize_t)count;
    self->unit = (Py_ssize_t)unit;
    self->format = format;
    PyObject *view = PyMemoryView_FromObject((PyObject *)self);
    Py_DECREF(self);
    return view;
}

static PyType_Slot lent_slots[] = {{Py_tp_dealloc, lent_dealloc},
                                   {Py_bf_getbuffer, lent_export},
                                   {Py_tp_doc, "A part of a log, lent."},
                                   {0, NULL}};
static PyType_Spec lent_spec = {"pyfaster._hot.Lent", sizeof(struct lent), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                lent_slots};

/* --- pieces ----------------------------------------------------------------------- */

static const struct faster_flog_piece *piece_at(PyObject *object) {
    return &((struct log_piece *)object)->piece;
}

static void piece_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    hot.table->flog_piece_free(piece_at(object)->chunk);
    PyObject_Free(object);
    Py_DECREF(type);
}

static Py_ssize_t piece_length(PyObject *object) {
    return (Py_ssize_t)piece_at(object)->count;
}

static PyObject *piece_item(PyObject *object, Py_ssize_t i) {
    const struct faster_flog_piece *piece = piece_at(object);
    if (i < 0 || (uint64_t)i >= piece->count) {
        PyErr_SetString(PyExc_IndexError, "there are not so many entries");
        return NULL;
    }
    return lend(object, (const uint8_t *)piece->data + piece->starts[i],
                piece->sizes[i], 1, "B");
}

static PyObject *piece_payloads(PyObject *object, PyObject *Py_UNUSED(none)) {
    const struct faster_flog_piece *piece = piece_at(object);
    PyObject *list = PyList_New((Py_ssize_t)piece->count);
    for (uint64_t i = 0; list != NULL && i < piece->count; i++) {
        PyObject *payload = PyBytes_FromStringAndSize(
            (const char *)piece->data + piece->starts[i], piece->sizes[i]);
        if (payload == NULL || PyList_SetItem(list, (Py_ssize_t)i, payload) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *piece_data(PyObject *object, void *Py_UNUSED(closure)) {
    const struct faster_flog_piece *piece = piece_at(object);
    return lend(object, piece->data, piece->size, 1, "B");
}

static PyObject *piece_starts(PyObject *object, void *Py_UNUSED(closure)) {
    const struct faster_flog_piece *piece = piece_at(object);
    return lend(object, piece->starts, piece->count, sizeof *piece->starts, "I");
}

static PyObject *piece_sizes(PyObject *object, void *Py_UNUSED(closure)) {
    const struct faster_flog_piece *piece = piece_at(object);
    return lend(object, piece->sizes, piece->count, sizeof *piece->sizes, "I");
}

static PyObject *piece_address(PyObject *object, void *Py_UNUSED(closure)) {
    return PyLong_FromUnsignedLongLong(piece_at(object)->address);
}

static PyMethodDef piece_methods[] = {
    {"payloads", piece_payloads, METH_NOARGS, "All payloads as a list of bytes."},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef piece_getset[] = {
    {"data", piece_data, NULL, "The log's bytes, where they are.", NULL},
    {"starts", piece_starts, NULL, "Where in them each payload begins.", NULL},
    {"sizes", piece_sizes, NULL, "How many bytes each payload has.", NULL},
    {"address", piece_address, NULL, "The first byte's address in the log.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot piece_slots[] = {{Py_tp_dealloc, piece_dealloc},
                                    {Py_tp_methods, piece_methods},
                                    {Py_tp_getset, piece_getset},
                                    {Py_tp_iter, PySeqIter_New},
                                    {Py_sq_length, piece_length},
                                    {Py_sq_item, piece_item},
                                    {Py_tp_doc, "Entries of a log, where they are."},
                                    {0, NULL}};
static PyType_Spec piece_spec = {"pyfaster._hot.Piece", sizeof(struct log_piece), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 piece_slots};

/* --- scans ------------------------------------------------------------------------ */

/* Whether another thread is inside (S2), or the scan is closed: a status. */
static inline int scan_refused(const struct scan *self) {
    if (self->busy)
        return FASTER_E_BUSY;
    return self->scan == NULL ? FASTER_E_CLOSED : FASTER_OK;
}

/* Bring what comes next into memory; FASTER_OK, FASTER_NOT_FOUND, or a failure. */
static int scan_fill(struct scan *self) {
    int status;
    do { /* ends with the read, the log or the caller's patience */
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS;
        status = hot.table->flog_scan_fill(self->scan, SLICE_MS);
        Py_END_ALLOW_THREADS;
        self->busy = 0;
        if (status == FASTER_E_TIMEOUT && PyErr_CheckSignals() != 0)
            return RAISED;
        if (status == FASTER_E_TIMEOUT && self->scan == NULL)
            return FASTER_E_CLOSED; /* by a signal handler */
    } while (status == FASTER_E_TIMEOUT);
    return status;
}

/* Fill as long as something waits for it. */
#define UNTIL_FILLED(self, status, call)                                               \
    do                                                                                 \
        if (((status) = scan_refused(self)) == FASTER_OK)                              \
            (status) = (call);                                                         \
    while ((status) == FASTER_PENDING && ((status) = scan_fill(self)) == FASTER_OK)

static PyObject *scan_raise(const struct scan *self, int status) {
    struct faster_flog_damage damage = {.what = FASTER_FLOG_WHOLE};
    if (status == FASTER_E_CORRUPT)
        hot.table->flog_scan_damage(self->scan, &damage);
    log_raise_more((PyObject *)self, status, FAILURE(.where = "reading the log"),
                   &damage);
    return NULL;
}

static PyObject *scan_next(PyObject *object) {
    struct scan *self = (struct scan *)object;
    struct faster_flog_entry entry;
    int status;
    UNTIL_FILLED(self, status, hot.table->flog_scan_next(self->scan, &entry));
    if (status == FASTER_OK)
        return entry_new(&entry);
    return status == FASTER_NOT_FOUND ? NULL : scan_raise(self, status);
}

static PyObject *scan_next_piece(PyObject *object, PyObject *Py_UNUSED(none)) {
    struct scan *self = (struct scan *)object;
    struct log_piece *made = PyObject_New(struct log_piece, hot.piece);
    int status;
    if (made == NULL)
        return NULL;
    made->piece = (struct faster_flog_piece){.chunk = NULL};
    UNTIL_FILLED(self, status, hot.table->flog_scan_piece(self->scan, &made->piece));
    if (status == FASTER_OK)
        return (PyObject *)made;
    made->piece.chunk = NULL;
    Py_DECREF(made);
    if (status == FASTER_NOT_FOUND)
        return Py_NewRef(Py_None);
    return scan_raise(self, status);
}

static PyObject *scan_batches(PyObject *object, PyObject *Py_UNUSED(none)) {
    PyObject *next = PyObject_GetAttrString(object, "next_piece");
    PyObject *result = next == NULL ? NULL : PyCallIter_New(next, Py_None);
    Py_XDECREF(next);
    return result;
}

/* Free what the core has of it; reads on their way are waited for, outside. */
static void scan_end(struct scan *self) {
    struct faster_flog_scan *scan = self->scan;
    self->scan = NULL;
    if (scan == NULL)
        return;
    PyThreadState *state = PyEval_SaveThread();
    hot.table->flog_scan_free(scan);
    PyEval_RestoreThread(state);
}

static PyObject *scan_close(PyObject *object, PyObject *Py_UNUSED(none)) {
    struct scan *self = (struct scan *)object;
    PyObject *handle = Py_XNewRef(self->head.held[SCAN_HANDLE]); /* S1 */
    int busy = self->busy;
    if (!busy)
        scan_end(self);
    Py_XDECREF(handle);
    if (busy)
        return log_raise(object, FASTER_E_BUSY, "closing a scan"), NULL;
    return Py_NewRef(Py_None);
}

static PyObject *scan_enter(PyObject *object, PyObject *Py_UNUSED(none)) {
    return Py_NewRef(object);
}

static PyObject *scan_exit(PyObject *object, PyObject *Py_UNUSED(error)) {
    return scan_close(object, NULL);
}

static int scan_clear(PyObject *object) {
    scan_end((struct scan *)object); /* S1 */
    return holder_clear(object);
}

static void scan_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    if (((struct scan *)object)->weak != NULL)
        PyObject_ClearWeakRefs(object);
    scan_end((struct scan *)object); /* S1 */
    holder_dealloc(object);
}

static PyObject *scan_position(PyObject *object, void *Py_UNUSED(closure)) {
    struct scan *self = (struct scan *)object;
    int status = scan_refused(self);
    if (status != FASTER_OK)
        return log_raise(object, status, "position"), NULL;
    return PyLong_FromUnsignedLongLong(hot.table->flog_scan_position(self->scan));
}

static PyMethodDef scan_methods[] = {
    {"next_piece", scan_next_piece, METH_NOARGS,
     "Give all entries that are in memory next, or None."},
    {"batches", scan_batches, METH_NOARGS, "Iterate over pieces."},
    {"close", scan_close, METH_NOARGS, "End; a second call does nothing."},
    {"__enter__", scan_enter, METH_NOARGS, NULL},
    {"__exit__", scan_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef scan_getset[] = {
    {"position", scan_position, NULL, "Where it goes on.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
static PyMemberDef scan_members[] = {
    {"log", T_OBJECT, offsetof(struct scan, head.held[SCAN_LOG]), READONLY,
     "What is read."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct scan, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};
static PyType_Slot scan_slots[] = {{Py_tp_dealloc, scan_dealloc},
                                   {Py_tp_traverse, holder_traverse},
                                   {Py_tp_clear, scan_clear},
                                   {Py_tp_iter, PyObject_SelfIter},
                                   {Py_tp_iternext, scan_next},
                                   {Py_tp_methods, scan_methods},
                                   {Py_tp_getset, scan_getset},
                                   {Py_tp_members, scan_members},
                                   {Py_tp_doc, "Reads a durable log, entry by entry."},
                                   {0, NULL}};
static PyType_Spec scan_spec = {"pyfaster._hot.LogScan", sizeof(struct scan), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                    Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                scan_slots};

/* --- of a log --------------------------------------------------------------------- */

/* A number of 64 bits; what is left out, or None, is 0. */
static int number_of(PyObject *object, uint64_t most, uint64_t *number) {
    *number = 0;
    if (object == NULL || object == Py_None)
        return 0;
    PyObject *whole = PyNumber_Index(object);
    unsigned long long found = whole == NULL ? 0 : PyLong_AsUnsignedLongLong(whole);
    Py_XDECREF(whole);
    *number = found;
    if (PyErr_Occurred())
        return -1;
    if (found <= most)
        return 0;
    PyErr_Format(PyExc_OverflowError, "%llu is more than %llu", found,
                 (unsigned long long)most);
    return -1;
}

static PyObject *scan_begin(struct log *log,
                            const struct faster_flog_scan_config *config) {
    struct scan *self = holder_new(hot.log_scan);
    if (self == NULL)
        return NULL;
    hold(self, SCAN_LOG, (PyObject *)log);
    hold(self, SCAN_HANDLE, log->head.held[LOG_HANDLE]);
    int status = log->flog == NULL
                     ? FASTER_E_CLOSED
                     : hot.table->flog_scan_open(log->flog, config, &self->scan);
    if (status == FASTER_OK)
        return (PyObject *)self;
    self->scan = NULL;
    Py_DECREF(self);
    log_raise((PyObject *)log, status, "scan");
    return NULL;
}

static PyObject *log_scan(PyObject *object, PyObject *const *args, Py_ssize_t given,
                          PyObject *keywords) {
    static const struct signature signature = {
        "scan([start], [until], *, [commits], [read_ahead])",
        0,
        4,
        {"start", "until", "commits", "read_ahead"}};
    PyObject *in[4];
    uint64_t from, until, read_ahead;
    if (arguments(&signature, args, given, keywords, in) < 0 ||
        number_of(in[0], UINT64_MAX, &from) < 0 ||
        number_of(in[1], UINT64_MAX, &until) < 0 ||
        number_of(in[3], UINT32_MAX, &read_ahead) < 0)
        return NULL;
    int commits = in[2] == NULL ? 0 : PyObject_IsTrue(in[2]);
    if (commits < 0)
        return NULL;
    const struct faster_flog_scan_config config = {.size = sizeof config,
                                                   .commits = (uint32_t)commits,
                                                   .from = from,
                                                   .until = until,
                                                   .read_ahead = (uint32_t)read_ahead};
    return scan_begin((struct log *)object, &config);
}

/* Read one entry, outside; FASTER_SHORT when it has no room. */
static int read_outside(const struct log *self, uint64_t address, struct value *value,
                        struct faster_flog_damage *damage) {
    int status;
    if (self->flog == NULL)
        return FASTER_E_CLOSED;
    Py_BEGIN_ALLOW_THREADS;
    status = hot.table->flog_read(self->flog, address, value->data, value->capacity,
                                  &value->size, damage);
    Py_END_ALLOW_THREADS;
    return status;
}

static PyObject *log_read(PyObject *object, PyObject *where) {
    struct log *self = (struct log *)object;
    struct faster_flog_damage damage = {.what = FASTER_FLOG_WHOLE};
    struct value value;
    uint64_t address;
    int status;
    if (number_of(where, UINT64_MAX, &address) < 0)
        return NULL;
    value_open(&value);
    do /* ends: FASTER_SHORT says what it needs */
        status = read_outside(self, address, &value, &damage);
    while (status == FASTER_SHORT && value_room(&value, value.size, &status));
    PyObject *result = NULL;
    if (status == FASTER_OK)
        result = PyBytes_FromStringAndSize((char *)value.data, (Py_ssize_t)value.size);
    else
        log_raise_more(object, status, FAILURE(.where = "reading an entry"), &damage);
    value_close(&value);
    return result;
}

static PyMethodDef log_methods[] = {
    {"append", log_append, METH_O,
     "append($self, data, /)\n--\n\nAppend an entry; give its address."},
    {"try_append", log_try_append, METH_O,
     "try_append($self, data, /)\n--\n\nThe same; None when there is no room now."},
    {"append_many", CALL(log_append_many), FAST,
     "append_many($self, entries, *, offsets=None, atomic=False, addresses=None)\n--"
     "\n\nAppend many entries in order; give the address behind the last."},
    {"append_and_commit", log_append_and_commit, METH_O,
     "append_and_commit($self, data, /)\n--\n\n"
     "Append an entry and wait until it is durable; give its address."},
    {"read", log_read, METH_O, "read($self, address, /)\n--\n\nGive an entry's bytes."},
    {"scan", CALL(log_scan), FAST,
     "scan($self, start=0, until=0, *, commits=False, read_ahead=1)\n--\n\n"
     "Iterate over what is committed."},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef log_getset[] = {
    {"address", log_address, NULL, "Where the core's log is.", NULL},
    {"payload_max", log_payload_max, NULL, "The largest payload.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
static PyMemberDef log_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct log, weak), READONLY, NULL},
    {"owner", T_OBJECT, offsetof(struct log, head.held[LOG_OWNER]), READONLY,
     "What the device belongs to."},
    {NULL, 0, 0, 0, NULL}};
static PyType_Slot log_slots[] = {{Py_tp_new, log_new},
                                  {Py_tp_dealloc, log_dealloc},
                                  {Py_tp_traverse, holder_traverse},
                                  {Py_tp_clear, log_clear},
                                  {Py_tp_methods, log_methods},
                                  {Py_tp_getset, log_getset},
                                  {Py_tp_members, log_members},
                                  {Py_tp_doc, "A durable log."},
                                  {0, NULL}};
static PyType_Spec log_spec = {
    "pyfaster._hot.Log", sizeof(struct log), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, log_slots};

#endif
