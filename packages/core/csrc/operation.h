/* SPDX-License-Identifier: MIT */
/*
 * operation.h: an operation on its way, as an object
 *
 * Included by pending.h alone, after Python.h.
 *
 * Purpose
 *   What has to wait for the device needs something that lives until it has ended, and
 *   that an event loop can wait for.
 *
 * Model
 *
 *      AGAIN ---> FLYING ---> ENDED ---> SPENT
 *        |          |           ^
 *        +----------+-----------+--- throw(), close(): SPENT at once
 *
 *   A session keeps its operations in two lists, by a reference each: those that the
 *   core has (FLYING), and those that it would not take yet (AGAIN, asynchronous
 *   sessions only).  An operation of an asynchronous session is a coroutine: awaited
 *   when it has ended, it gives its value at once; else it makes a future of the loop
 *   and waits for that.
 *
 * Invariants
 *   O1  An operation is on a list of its session exactly while it is AGAIN or FLYING;
 *       `session` is set then, and only then.
 *   O2  The core's context of an operation is its address while it is FLYING; it is
 *       forgotten or fetched before the list's reference goes.
 *   O3  An operation that ended has a value or an error, not both.
 *
 * Ordering
 *   none: all of it runs with the GIL held, between two calls of the core.
 */
#ifndef PYFASTER_OPERATION_H
#define PYFASTER_OPERATION_H

#include "calls.h"

enum operation_state { OPERATION_AGAIN, OPERATION_FLYING, OPERATION_ENDED, SPENT };
enum { ASKED = 3 }; /* a key and two more at most */

/* What can be asked: a kind of the core, and how its arguments are meant. */
struct verb {
    uint32_t kind;
    int raw; /* values are not decoded, and what is expected is not encoded */
    const char *name;
};

struct ongoing {
    PyObject_HEAD PyObject *in[ASKED];
    PyObject *context; /* the user's; of an awaited read what an absent key gives */
    PyObject *value, *error;
    PyObject *future, *iterator;
    const struct verb *verb;
    enum operation_state state;
    int status;
    uint64_t serial;
    struct session *session; /* O1 */
    struct ongoing *next, *prev;
    struct faster_pending *pending;
};

/* One reference more. */
static struct ongoing *kept(struct ongoing *self) {
    Py_INCREF((PyObject *)self);
    return self;
}

static struct ongoings *list_of(struct ongoing *self) {
    return self->state == OPERATION_AGAIN ? &self->session->again
                                          : &self->session->flying;
}

/* Put an operation on its session's list, which gets a reference of its own (O1). */
static void operation_link(struct ongoing *self, struct session *session,
                           enum operation_state state) {
    self->session = session;
    self->state = state;
    struct ongoings *list = list_of(self);
    self->next = NULL;
    self->prev = list->last;
    *(list->last == NULL ? &list->first : &list->last->next) = self;
    list->last = self;
    (void)kept(self);
}

/* Take it off; the reference is the caller's now. */
static void operation_unlink(struct ongoing *self) {
    struct ongoings *list = list_of(self);
    *(self->prev == NULL ? &list->first : &self->prev->next) = self->next;
    *(self->next == NULL ? &list->last : &self->next->prev) = self->prev;
    self->session = NULL;
}

/* Nobody waits for it any more; an update that the core has still takes place. */
static void operation_abandon(struct ongoing *self) {
    struct session *session = self->session;
    enum operation_state state = self->state;
    Py_CLEAR(self->iterator);
    if (session != NULL)
        operation_unlink(self);
    self->state = SPENT;
    if (session == NULL)
        return;
    if (state == OPERATION_FLYING && self->verb->kind == FASTER_RMW)
        merge_outlives(self->in[2]);
    if (state == OPERATION_FLYING && session->session != NULL)
        forget(session, self->pending);
    Py_DECREF((PyObject *)self);
}

/* --- as a coroutine --------------------------------------------------------------- */

/* Take what the operation ended with. */
static PySendResult operation_take(struct ongoing *self, PyObject **result) {
    self->state = SPENT;
    *result = self->value;
    self->value = NULL;
    if (*result != NULL)
        return PYGEN_RETURN;
    PyErr_SetObject((PyObject *)Py_TYPE(self->error), self->error);
    Py_CLEAR(self->error);
    return PYGEN_ERROR;
}

/* What an event loop calls: first with None, and again when the future is done. */
static PySendResult operation_step(PyObject *object, PyObject *sent,
                                   PyObject **result) {
    struct ongoing *self = (struct ongoing *)object;
    *result = NULL;
    if (self->state == OPERATION_ENDED && self->iterator == NULL)
        return operation_take(self, result);
    if (self->iterator == NULL && self->state != SPENT) {
        self->future = PyObject_CallNoArgs(self->session->loop[LOOP_FUTURE]);
        self->iterator = self->future ? PyObject_GetIter(self->future) : NULL;
        if (self->iterator == NULL)
            return PYGEN_ERROR;
    }
    if (self->iterator == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "an operation is awaited once");
        return PYGEN_ERROR;
    }
    PySendResult how = PyIter_Send(self->iterator, sent, result);
    if (how != PYGEN_NEXT)
        operation_abandon(self);
    return how;
}

/* The same for whoever does not know of it: the end is a StopIteration. */
static PyObject *operation_send(PyObject *object, PyObject *sent) {
    PyObject *result, *stop;
    PySendResult how = operation_step(object, sent, &result);
    if (how == PYGEN_NEXT)
        return result;
    if (how == PYGEN_RETURN) {
        stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, result, NULL);
        if (stop != NULL)
            PyErr_SetObject(PyExc_StopIteration, stop);
        Py_XDECREF(stop);
        Py_DECREF(result);
    }
    return NULL;
}

static PyObject *operation_next(PyObject *object) {
    return operation_send(object, Py_None);
}

/* throw(error), or as once with a type: a task is cancelled this way. */
static PyObject *operation_throw(PyObject *object, PyObject *args) {
    struct ongoing *self = (struct ongoing *)object;
    PyObject *kind, *error = NULL, *trace = NULL;
    if (!PyArg_ParseTuple(args, "O|OO:throw", &kind, &error, &trace))
        return NULL;
    PyObject *inner = Py_XNewRef(self->iterator);
    Py_INCREF(object); /* a list's reference may have been the last */
    operation_abandon(self);
    PyObject *result = NULL, *method = NULL;
    if (inner == NULL && PyExceptionInstance_Check(kind))
        PyErr_SetObject((PyObject *)Py_TYPE(kind), kind);
    else if (inner == NULL)
        PyErr_SetObject(kind, error);
    else if ((method = PyObject_GetAttrString(inner, "throw")) != NULL)
        result = PyObject_CallObject(method, args);
    Py_XDECREF(method);
    Py_XDECREF(inner);
    Py_DECREF(object);
    return result;
}

static PyObject *operation_close(PyObject *object, PyObject *Py_UNUSED(none)) {
    Py_INCREF(object);
    operation_abandon((struct ongoing *)object);
    Py_CLEAR(((struct ongoing *)object)->error);
    Py_DECREF(object);
    return Py_NewRef(Py_None);
}

static PyObject *operation_self(PyObject *object) { return Py_NewRef(object); }

static PyObject **operation_part(struct ongoing *self, int i) {
    PyObject **parts[] = {&self->in[0], &self->in[1],  &self->in[2],   &self->value,
                          &self->error, &self->future, &self->context, &self->iterator};
    return i < (int)(sizeof parts / sizeof *parts) ? parts[i] : NULL;
}

static int operation_traverse(PyObject *object, visitproc visit, void *arg) {
    PyObject **part;
    Py_VISIT(Py_TYPE(object));
    for (int i = 0; (part = operation_part((struct ongoing *)object, i)); i++)
        Py_VISIT(*part);
    return 0;
}

static int operation_clear(PyObject *object) {
    PyObject **part;
    for (int i = 0; (part = operation_part((struct ongoing *)object, i)); i++)
        Py_CLEAR(*part);
    return 0;
}

/* A failure that nobody asked for is told as other such failures are. */
static void operation_dealloc(PyObject *object) {
    struct ongoing *self = (struct ongoing *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->state == OPERATION_ENDED && self->error != NULL) {
        PyObject *kind, *error, *trace;
        PyErr_Fetch(&kind, &error, &trace);
        PyErr_SetObject((PyObject *)Py_TYPE(self->error), self->error);
        PyErr_WriteUnraisable((PyObject *)type);
        PyErr_Restore(kind, error, trace);
    }
    operation_clear(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef operation_methods[] = {
    {"send", operation_send, METH_O, "Go on; what an event loop calls."},
    {"throw", operation_throw, METH_VARARGS, "Give up, and raise."},
    {"close", operation_close, METH_NOARGS, "Give up."},
    {NULL, NULL, 0, NULL}};
static PyType_Slot operation_slots[] = {{Py_tp_dealloc, operation_dealloc},
                                        {Py_tp_traverse, operation_traverse},
                                        {Py_tp_clear, operation_clear},
                                        {Py_tp_iter, operation_self},
                                        {Py_tp_iternext, operation_next},
                                        {Py_am_await, operation_self},
                                        {Py_am_send, operation_step},
                                        {Py_tp_methods, operation_methods},
                                        {Py_tp_doc, "An operation on its way."},
                                        {0, NULL}};
static PyType_Spec operation_spec = {
    "pyfaster._hot.Operation", sizeof(struct ongoing), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    operation_slots};

#endif
