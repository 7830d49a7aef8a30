/* SPDX-License-Identifier: MIT */
/*
 * calls.h: what the methods of a session have in common
 *
 * Included by hot.c and pending.h, after Python.h.
 *
 * Purpose
 *   Arguments find their places, results find room, and whatever has to wait does so
 *   with the GIL released.
 *
 * Model
 *   An operation is tried as one that never waits.  FASTER_RETRY: others are let by,
 *   and it is tried again.  FASTER_SHORT: room is made, and it is tried again.
 *   FASTER_PENDING: it is begun as one that waits for the device, and its end is waited
 *   for in slices, between which signals are noticed.
 *
 * Invariants
 *   W1  Whatever may block runs without the GIL.
 *   W2  The handle is looked at after everything that may run the user's code.
 *   W3  A pending operation that nobody waits for any more is forgotten; if its session
 *       was closed meanwhile, it belongs to the session.
 *
 * Ordering
 *   none
 */
#ifndef PYFASTER_CALLS_H
#define PYFASTER_CALLS_H

#include "codec.h"
#include "hot.h"
#include "merge.h"

/* --- arguments -------------------------------------------------------------------- */

struct signature {
    const char *call;
    Py_ssize_t required, most;
    const char *names[4];
};

static int arguments_slow(const struct signature *signature, PyObject *const *args,
                          Py_ssize_t given, PyObject *keywords, PyObject **out) {
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
    for (Py_ssize_t i = 0; i < signature->most; i++)
        out[i] = i < given ? args[i] : NULL;
    int wrong = given > signature->most;
    for (Py_ssize_t k = 0; k < named && !wrong; k++) {
        PyObject *name = PyTuple_GetItem(keywords, k);
        Py_ssize_t i = signature->most - 1;
        while (i >= 0 && PyUnicode_CompareWithASCIIString(name, signature->names[i]))
            i--;
        wrong = i < 0 || out[i] != NULL;
        if (!wrong)
            out[i] = args[given + k];
    }
    for (Py_ssize_t i = 0; i < signature->required && !wrong; i++)
        wrong = out[i] == NULL;
    if (wrong)
        PyErr_Format(PyExc_TypeError, "call it as %s, with at least %zd arguments",
                     signature->call, signature->required);
    return wrong ? -1 : 0;
}

/* Put arguments into place; optional ones that are absent become NULL. */
static inline int arguments(const struct signature *signature, PyObject *const *args,
                            Py_ssize_t given, PyObject *keywords, PyObject **out) {
    if (keywords != NULL || given < signature->required || given > signature->most)
        return arguments_slow(signature, args, given, keywords, out);
    for (Py_ssize_t i = 0; i < signature->most; i++)
        out[i] = i < given ? args[i] : NULL;
    return 0;
}

/* --- trying again, and room ------------------------------------------------------- */

/* Let others go on after FASTER_RETRY; 0 means that a signal handler raised. */
static int wait_outside(const struct session *self, int *status) {
    Py_BEGIN_ALLOW_THREADS;
    hot.table->session_wait(self->session);
    Py_END_ALLOW_THREADS;
    if (PyErr_CheckSignals() == 0)
        return 1;
    *status = RAISED;
    return 0;
}

/* Encoders are the user's code: the handle is looked at after them. */
#define UNTIL_DONE(self, status, call)                                                 \
    do                                                                                 \
        (status) = (self)->session != NULL ? (call) : FASTER_E_CLOSED;                 \
    while ((status) == FASTER_RETRY && wait_outside(self, &(status)))

/* A value on its way out: on the stack while it fits. */
struct value {
    uint8_t *data;
    uint64_t capacity;
    uint64_t size;
    uint8_t stack[VALUE_STACK];
};

static inline void value_open(struct value *value) {
    value->data = value->stack;
    value->size = 0;
    value->capacity = sizeof value->stack;
}

/* Give memory back; a second call does nothing. */
static inline void value_close(struct value *value) {
    if (value->data != value->stack)
        PyMem_Free(value->data);
    value_open(value);
}

/* Forget what is there and make room. */
static int value_room(struct value *value, uint64_t capacity, int *status) {
    value_close(value);
    uint8_t *data = capacity > PY_SSIZE_T_MAX ? NULL : PyMem_Malloc(capacity);
    if (data == NULL) {
        PyErr_NoMemory();
        *status = RAISED;
        return 0;
    }
    value->data = data;
    value->capacity = capacity;
    return 1;
}

static int key_open(struct piece *piece, const struct session *self, PyObject *key,
                    const char *where) {
    if (self->session == NULL)
        return raise_status(FASTER_E_CLOSED, where, key);
    return piece_open(piece, key_codec(self), key);
}

/* As finish(); errors quote sizes, which are not looked at otherwise. */
static inline int finish_sized(const struct session *self, int status,
                               const char *where, PyObject *key, uint64_t key_size,
                               uint64_t value_size) {
    if (status != FASTER_E_KEY_SIZE && status != FASTER_E_VALUE_SIZE)
        return finish(status, where, key);
    struct failure failure = {
        .where = where, .key = key, .item = -1, .done = -1, .size = -1};
    explain_sizes(&failure, status, self, key_size, value_size);
    return raise_failure(status, &failure);
}

/* As finish(), for a merge. */
static int finish_merge(const struct session *self, int status,
                        const struct merge *merge, PyObject *key, uint64_t key_size,
                        uint64_t input_size) {
    int native = merge->merge.kind == FASTER_MERGE_NATIVE;
    const char *note = merge_note(native, status, self->fixed);
    if (note != NULL)
        return raise_failure(status, FAILURE(.where = "rmw", .note = note, .key = key));
    return finish_sized(self, status, "rmw", key, key_size, native ? 0 : input_size);
}

/* --- waiting for the device ------------------------------------------------------- */

enum { SLICE_MS = 50 }; /* between two looks for signals */

/* Give up a pending operation (W3).  Ends when no other thread is inside. */
static void forget(const struct session *self, struct faster_pending *pending) {
    while (hot.table->forget(self->session, pending) == FASTER_E_BUSY) {
        Py_BEGIN_ALLOW_THREADS;
        hot.table->session_wait(self->session);
        Py_END_ALLOW_THREADS;
    }
}

/* Let some time pass, at most a slice, until the operation has ended: FASTER_OK. */
static int wait_slice(const struct session *self, struct faster_pending *pending,
                      uint32_t timeout_ms) {
    int status;
    Py_BEGIN_ALLOW_THREADS;
    status = hot.table->wait(self->session, pending, timeout_ms);
    if (status == FASTER_E_BUSY) /* a second thread is inside, for a moment */
        hot.table->session_wait(self->session);
    Py_END_ALLOW_THREADS;
    return status;
}

/* Wait until an operation has ended; its signal handlers may raise. */
static int wait_ended(const struct session *self, struct faster_pending *pending) {
    int status;
    do { /* ends with the operation, the store or the caller's patience */
        status = wait_slice(self, pending, SLICE_MS);
        if (status == FASTER_OK || PyErr_CheckSignals() == 0)
            continue;
        forget(self, pending);
        return RAISED;
    } while (status == FASTER_E_TIMEOUT || status == FASTER_E_BUSY);
    return status;
}

/* Keep a value that is the operation's own. */
static int value_keep(struct value *value, const struct faster_result *result) {
    int status = FASTER_OK;
    if (value == NULL || result->value == NULL)
        return FASTER_OK;
    if (result->value_size > value->capacity &&
        !value_room(value, result->value_size, &status))
        return status;
    value->size = result->value_size;
    memcpy(value->data, result->value, (size_t)result->value_size);
    return FASTER_OK;
}

/* Do an operation that the core would not do at once; `value` may be NULL. */
static int wait_for(const struct session *self, const struct faster_operation *asked,
                    struct value *value) {
    struct faster_pending *pending;
    struct faster_result result;
    int status;
    do /* ends: FASTER_SHORT has changed nothing and says what it needs */
        UNTIL_DONE(self, status,
                   hot.table->start(self->session, asked, value ? value->data : NULL,
                                    value ? value->capacity : 0,
                                    value ? &value->size : NULL, &pending));
    while (status == FASTER_SHORT && value != NULL &&
           value_room(value, value->size, &status));
    if (status != FASTER_PENDING)
        return status;
    status = wait_ended(self, pending);
    if (status != FASTER_OK)
        return status;
    hot.table->result_of(pending, &result);
    status = value_keep(value, &result);
    if (status == FASTER_OK)
        status = result.status;
    forget(self, pending);
    return status;
}

#define ASK(what, k, ...)                                                              \
    (&(struct faster_operation){.kind = (what),                                        \
                                .flags = FASTER_CLAIMED,                               \
                                .key = (k).data,                                       \
                                .key_size = (k).size,                                  \
                                __VA_ARGS__})

/* --- methods ---------------------------------------------------------------------- */

#define FAST_METHOD(name)                                                              \
    static PyObject *name(PyObject *object, PyObject *const *args, Py_ssize_t given,   \
                          PyObject *keywords)
#define FAST (METH_FASTCALL | METH_KEYWORDS)
#define CALL(function) ((PyCFunction)(void (*)(void))(function))
#define OPEN_METHOD(...)                                                               \
    static const struct signature signature = {__VA_ARGS__};                           \
    struct session *self = (struct session *)object;                                   \
    PyObject *in[4];                                                                   \
    if (arguments(&signature, args, given, keywords, in) < 0)                          \
    return NULL

#endif
