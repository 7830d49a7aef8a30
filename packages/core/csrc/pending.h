/* SPDX-License-Identifier: MIT */
/*
 * pending.h: operations that are begun here and end later
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   One thread has many reads of the device under way.  start_*() begins an operation
 *   and finished() gives those that have ended; the methods of an asynchronous session
 *   begin one and give something to await.
 *
 * Model
 *   What can be done in memory is done at once.  Else an operation (operation.h) goes
 *   onto the session's list, and comes off when the core says that it has ended.
 *   An asynchronous session asks its loop once for each burst of operations to call
 *   resolve(), which lets the device go on and ends what has come; the completions of
 *   the device make the loop call it, too.
 *
 * Invariants
 *   N1  Updates of a session are taken by the core in the order in which they were
 *       asked for: while one waits to be tried again, all later ones wait behind it.
 *   N2  Each operation that ended is given exactly once, whatever its decoding raises.
 *   N3  An asynchronous session is used only while its own loop runs.
 *
 * Ordering
 *   none: as hot.h.
 */
#ifndef PYFASTER_PENDING_H
#define PYFASTER_PENDING_H

#include "operation.h"

static const struct verb verb_read = {FASTER_READ, 0, "read"};
static const struct verb verb_read_raw = {FASTER_READ, 1, "update"};
static const struct verb verb_upsert = {FASTER_UPSERT, 0, "upsert"};
static const struct verb verb_insert = {FASTER_INSERT, 0, "insert"};
static const struct verb verb_delete = {FASTER_DELETE, 0, "delete"};
static const struct verb verb_discard = {FASTER_DISCARD, 0, "discard"};
static const struct verb verb_rmw = {FASTER_RMW, 0, "rmw"};
static const struct verb verb_compare = {FASTER_COMPARE, 0, "compare_and_set"};
static const struct verb verb_compare_raw = {FASTER_COMPARE, 1, "update"};

/* --- asking ----------------------------------------------------------------------- */

/* An operation, encoded; it points into itself and must not move. */
struct asked {
    struct faster_operation operation;
    const struct merge *merge;
    struct piece pieces[ASKED];
    int open; /* how many pieces there are */
};

static void asked_close(struct asked *asked) {
    while (asked->open > 0)
        piece_close(&asked->pieces[--asked->open]);
}

static int asked_piece(struct asked *asked, const struct codec *codec, PyObject *object,
                       const void **data, uint64_t *size) {
    struct piece *piece = &asked->pieces[asked->open];
    if (piece_open(piece, codec, object) < 0)
        return -1;
    *data = piece->data;
    *size = piece->size;
    asked->open++;
    return 0;
}

/* Expected bytes as they were read. */
static int asked_raw(struct faster_operation *to, PyObject *bytes) {
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(bytes, &data, &size) < 0)
        return -1;
    to->expected = data;
    to->expected_size = (uint64_t)size;
    return 0;
}

static int asked_fill(struct asked *asked, const struct session *self,
                      const struct verb *verb, PyObject *const *in) {
    struct faster_operation *to = &asked->operation;
    const struct codec *codec = value_codec(self);
    PyObject *value = NULL;
    if (self->session == NULL)
        return raise_status(FASTER_E_CLOSED, verb->name, in[0]);
    if (asked_piece(asked, key_codec(self), in[0], &to->key, &to->key_size) < 0)
        return -1;
    if (verb->kind == FASTER_RMW) {
        if ((asked->merge = find_merge(in[2])) == NULL)
            return -1;
        PyObject *other = asked->merge->head.held[MERGE_INPUT];
        codec = other != NULL ? (const struct codec *)other : codec;
        to->merge = &asked->merge->merge;
        value = in[1];
    } else if (verb->kind == FASTER_UPSERT || verb->kind == FASTER_INSERT) {
        value = in[1];
    } else if (verb->kind == FASTER_COMPARE) {
        value = in[2];
        int failed = verb->raw ? asked_raw(to, in[1])
                               : asked_piece(asked, codec, in[1], &to->expected,
                                             &to->expected_size);
        if (failed < 0)
            return -1;
    }
    return value == NULL
               ? 0
               : asked_piece(asked, codec, value, &to->value, &to->value_size);
}

static int asked_open(struct asked *asked, const struct session *self,
                      const struct verb *verb, PyObject *const *in) {
    asked->operation = (struct faster_operation){.kind = verb->kind};
    asked->merge = NULL;
    asked->open = 0;
    if (asked_fill(asked, self, verb, in) == 0)
        return 0;
    asked_close(asked);
    return -1;
}

/* Set the exception of an operation that failed. */
static int raise_asked(const struct session *self, const struct verb *verb, int status,
                       PyObject *key, const struct asked *asked) {
    uint64_t key_size = asked->operation.key_size, size = asked->operation.value_size;
    if (asked->merge != NULL)
        return finish_merge(self, status, asked->merge, key, key_size, size);
    return finish_sized(self, status, verb->name, key, key_size, size);
}

/* Begin an operation: an outcome, FASTER_PENDING, FASTER_RETRY unless `patient`, or
 * RAISED.  A value is left in `value`. */
static int launch(const struct session *self, const struct verb *verb,
                  PyObject *const *in, struct ongoing *as, struct value *value,
                  int patient) {
    struct asked asked;
    int status;
    if (asked_open(&asked, self, verb, in) < 0)
        return RAISED;
    asked.operation.context = (uint64_t)(uintptr_t)as; /* O2 */
    do /* ends when nobody is in the way; FASTER_SHORT says what it needs */
        status = self->session == NULL
                     ? FASTER_E_CLOSED
                     : hot.table->start(self->session, &asked.operation, value->data,
                                        value->capacity, &value->size, &as->pending);
    while ((status == FASTER_SHORT && value_room(value, value->size, &status)) ||
           (status == FASTER_RETRY && patient && wait_outside(self, &status)));
    if (status < 0) {
        raise_asked(self, verb, status, in[0], &asked);
        status = RAISED;
    }
    asked_close(&asked);
    return status;
}

/* What an operation that did not fail gives. */
static PyObject *outcome(const struct session *self, const struct verb *verb,
                         int status, const uint8_t *data, uint64_t size,
                         PyObject *absent) {
    if (verb->kind == FASTER_READ && status == FASTER_NOT_FOUND)
        return Py_NewRef(absent == NULL ? Py_None : absent);
    if (verb->raw && verb->kind == FASTER_READ)
        return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    if (verb->kind == FASTER_READ || verb->kind == FASTER_RMW)
        return decode(value_codec(self), data, size);
    if (verb->kind == FASTER_UPSERT || verb->kind == FASTER_DISCARD)
        return Py_NewRef(Py_None);
    return PyBool_FromLong(status == FASTER_OK);
}

/* An operation to begin with.  Encoders are the user's code and may begin others, so
 * the session has it no more. */
static struct ongoing *spare_take(struct session *self) {
    struct ongoing *as = self->spare;
    self->spare = NULL;
    return as != NULL ? as : holder_new(hot.operation);
}

/* It was not needed. */
static void spare_keep(struct session *self, struct ongoing *as) {
    if (self->spare == NULL)
        self->spare = as;
    else
        Py_DECREF((PyObject *)as);
}

/* Remember what it is about. */
static void settle_in(struct ongoing *as, const struct verb *verb, PyObject *const *in,
                      PyObject *context) {
    as->verb = verb;
    as->context = Py_XNewRef(context);
    for (int i = 0; i < ASKED; i++)
        as->in[i] = Py_XNewRef(in[i]);
}

/* Begin an operation whose end finished() gives, unless it ends at once. */
static PyObject *start(struct session *self, const struct verb *verb,
                       PyObject *const *in, PyObject *context) {
    struct value value;
    struct ongoing *as = spare_take(self);
    PyObject *result = NULL;
    if (as == NULL)
        return NULL;
    value_open(&value);
    int status = launch(self, verb, in, as, &value, 1);
    if (status == FASTER_PENDING) {
        settle_in(as, verb, in, context);
        operation_link(as, self, OPERATION_FLYING);
        Py_DECREF((PyObject *)as);
        return Py_NewRef(hot.pending);
    }
    spare_keep(self, as);
    if (status != RAISED)
        result = outcome(self, verb, status, value.data, value.size, NULL);
    value_close(&value);
    return result;
}

/* --- ending ----------------------------------------------------------------------- */

/* The exception that is set, as an object; it is set no more. */
static PyObject *raised(void) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace != NULL && error != NULL)
        PyException_SetTraceback(error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return error;
}

/* Give an operation its value or its error (O3). */
static void end(const struct session *self, struct ongoing *as,
                const struct faster_result *result) {
    struct asked none = {.operation = {.key_size = result->key_size}};
    PyObject *absent = self->loop[LOOP_ITSELF] != NULL ? as->context : NULL;
    as->status = result->status;
    as->serial = result->serial;
    as->state = OPERATION_ENDED;
    if (as->verb->kind == FASTER_RMW && result->status < 0)
        none.merge = find_merge(as->in[2]);
    PyErr_Clear(); /* its merge has lost its name meanwhile */
    if (result->status < 0)
        raise_asked(self, as->verb, result->status, as->in[0], &none);
    else
        as->value = outcome(self, as->verb, result->status, result->value,
                            result->value_size, absent);
    if (as->value == NULL)
        as->error = raised();
}

/* The next operation that has ended, or NULL: none, or an exception.  The reference is
 * the caller's. */
static struct ongoing *next_ended(struct session *self) {
    struct faster_pending *pending;
    struct faster_result result;
    while (self->session != NULL) { /* ends with the core's list */
        int status = hot.table->next_finished(self->session, &pending);
        if (status != FASTER_OK) {
            finish(status, "complete_pending", NULL);
            return NULL;
        }
        hot.table->result_of(pending, &result);
        struct ongoing *as = (struct ongoing *)(uintptr_t)result.context;
        if (as != NULL) {
            operation_unlink(as);
            end(self, as, &result);
        }
        forget(self, pending);
        if (as != NULL)
            return as;
    }
    return NULL;
}

static PyObject *ended_tuple(struct ongoing *as) {
    PyObject *value = as->value ? as->value : Py_None;
    PyObject *error = as->error ? as->error : Py_None;
    as->state = SPENT;
    return Py_BuildValue("sOOiOKO", as->verb->name, as->in[0], value, as->status,
                         as->context ? as->context : Py_None,
                         (unsigned long long)as->serial, error);
}

/* finished(timeout_ms) -> list: those that have ended; waits for the first. */
static PyObject *session_finished(PyObject *object, PyObject *timeout) {
    struct session *self = (struct session *)object;
    unsigned long most = PyLong_AsUnsignedLong(timeout);
    struct ongoing *as;
    if (PyErr_Occurred())
        return NULL;
    if (self->session == NULL)
        return raise_status(FASTER_E_CLOSED, "complete_pending", NULL), NULL;
    int status = wait_slice(self, NULL, (uint32_t)most);
    if (status == FASTER_E_TIMEOUT)
        status = FASTER_OK;
    PyObject *list =
        finish(status, "complete_pending", NULL) < 0 ? NULL : PyList_New(0);
    while (list != NULL && (as = next_ended(self)) != NULL) {
        PyObject *tuple = ended_tuple(as);
        if (tuple == NULL || PyList_Append(list, tuple) < 0)
            Py_CLEAR(list);
        Py_XDECREF(tuple);
        Py_DECREF((PyObject *)as);
    }
    if (PyErr_Occurred())
        Py_CLEAR(list);
    return list;
}

/* --- asynchronous sessions -------------------------------------------------------- */

static int raise_loop(const char *where) {
    PyErr_Clear(); /* no loop runs here at all */
    PyErr_Format(PyExc_RuntimeError,
                 "%s: this session belongs to the event loop in which its `async with` "
                 "was entered; use it there, and open another one elsewhere",
                 where);
    return -1;
}

/* N3 */
static int check_loop(const struct session *self, const char *where) {
    if (self->loop[LOOP_ITSELF] == NULL)
        return raise_loop(where);
    PyObject *running = PyObject_CallNoArgs(self->loop[LOOP_RUNNING]);
    Py_XDECREF(running); /* the session keeps its own */
    return running == self->loop[LOOP_ITSELF] ? 0 : raise_loop(where);
}

/* Have resolve() called, once for all that is begun until then. */
static int call_soon(struct session *self) {
    if (self->due)
        return 0;
    PyObject *handle = PyObject_CallNoArgs(self->loop[LOOP_SOON]);
    self->due = handle != NULL;
    Py_XDECREF(handle);
    return self->due ? 0 : -1;
}

/* Put an operation on a list of the session; gives it, or NULL. */
static PyObject *begun(struct session *self, struct ongoing *as,
                       enum operation_state state) {
    operation_link(as, self, state);
    if (call_soon(self) < 0) {
        operation_abandon(as);
        Py_CLEAR(as);
    }
    return (PyObject *)as;
}

/* Give an operation that has ended in memory what it gave; 0, or -1 with an error. */
static int end_here(const struct session *self, struct ongoing *as, int status,
                    const struct value *value) {
    if (status != RAISED)
        as->value =
            outcome(self, as->verb, status, value->data, value->size, as->context);
    as->state = OPERATION_ENDED;
    return as->value == NULL ? -1 : 0;
}

/* Begin an operation and give what is awaited. */
static PyObject *begin(struct session *self, const struct verb *verb,
                       PyObject *const *in, PyObject *absent) {
    struct value value;
    struct ongoing *as;
    int status = FASTER_RETRY;
    if (check_loop(self, verb->name) < 0 || (as = spare_take(self)) == NULL)
        return NULL;
    value_open(&value);
    if (self->again.first == NULL || verb->kind == FASTER_READ) /* N1 */
        status = launch(self, verb, in, as, &value, 0);
    if (status == RAISED) {
        spare_keep(self, as);
        return NULL;
    }
    settle_in(as, verb, in, absent);
    if (status == FASTER_PENDING)
        return begun(self, as, OPERATION_FLYING);
    if (status == FASTER_RETRY)
        return begun(self, as, OPERATION_AGAIN);
    if (end_here(self, as, status, &value) < 0)
        Py_CLEAR(as);
    value_close(&value);
    return (PyObject *)as;
}

/* A future that was cancelled takes nothing more. */
static int was_cancelled(PyObject *future) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyObject *answer = PyObject_CallMethod(future, "cancelled", NULL);
    int cancelled = answer == Py_True;
    Py_XDECREF(answer);
    if (cancelled) {
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(trace);
    } else {
        PyErr_Restore(type, error, trace);
    }
    return cancelled;
}

/* Let whoever awaits the operation go on; takes the reference. */
static int wake(struct ongoing *as) {
    int status = 0;
    if (as->future != NULL) {
        PyObject *name = as->value != NULL ? hot.set_result : hot.set_exception;
        PyObject *what = as->value != NULL ? as->value : as->error;
        PyObject *done = PyObject_CallMethodObjArgs(as->future, name, what, NULL);
        if (done == NULL && !was_cancelled(as->future))
            status = -1;
        Py_XDECREF(done);
        as->state = SPENT;
    }
    Py_DECREF((PyObject *)as);
    return status;
}

/* Try an operation again that the core would not take; 0 when it still will not. */
static int launch_again(struct session *self, struct ongoing *as) {
    struct value value;
    value_open(&value);
    int status = launch(self, as->verb, as->in, as, &value, 0);
    int left = as->session != self; /* it was given up while it was encoded */
    if (left && status == FASTER_PENDING)
        forget(self, as->pending);
    if (left)
        PyErr_Clear();
    if (!left && status != FASTER_RETRY) {
        operation_unlink(as);
        if (status == FASTER_PENDING)
            operation_link(as, self, OPERATION_FLYING);
        else if (end_here(self, as, status, &value) < 0)
            as->error = raised();
        if (as->state == OPERATION_ENDED && wake(kept(as)) < 0)
            PyErr_WriteUnraisable((PyObject *)self);
        Py_DECREF((PyObject *)as);
    }
    value_close(&value);
    return left || status != FASTER_RETRY;
}

/* Try all of them, in order, up to the first that must wait (N1). */
static void launch_all_again(struct session *self) {
    struct ongoing *as;
    int taken = 1;
    while (taken && (as = self->again.first) != NULL) { /* ends with the list */
        (void)kept(as);
        taken = launch_again(self, as);
        Py_DECREF((PyObject *)as);
    }
}

/* resolve() -> int: let the device go on and end what has come.  0: nothing is left, 1:
 * the device will tell, 2: something must be tried again. */
static PyObject *session_resolve(PyObject *object, PyObject *Py_UNUSED(none)) {
    struct session *self = (struct session *)object;
    struct ongoing *as;
    self->due = 0;
    if (self->session == NULL)
        return PyLong_FromLong(0);
    int status = wait_slice(self, NULL, 0);
    if (status == FASTER_E_BUSY)
        return PyLong_FromLong(2);
    if (status < 0 && status != FASTER_E_TIMEOUT)
        return raise_status(status, "waiting for the device", NULL), NULL;
    while ((as = next_ended(self)) != NULL)
        if (wake(as) < 0)
            PyErr_WriteUnraisable(object); /* the others must learn of theirs */
    if (PyErr_Occurred())
        return NULL;
    launch_all_again(self);
    if (self->again.first != NULL)
        return PyLong_FromLong(2);
    return PyLong_FromLong(self->flying.first != NULL);
}

/* abandon(error) -> None: end what is on its way with an error, or unseen. */
static PyObject *session_abandon(PyObject *object, PyObject *error) {
    struct session *self = (struct session *)object;
    struct ongoing *as;
    while ((as = self->flying.first) != NULL || (as = self->again.first) != NULL) {
        (void)kept(as);
        operation_abandon(as);
        if (error != Py_None) {
            as->error = Py_NewRef(error);
            as->state = OPERATION_ENDED;
            if (wake(kept(as)) < 0)
                PyErr_WriteUnraisable(object);
        }
        Py_DECREF((PyObject *)as);
    }
    return Py_NewRef(Py_None);
}

/* bind(loop, running, future, soon): belong to an event loop; all None: to none. */
static PyObject *session_bind(PyObject *object, PyObject *args) {
    struct session *self = (struct session *)object;
    PyObject *parts[LOOP_PARTS];
    if (!PyArg_ParseTuple(args, "OOOO:bind", &parts[LOOP_ITSELF], &parts[LOOP_RUNNING],
                          &parts[LOOP_FUTURE], &parts[LOOP_SOON]))
        return NULL;
    for (int i = 0; i < LOOP_PARTS; i++) {
        PyObject *before = self->loop[i];
        self->loop[i] = parts[i] == Py_None ? NULL : Py_NewRef(parts[i]);
        Py_XDECREF(before);
    }
    return Py_NewRef(Py_None);
}

/* --- the objects that a session keeps for this ------------------------------------ */

/* The session is garbage: what is on its way ends unseen. */
static void pending_leave(struct session *self) {
    struct ongoing *as;
    while ((as = self->flying.first) != NULL || (as = self->again.first) != NULL)
        operation_abandon(as);
}

/* How many operations are on the lists. */
static size_t pending_busy(const struct session *self) {
    size_t count = 0;
    for (const struct ongoing *as = self->flying.first; as != NULL; as = as->next)
        count++;
    for (const struct ongoing *as = self->again.first; as != NULL; as = as->next)
        count++;
    return count;
}

static int pending_traverse(struct session *self, visitproc visit, void *arg) {
    struct ongoings *lists[] = {&self->flying, &self->again};
    for (int i = 0; i < 2; i++)
        for (struct ongoing *as = lists[i]->first; as != NULL; as = as->next)
            Py_VISIT((PyObject *)as);
    for (int i = 0; i < LOOP_PARTS; i++)
        Py_VISIT(self->loop[i]);
    Py_VISIT((PyObject *)self->spare);
    return 0;
}

static void pending_clear(struct session *self) {
    for (int i = 0; i < LOOP_PARTS; i++)
        Py_CLEAR(self->loop[i]);
    Py_CLEAR(self->spare);
}

#endif
