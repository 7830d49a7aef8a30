/* SPDX-License-Identifier: MIT */
/*
 * hot.h: what the parts of the module `pyfaster._hot` share
 *
 * Included by hot.c, after Python.h, and by nothing else: the module is one translation
 * unit, so that encoders and the core's calls meet in one function.
 *
 * Purpose
 *   A call through cffi costs several times what a read costs.  So the operations of a
 *   session are methods of a C type, called by METH_FASTCALL.  They hold no logic of
 *   the store: encode the arguments, call the core, decode the result.
 *
 * Model
 *   Codec    how objects become bytes and come back (codec.h)
 *   Items    many encoded objects in a row, packed or borrowed (batch.h)
 *   Merge    what the core combines values with: a named kind, or machine code
 *   Session  owns one struct faster_session, and keeps the store's handle alive
 *   Operation  one that waits for the device: what an asynchronous session is awaited
 *            with (pending.h)
 *   Log      owns one struct faster_flog (log.h), and LogScan reads it (log_scan.h)
 *   The core is reached through a table of functions that init() is given.
 *
 * Invariants
 *   H1  Nothing is decided about the store here; every outcome is the core's.
 *   H2  The core sees a pointer only while the object that it points into is held and
 *       cannot move.
 *   H3  A session's handle is NULL only once the object is garbage; else it is valid.
 *   H4  The store's handle is a capsule, which no collector finalizes: it goes with the
 *       last of those that hold it, so a finalizer of the user's may still use it.
 *
 * Ordering
 *   none: a session's slot in the core keeps a second thread out (FASTER_E_BUSY).
 *
 * The GIL
 *   Single operations keep it: the core never waits inside one.  It is released to wait
 *   after FASTER_RETRY and FASTER_PENDING (calls.h), for all batches of a store with a
 *   device, which may need the GIL itself, and for batches of more than BATCH_HELD
 *   items; shorter ones may wait between items, but only for threads that do not need
 *   it.
 *
 * Limits
 *   Stable ABI of CPython 3.11.  A method cannot get at its module's state without a
 *   search, so the state is one static, and the module is made once in a process
 *   (single-phase initialisation), which subinterpreters and builds without a GIL
 *   respect.
 */
#ifndef PYFASTER_HOT_H
#define PYFASTER_HOT_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#include "faster/api.h"
#include "faster/hot_table.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "stored numbers are little-endian and are copied as they are"
#endif

enum {
    VALUE_STACK = 2048,      /* bytes of a value that are read without an allocation */
    BATCH_HELD = 64,         /* items of a batch that is run with the GIL held */
    BATCH_SLICE = 1 << 16,   /* items between two looks for signals */
    WAITING_SLICE = 1 << 14, /* the same where items may wait for a device */
    ITEM_GUESS = 32,         /* bytes of an item before anything is known */
    RAISED = INT_MIN         /* not a status: a Python exception has been set already */
};

/* Every object here begins alike, so one traverse and one clear serve all types. */
enum { HELD = 4 };
struct holder {
    PyObject_HEAD PyObject *held[HELD];
};
enum { CODEC_ENCODE, CODEC_DECODE };
enum { MERGE_NAME, MERGE_INPUT, MERGE_KEEP };
enum { ITEMS_SOURCE };
enum { SESSION_OWNER, SESSION_KEY, SESSION_VALUE, SESSION_HANDLE };

/* Names as in protocols.NATIVE_KINDS, and those that Python callables serve. */
enum kind { BYTES, STR, INT64, UINT64, FLOAT64, FIXED_BYTES, PYTHON, KINDS };
static const char *const kind_names[KINDS] = {
    "bytes", "str", "int64", "uint64", "float64", "fixed_bytes", "python"};
static const char *const kind_types[KINDS] = {
    "bytes", "str", "int", "int", "float", "bytes", "bytes from encode"};

struct codec {
    struct holder head;
    enum kind kind;
    int key;         /* serves keys: equal objects must give equal bytes */
    Py_ssize_t size; /* of every encoded object, or -1 */
};
struct merge {
    struct holder head;
    struct faster_merge merge;
    int outlives; /* kept for good (merge_outlives) */
};
struct items {
    struct holder head;
    struct faster_items items;
    uint64_t count;
    uint8_t *data;     /* owned, or NULL */
    uint64_t *offsets; /* owned, or NULL */
    Py_buffer view;    /* borrowed when view.obj is set */
};
/* What an asynchronous session has of its event loop. */
enum { LOOP_ITSELF, LOOP_RUNNING, LOOP_FUTURE, LOOP_SOON, LOOP_PARTS };

struct ongoing;
struct ongoings {
    struct ongoing *first, *last;
};
struct session {
    struct holder head;
    struct faster_session *session;
    PyObject *weak;
    uint64_t page_size; /* the store's, for messages; 0 when unknown */
    int fixed;          /* the store's layout: both codecs have a size */
    int waits;          /* the store has a device: any batch may wait for it */

    /* pending.h */
    int due;                /* LOOP_SOON was called, and resolve() was not yet */
    struct ongoings flying; /* the core has them */
    struct ongoings again;  /* the core would not take them yet */
    struct ongoing *spare;
    PyObject *loop[LOOP_PARTS];
};

static struct {
    const struct faster_hot_table *table;
    PyObject *factory;     /* core_error() of errors.py */
    PyObject *merges;      /* dict of name -> Merge */
    PyObject *recent_name; /* the name found last */
    struct merge *recent;
    PyObject *pending;                    /* the sentinel PENDING */
    PyObject *set_result, *set_exception; /* names of a future's methods */
    PyTypeObject *codec, *merge, *items, *session, *view, *async_session, *operation;
    PyObject *log_errors; /* log_error() of flog.py */
    PyTypeObject *log, *log_scan, *entry, *piece, *lent;
} hot;

static inline struct codec *key_codec(const struct session *self) {
    return (struct codec *)self->head.held[SESSION_KEY];
}

static inline struct codec *value_codec(const struct session *self) {
    return (struct codec *)self->head.held[SESSION_VALUE];
}

/* --- objects ---------------------------------------------------------------------- */

static int holder_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    for (int i = 0; i < HELD; i++)
        Py_VISIT(((struct holder *)object)->held[i]);
    return 0;
}

static int holder_clear(PyObject *object) {
    for (int i = 0; i < HELD; i++)
        Py_CLEAR(((struct holder *)object)->held[i]);
    return 0;
}

static void holder_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    holder_clear(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static void *holder_new(PyTypeObject *type) {
    return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

static void hold(void *object, int slot, PyObject *value) {
    ((struct holder *)object)->held[slot] = Py_XNewRef(value == Py_None ? NULL : value);
}

/* --- errors ----------------------------------------------------------------------- */

/* What a failure is told with; NULL and -1 where there is nothing to tell. */
struct failure {
    const char *where, *note; /* the note replaces the sentence of the status */
    PyObject *key;
    int64_t item, done;  /* of a batch */
    int64_t size, limit; /* of what was too large */
    uint64_t page_size;
};
#define FAILURE(...)                                                                   \
    (&(struct failure){.item = -1, .done = -1, .size = -1, __VA_ARGS__})

/* Tell in the attribute `done` how many items of a batch were finished. */
static int tell_done(PyObject *error, int64_t done) {
    PyObject *count = PyLong_FromLongLong(done);
    int status = count == NULL ? -1 : PyObject_SetAttrString(error, "done", count);
    Py_XDECREF(count);
    return status;
}

/* Set the exception of a failure. */
static int raise_failure(int status, const struct failure *failure) {
    if (status == RAISED)
        return -1;
    PyObject *error = hot.factory == NULL
                          ? PyObject_CallFunction(PyExc_RuntimeError, "s",
                                                  hot.table->error_text(status))
                          : PyObject_CallFunction(
                                hot.factory, "isOLLLLKz", status, failure->where,
                                failure->key == NULL ? Py_None : failure->key,
                                (long long)failure->item, (long long)failure->done,
                                (long long)failure->size, (long long)failure->limit,
                                (unsigned long long)failure->page_size, failure->note);
    if (error != NULL && failure->done >= 0 && tell_done(error, failure->done) < 0)
        Py_CLEAR(error);
    if (error != NULL && PyExceptionInstance_Check(error))
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    else if (error != NULL)
        PyErr_SetString(PyExc_SystemError, "the error factory gave no exception");
    Py_XDECREF(error);
    return -1;
}

static int raise_status(int status, const char *where, PyObject *key) {
    return raise_failure(status, FAILURE(.where = where, .key = key));
}

/* Turn the end of an operation into an outcome, or into an exception and -1. */
static inline int finish(int status, const char *where, PyObject *key) {
    if (status >= FASTER_OK && status <= FASTER_MISMATCH)
        return status;
    return raise_status(status, where, key);
}

/* --- sizes, for messages and before a batch is cut into slices ------------------- */

enum { RECORD_HEAD = 24, PAGE_HEAD = 64, KEY_MAX = UINT16_MAX };

/* The largest key of a store of varying sizes. */
static uint64_t key_limit(const struct session *self) {
    uint64_t most = self->page_size - PAGE_HEAD - RECORD_HEAD;
    return most < KEY_MAX ? most & ~(uint64_t)7 : KEY_MAX;
}

/* The largest value beside a key that is within its limit. */
static uint64_t value_limit(const struct session *self, uint64_t key_size) {
    return (self->page_size - PAGE_HEAD - RECORD_HEAD - key_size) & ~(uint64_t)7;
}

/* Explain that a key, or the value beside it, was too large; sizes are of the bytes. */
static void explain_sizes(struct failure *failure, int status,
                          const struct session *self, uint64_t key_size,
                          uint64_t value_size) {
    if (self->fixed || self->page_size == 0)
        return;
    int key = status == FASTER_E_KEY_SIZE;
    uint64_t limit = key || key_size > key_limit(self) ? key_limit(self)
                                                       : value_limit(self, key_size);
    uint64_t size = key ? key_size : value_size;
    failure->page_size = self->page_size;
    failure->limit = (int64_t)limit;
    failure->size = size > limit ? (int64_t)size : -1;
}

#endif
