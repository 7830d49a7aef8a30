/* SPDX-License-Identifier: MIT */
/*
 * hot.c: the methods that a loop calls a million times
 *
 * hot.h says what this module is for, what its parts are, and what they promise.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "arrow.h"
#include "batch.h"
#include "calls.h"
#include "codec.h"
#include "hot.h"
#include "items.h"
#include "log.h"
#include "log_scan.h"
#include "merge.h"
#include "pending.h"
#include "view.h"

/* --- single operations ------------------------------------------------------------ */

/* Read a value: FASTER_OK (the caller closes it), FASTER_NOT_FOUND, or -1. */
static inline int fetch(const struct session *self, PyObject *key, struct value *value,
                        const char *where) {
    struct piece piece;
    int status;
    if (key_open(&piece, self, key, where) < 0)
        return -1;
    value_open(value);
    do
        UNTIL_DONE(self, status,
                   hot.table->read(self->session, piece.data, piece.size, value->data,
                                   value->capacity, &value->size));
    while (status == FASTER_SHORT && value_room(value, value->size, &status));
    if (status == FASTER_PENDING)
        status = wait_for(self, ASK(FASTER_READ, piece, 0), value);
    piece_close(&piece);
    if (status == FASTER_OK)
        return FASTER_OK;
    value_close(value);
    return finish(status, where, key);
}

/* Set a value: FASTER_UPSERT or FASTER_INSERT. */
static inline int put(const struct session *self, PyObject *key, PyObject *value,
                      uint32_t kind, const char *where) {
    struct piece k, v = {.size = 0};
    int status = RAISED;
    if (key_open(&k, self, key, where) < 0)
        return -1;
    if (piece_open(&v, value_codec(self), value) == 0) {
        UNTIL_DONE(self, status,
                   (kind == FASTER_UPSERT ? hot.table->upsert : hot.table->insert)(
                       self->session, k.data, k.size, v.data, v.size));
        if (status == FASTER_PENDING)
            status = wait_for(self, ASK(kind, k, .value = v.data, .value_size = v.size),
                              NULL);
        piece_close(&v);
    }
    piece_close(&k);
    return finish_sized(self, status, where, key, k.size, v.size);
}

/* Remove a key: FASTER_DELETE or FASTER_DISCARD. */
static inline int drop(const struct session *self, PyObject *key, uint32_t kind,
                       const char *where) {
    struct piece k;
    int status;
    if (key_open(&k, self, key, where) < 0)
        return -1;
    UNTIL_DONE(self, status,
               (kind == FASTER_DELETE ? hot.table->remove : hot.table->discard)(
                   self->session, k.data, k.size));
    if (status == FASTER_PENDING)
        status = wait_for(self, ASK(kind, k, 0), NULL);
    piece_close(&k);
    return finish(status, where, key);
}

static int swap(const struct session *self, PyObject *key, const struct piece *expected,
                PyObject *value, const char *where) {
    struct piece k, v = {.size = 0};
    int status = RAISED;
    if (key_open(&k, self, key, where) < 0)
        return -1;
    if (piece_open(&v, value_codec(self), value) == 0) {
        UNTIL_DONE(self, status,
                   hot.table->compare_and_set(self->session, k.data, k.size,
                                              expected->data, expected->size, v.data,
                                              v.size));
        if (status == FASTER_PENDING)
            status = wait_for(self,
                              ASK(FASTER_COMPARE, k, .value = v.data,
                                  .value_size = v.size, .expected = expected->data,
                                  .expected_size = expected->size),
                              NULL);
        piece_close(&v);
    }
    piece_close(&k);
    return finish_sized(self, status, where, key, k.size, v.size);
}

FAST_METHOD(session_read) {
    OPEN_METHOD("read(key, [default])", 1, 2, {"key", "default"});
    struct value value;
    int status = fetch(self, in[0], &value, "read");
    if (status == FASTER_NOT_FOUND)
        return Py_NewRef(in[1] == NULL ? Py_None : in[1]);
    if (status != FASTER_OK)
        return NULL;
    PyObject *result = decode(value_codec(self), value.data, value.size);
    value_close(&value);
    return result;
}

FAST_METHOD(session_upsert) {
    OPEN_METHOD("upsert(key, value)", 2, 2, {"key", "value"});
    int status = put(self, in[0], in[1], FASTER_UPSERT, "upsert");
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

FAST_METHOD(session_insert) {
    OPEN_METHOD("insert(key, value)", 2, 2, {"key", "value"});
    int status = put(self, in[0], in[1], FASTER_INSERT, "insert");
    return status < 0 ? NULL : PyBool_FromLong(status == FASTER_OK);
}

static PyObject *session_delete(PyObject *self, PyObject *key) {
    int status = drop((struct session *)self, key, FASTER_DELETE, "delete");
    return status < 0 ? NULL : PyBool_FromLong(status == FASTER_OK);
}

static PyObject *session_discard(PyObject *self, PyObject *key) {
    int status = drop((struct session *)self, key, FASTER_DISCARD, "discard");
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

FAST_METHOD(session_rmw) {
    OPEN_METHOD("rmw(key, input, merge)", 3, 3, {"key", "input", "merge"});
    const struct codec *codec = value_codec(self);
    struct merge *merge = find_merge(in[2]);
    struct piece k, input = {.size = 0};
    struct value value;
    PyObject *result = NULL;
    int status = RAISED;
    if (merge == NULL || key_open(&k, self, in[0], "rmw") < 0)
        return NULL;
    value_open(&value);
    PyObject *other = merge->head.held[MERGE_INPUT];
    if (piece_open(&input, other ? (struct codec *)other : codec, in[1]) == 0) {
        do /* ends: FASTER_SHORT has changed nothing and says what it needs */
            UNTIL_DONE(self, status,
                       hot.table->rmw(self->session, &merge->merge, k.data, k.size,
                                      input.data, input.size, value.data,
                                      value.capacity, &value.size));
        while (status == FASTER_SHORT && value_room(&value, value.size, &status));
        if (status == FASTER_PENDING)
            status = wait_for(self,
                              ASK(FASTER_RMW, k, .value = input.data,
                                  .value_size = input.size, .merge = &merge->merge),
                              &value);
        if (status == RAISED)
            merge_outlives(in[2]); /* a signal has ended the wait alone */
        piece_close(&input);
    }
    piece_close(&k);
    if (finish_merge(self, status, merge, in[0], k.size, input.size) == FASTER_OK)
        result = decode(codec, value.data, value.size);
    value_close(&value);
    return result;
}

FAST_METHOD(session_compare_and_set) {
    OPEN_METHOD("compare_and_set(key, expected, new)", 3, 3,
                {"key", "expected", "new"});
    struct piece expected;
    if (piece_open(&expected, value_codec(self), in[1]) < 0)
        return NULL;
    int status = swap(self, in[0], &expected, in[2], "compare_and_set");
    piece_close(&expected);
    return status < 0 ? NULL : PyBool_FromLong(status == FASTER_OK);
}

/* Call the user's function on the present value, which no lock protects meanwhile. */
static PyObject *changed(const struct session *self, PyObject *const *in, int status,
                         const struct value *value) {
    PyObject *old = status == FASTER_OK
                        ? decode(value_codec(self), value->data, value->size)
                        : Py_XNewRef(in[2]);
    if (old == NULL && !PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, in[0]);
    PyObject *new = old == NULL ? NULL : PyObject_CallFunctionObjArgs(in[1], old, NULL);
    Py_XDECREF(old);
    return new;
}

/* One attempt; outcomes above FASTER_OK mean that somebody else was faster. */
static int attempt_update(const struct session *self, PyObject *const *in,
                          PyObject **new) {
    struct value value;
    int status = fetch(self, in[0], &value, "update");
    if (status < 0)
        return -1;
    *new = changed(self, in, status, &value);
    struct piece old = {.data = value.data, .size = value.size};
    if (*new == NULL)
        status = -1;
    else if (status == FASTER_NOT_FOUND)
        status = put(self, in[0], *new, FASTER_INSERT, "update");
    else
        status = swap(self, in[0], &old, *new, "update");
    value_close(&value);
    if (status != FASTER_OK)
        Py_CLEAR(*new);
    return status;
}

FAST_METHOD(session_update) {
    OPEN_METHOD("update(key, fn, [initial])", 2, 3, {"key", "fn", "initial"});
    PyObject *new = NULL;
    int status;
    do /* ends when nobody else sets the value between our read and our write */
        status = attempt_update(self, in, &new);
    while (status > FASTER_OK && PyErr_CheckSignals() == 0);
    return new;
}

/* What is in the caller's buffer is as it was when the value has no room there. */
static int read_into(const struct session *self, const struct piece *key,
                     const Py_buffer *view, uint64_t *size) {
    struct value value;
    int status;
    UNTIL_DONE(self, status,
               hot.table->read(self->session, key->data, key->size, view->buf,
                               (uint64_t)view->len, size));
    if (status != FASTER_PENDING)
        return status;
    value_open(&value);
    status = wait_for(self, ASK(FASTER_READ, *key, 0), &value);
    *size = value.size;
    if (status == FASTER_OK && value.size > (uint64_t)view->len)
        status = FASTER_SHORT;
    if (status == FASTER_OK)
        memcpy(view->buf, value.data, (size_t)value.size);
    value_close(&value);
    return status;
}

FAST_METHOD(session_read_into) {
    OPEN_METHOD("read_into(key, buffer)", 2, 2, {"key", "buffer"});
    struct piece k;
    Py_buffer view;
    uint64_t size = 0;
    if (PyObject_GetBuffer(in[1], &view, PyBUF_WRITABLE) < 0)
        return NULL;
    if (key_open(&k, self, in[0], "read_into") == 0) {
        int status = read_into(self, &k, &view, &size);
        piece_close(&k);
        if (status == FASTER_NOT_FOUND)
            PyErr_SetObject(PyExc_KeyError, in[0]);
        else if (status == FASTER_SHORT)
            PyErr_Format(PyExc_ValueError, "the value has %llu bytes, the buffer %zd",
                         (unsigned long long)size, view.len);
        else
            finish(status, "read_into", in[0]);
    }
    PyBuffer_Release(&view);
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(size);
}

/* --- operations that end later ---------------------------------------------------- */

#define IN(...) ((PyObject *[ASKED]){__VA_ARGS__})

FAST_METHOD(session_start_read) {
    OPEN_METHOD("start_read(key, [context])", 1, 2, {"key", "context"});
    return start(self, &verb_read, IN(in[0]), in[1]);
}

FAST_METHOD(session_start_upsert) {
    OPEN_METHOD("start_upsert(key, value, [context])", 2, 3,
                {"key", "value", "context"});
    return start(self, &verb_upsert, IN(in[0], in[1]), in[2]);
}

FAST_METHOD(session_start_insert) {
    OPEN_METHOD("start_insert(key, value, [context])", 2, 3,
                {"key", "value", "context"});
    return start(self, &verb_insert, IN(in[0], in[1]), in[2]);
}

FAST_METHOD(session_start_delete) {
    OPEN_METHOD("start_delete(key, [context])", 1, 2, {"key", "context"});
    return start(self, &verb_delete, IN(in[0]), in[1]);
}

FAST_METHOD(session_start_rmw) {
    OPEN_METHOD("start_rmw(key, input, merge, [context])", 3, 4,
                {"key", "input", "merge", "context"});
    return start(self, &verb_rmw, IN(in[0], in[1], in[2]), in[3]);
}

FAST_METHOD(session_start_compare) {
    OPEN_METHOD("start_compare_and_set(key, expected, new, [context])", 3, 4,
                {"key", "expected", "new", "context"});
    return start(self, &verb_compare, IN(in[0], in[1], in[2]), in[3]);
}

FAST_METHOD(async_read) {
    OPEN_METHOD("read(key, [default])", 1, 2, {"key", "default"});
    return begin(self, &verb_read, IN(in[0]), in[1]);
}

FAST_METHOD(async_read_encoded) {
    OPEN_METHOD("read_encoded(key, [default])", 1, 2, {"key", "default"});
    return begin(self, &verb_read_raw, IN(in[0]), in[1]);
}

FAST_METHOD(async_upsert) {
    OPEN_METHOD("upsert(key, value)", 2, 2, {"key", "value"});
    return begin(self, &verb_upsert, IN(in[0], in[1]), NULL);
}

FAST_METHOD(async_insert) {
    OPEN_METHOD("insert(key, value)", 2, 2, {"key", "value"});
    return begin(self, &verb_insert, IN(in[0], in[1]), NULL);
}

static PyObject *async_delete(PyObject *self, PyObject *key) {
    return begin((struct session *)self, &verb_delete, IN(key), NULL);
}

static PyObject *async_discard(PyObject *self, PyObject *key) {
    return begin((struct session *)self, &verb_discard, IN(key), NULL);
}

FAST_METHOD(async_rmw) {
    OPEN_METHOD("rmw(key, input, merge)", 3, 3, {"key", "input", "merge"});
    return begin(self, &verb_rmw, IN(in[0], in[1], in[2]), NULL);
}

FAST_METHOD(async_compare_and_set) {
    OPEN_METHOD("compare_and_set(key, expected, new)", 3, 3,
                {"key", "expected", "new"});
    return begin(self, &verb_compare, IN(in[0], in[1], in[2]), NULL);
}

FAST_METHOD(async_swap_encoded) {
    OPEN_METHOD("swap_encoded(key, expected, new)", 3, 3, {"key", "expected", "new"});
    return begin(self, &verb_compare_raw, IN(in[0], in[1], in[2]), NULL);
}

/* --- batches ---------------------------------------------------------------------- */

FAST_METHOD(session_read_list) {
    OPEN_METHOD("read_list(keys)", 1, 1, {"keys"});
    return batch_objects(self, READ, in[0], NULL, NULL, 1);
}

FAST_METHOD(session_upsert_list) {
    OPEN_METHOD("upsert_list(keys, values)", 2, 2, {"keys", "values"});
    return batch_objects(self, UPSERT, in[0], in[1], NULL, 0);
}

FAST_METHOD(session_rmw_list) {
    OPEN_METHOD("rmw_list(keys, inputs, merge, [returning])", 3, 4,
                {"keys", "inputs", "merge", "returning"});
    int wanted = in[3] == NULL ? 0 : PyObject_IsTrue(in[3]);
    return wanted < 0 ? NULL : batch_objects(self, RMW, in[0], in[1], in[2], wanted);
}

FAST_METHOD(session_delete_list) {
    OPEN_METHOD("delete_list(keys)", 1, 1, {"keys"});
    return batch_objects(self, DELETE, in[0], NULL, NULL, 1);
}

/* --- the session as a mapping ----------------------------------------------------- */

static PyObject *session_getitem(PyObject *object, PyObject *key) {
    struct session *self = (struct session *)object;
    struct value value;
    int status = fetch(self, key, &value, "store[...]");
    if (status == FASTER_NOT_FOUND)
        PyErr_SetObject(PyExc_KeyError, key);
    if (status != FASTER_OK)
        return NULL;
    PyObject *result = decode(value_codec(self), value.data, value.size);
    value_close(&value);
    return result;
}

static int session_setitem(PyObject *object, PyObject *key, PyObject *value) {
    struct session *self = (struct session *)object;
    if (value != NULL)
        return put(self, key, value, FASTER_UPSERT, "store[...]") < 0 ? -1 : 0;
    int status = drop(self, key, FASTER_DELETE, "del store[...]");
    if (status == FASTER_NOT_FOUND)
        PyErr_SetObject(PyExc_KeyError, key);
    return status == FASTER_OK ? 0 : -1;
}

static int session_contains(PyObject *object, PyObject *key) {
    struct session *self = (struct session *)object;
    struct piece k;
    struct value value;
    int status;
    if (key_open(&k, self, key, "key in store") < 0)
        return -1;
    value_open(&value);
    UNTIL_DONE(
        self, status,
        hot.table->read(self->session, k.data, k.size, value.data, 0, &value.size));
    if (status == FASTER_PENDING)
        status = wait_for(self, ASK(FASTER_READ, k, 0), &value);
    value_close(&value);
    piece_close(&k);
    if (status == FASTER_SHORT)
        return 1;
    status = finish(status, "key in store", key);
    return status < 0 ? -1 : status != FASTER_NOT_FOUND;
}

/* --- the session as an object ----------------------------------------------------- */

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"address", "owner",     "key",   "value",
                            "handle",  "page_size", "waits", NULL};
    int waits = 0;
    PyObject *address, *owner, *key, *value, *kept = Py_None;
    unsigned long long page_size = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOO!O!|OKp:Session", names,
                                     &address, &owner, hot.codec, &key, hot.codec,
                                     &value, &kept, &page_size, &waits))
        return NULL;
    void *handle = PyLong_AsVoidPtr(address);
    if (handle == NULL || hot.table == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "no session, or init() was not called");
        return NULL;
    }
    if (!((struct codec *)key)->key)
        return PyErr_Format(PyExc_ValueError, "key: a Codec with key=True is needed");
    struct session *self = holder_new(type);
    if (self == NULL)
        return NULL;
    self->session = handle;
    self->page_size = page_size;
    self->waits = waits;
    self->fixed =
        ((struct codec *)key)->size >= 0 && ((struct codec *)value)->size >= 0;
    hold(self, SESSION_OWNER, owner);
    hold(self, SESSION_KEY, key);
    hold(self, SESSION_VALUE, value);
    hold(self, SESSION_HANDLE, kept);
    return (PyObject *)self;
}

/* H3: runs before any object of the same garbage loses what it holds, so the store's
 * handle (H4) outlives those of its sessions in reference cycles too. */
static void session_finalize(PyObject *object) {
    struct session *self = (struct session *)object;
    struct faster_session *session = self->session;
    self->session = NULL;
    pending_leave(self);
    if (session != NULL)
        hot.table->session_free(session);
}

static int session_traverse(PyObject *object, visitproc visit, void *arg) {
    int status = pending_traverse((struct session *)object, visit, arg);
    return status != 0 ? status : holder_traverse(object, visit, arg);
}

/* A subclass's __del__ takes the place of session_finalize: then it is called here,
 * while the owner is still held (H3). */
static int session_clear(PyObject *object) {
    session_finalize(object);
    pending_clear((struct session *)object);
    return holder_clear(object);
}

/* Untracked first: the callbacks of weak references may start a collection, which must
 * not meet an object without references. */
static void session_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    session_finalize(object);
    if (((struct session *)object)->weak != NULL)
        PyObject_ClearWeakRefs(object);
    pending_clear((struct session *)object);
    holder_dealloc(object);
}

/* end() -> bool: close the session; False while updates are on their way that have
 * their serial numbers. */
static PyObject *session_end(PyObject *object, PyObject *Py_UNUSED(none)) {
    struct session *self = (struct session *)object;
    struct faster_session *session = self->session;
    int status = FASTER_OK;
    /* A store that is being closed may hold its lock for long. */
    Py_BEGIN_ALLOW_THREADS;
    if (session != NULL)
        status = hot.table->session_close(session);
    Py_END_ALLOW_THREADS;
    if (status < 0)
        return finish(status, "close", NULL), NULL;
    return PyBool_FromLong(status != FASTER_PENDING);
}

static PyObject *session_serial(PyObject *object, void *Py_UNUSED(closure)) {
    struct session *self = (struct session *)object;
    return PyLong_FromUnsignedLongLong(
        self->session ? hot.table->session_serial(self->session) : 0);
}

static PyObject *session_pending(PyObject *object, void *Py_UNUSED(closure)) {
    struct session *self = (struct session *)object;
    return PyLong_FromUnsignedLongLong(
        self->session ? hot.table->pending_count(self->session) : 0);
}

static PyObject *session_busy(PyObject *object, void *Py_UNUSED(closure)) {
    return PyLong_FromSize_t(pending_busy((struct session *)object));
}

static PyObject *session_address(PyObject *object, void *Py_UNUSED(closure)) {
    return PyLong_FromVoidPtr(((struct session *)object)->session);
}

static PyMethodDef session_methods[] = {
    {"read", CALL(session_read), FAST,
     "read($self, key, default=None)\n--\n\nGive the value, or the default."},
    {"upsert", CALL(session_upsert), FAST,
     "upsert($self, key, value)\n--\n\nSet a value, whatever was there."},
    {"insert", CALL(session_insert), FAST,
     "insert($self, key, value)\n--\n\nSet a value if the key is absent; tell "
     "whether."},
    {"delete", session_delete, METH_O,
     "delete($self, key, /)\n--\n\nRemove a key; tell whether it was there."},
    {"discard", session_discard, METH_O,
     "discard($self, key, /)\n--\n\nRemove a key without asking for it."},
    {"rmw", CALL(session_rmw), FAST,
     "rmw($self, key, input, merge)\n--\n\nMerge into the value; give the new one."},
    {"compare_and_set", CALL(session_compare_and_set), FAST,
     "compare_and_set($self, key, expected, new)\n--\n\n"
     "Set a value if the present one has the same bytes; tell whether."},
    {"update", CALL(session_update), FAST,
     "update($self, key, fn, initial=...)\n--\n\n"
     "Set fn(value), again until nobody else set it meanwhile; give the new value."},
    {"read_into", CALL(session_read_into), FAST,
     "read_into($self, key, buffer)\n--\n\n"
     "Copy the encoded value into a buffer; give its size."},
    {"start_read", CALL(session_start_read), FAST,
     "start_read($self, key, context=None)\n--\n\nBegin read(key)."},
    {"start_upsert", CALL(session_start_upsert), FAST,
     "start_upsert($self, key, value, context=None)\n--\n\nBegin upsert(...)."},
    {"start_insert", CALL(session_start_insert), FAST,
     "start_insert($self, key, value, context=None)\n--\n\nBegin insert(...)."},
    {"start_delete", CALL(session_start_delete), FAST,
     "start_delete($self, key, context=None)\n--\n\nBegin delete(key)."},
    {"start_rmw", CALL(session_start_rmw), FAST,
     "start_rmw($self, key, input, merge, context=None)\n--\n\nBegin rmw(...)."},
    {"start_compare_and_set", CALL(session_start_compare), FAST,
     "start_compare_and_set($self, key, expected, new, context=None)\n--\n\n"
     "Begin compare_and_set(...)."},
    {"finished", session_finished, METH_O, "Take what has ended; wait for the first."},
    {"abandon", session_abandon, METH_O, "End what is on its way, with an error."},
    {"read_list", CALL(session_read_list), FAST, "Read many; None for the absent."},
    {"upsert_list", CALL(session_upsert_list), FAST, "Set many values."},
    {"rmw_list", CALL(session_rmw_list), FAST, "Merge into many values."},
    {"delete_list", CALL(session_delete_list), FAST, "Remove many keys; tell which."},
    {"run", session_run, METH_VARARGS, "Go on with a batch on buffers."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {"end", session_end, METH_NOARGS, "Close the session, unless updates hold it."},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef session_getset[] = {
    {"serial", session_serial, NULL, "Serial number of the last update.", NULL},
    {"pending", session_pending, NULL, "How many operations are on their way.", NULL},
    {"busy", session_busy, NULL, "How many operations have not been told of.", NULL},
    {"address", session_address, NULL, "Where the core's session is.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
#define HELD_MEMBER(slot) T_OBJECT, offsetof(struct session, head.held[slot]), READONLY
static PyMemberDef session_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct session, weak), READONLY, NULL},
    {"owner", HELD_MEMBER(SESSION_OWNER), "What keeps the store's handle alive."},
    {"key_codec", HELD_MEMBER(SESSION_KEY), "How keys become bytes here."},
    {"value_codec", HELD_MEMBER(SESSION_VALUE), "How values become bytes here."},
    {NULL, 0, 0, 0, NULL}};
static PyType_Slot session_slots[] = {{Py_tp_new, session_new},
                                      {Py_tp_dealloc, session_dealloc},
                                      {Py_tp_finalize, session_finalize},
                                      {Py_tp_traverse, session_traverse},
                                      {Py_tp_clear, session_clear},
                                      {Py_tp_methods, session_methods},
                                      {Py_tp_getset, session_getset},
                                      {Py_tp_members, session_members},
                                      {Py_mp_subscript, session_getitem},
                                      {Py_mp_ass_subscript, session_setitem},
                                      {Py_sq_contains, session_contains},
                                      {Py_tp_doc, "One thread of operations."},
                                      {0, NULL}};
static PyType_Spec session_spec = {
    "pyfaster._hot.Session", sizeof(struct session), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, session_slots};

static PyMethodDef async_methods[] = {
    {"read", CALL(async_read), FAST,
     "read($self, key, default=None)\n--\n\nGive the value, or the default."},
    {"upsert", CALL(async_upsert), FAST,
     "upsert($self, key, value)\n--\n\nSet a value, whatever was there."},
    {"insert", CALL(async_insert), FAST,
     "insert($self, key, value)\n--\n\nSet a value if the key is absent; tell "
     "whether."},
    {"delete", async_delete, METH_O,
     "delete($self, key, /)\n--\n\nRemove a key; tell whether it was there."},
    {"discard", async_discard, METH_O,
     "discard($self, key, /)\n--\n\nRemove a key without asking for it."},
    {"rmw", CALL(async_rmw), FAST,
     "rmw($self, key, input, merge)\n--\n\nMerge into the value; give the new one."},
    {"compare_and_set", CALL(async_compare_and_set), FAST,
     "compare_and_set($self, key, expected, new)\n--\n\n"
     "Set a value if the present one has the same bytes; tell whether."},
    {"read_encoded", CALL(async_read_encoded), FAST, "Read a value's bytes."},
    {"swap_encoded", CALL(async_swap_encoded), FAST,
     "compare_and_set with the bytes that read_encoded gave."},
    {"resolve", session_resolve, METH_NOARGS, "End what the device has done."},
    {"bind", session_bind, METH_VARARGS, "Belong to an event loop."},
    {"abandon", session_abandon, METH_O, "End what is on its way, with an error."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {"end", session_end, METH_NOARGS, "Close the session, unless updates hold it."},
    {NULL, NULL, 0, NULL}};
static PyType_Slot async_slots[] = {{Py_tp_new, session_new},
                                    {Py_tp_dealloc, session_dealloc},
                                    {Py_tp_finalize, session_finalize},
                                    {Py_tp_traverse, session_traverse},
                                    {Py_tp_clear, session_clear},
                                    {Py_tp_methods, async_methods},
                                    {Py_tp_getset, session_getset},
                                    {Py_tp_members, session_members},
                                    {Py_tp_doc, "Operations for an event loop."},
                                    {0, NULL}};
static PyType_Spec async_spec = {
    "pyfaster._hot.AsyncSession", sizeof(struct session), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, async_slots};

/* --- the module ------------------------------------------------------------------- */

enum { HANDLE_PARTS = 2 };

/* H4: nothing but the last reference frees a store or a log. */
static void handle_free(PyObject *capsule) {
    void *handle = PyCapsule_GetPointer(capsule, "faster_handle");
    void *address = PyCapsule_GetContext(capsule);
    void (*free_core)(void *);
    memcpy(&free_core, &address, sizeof address);
    if (handle == NULL)
        return;
    PyThreadState *state = PyEval_SaveThread(); /* giving pages back takes time */
    free_core(handle);
    PyEval_RestoreThread(state);
}

/* handle(address, free) -> an object that lives outside the collector's sight, and
 * calls free(address) when nobody holds it any more. */
static PyObject *hot_handle(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *parts[HANDLE_PARTS];
    void *found[HANDLE_PARTS];
    if (!PyArg_ParseTuple(args, "OO:handle", &parts[0], &parts[1]))
        return NULL;
    for (int i = 0; i < HANDLE_PARTS; i++)
        if ((found[i] = PyLong_AsVoidPtr(parts[i])) == NULL)
            return PyErr_Occurred() ? NULL
                                    : PyErr_Format(PyExc_ValueError, "no address");
    PyObject *capsule = PyCapsule_New(found[0], "faster_handle", NULL);
    if (capsule == NULL || PyCapsule_SetContext(capsule, found[1]) < 0 ||
        PyCapsule_SetDestructor(capsule, handle_free) < 0)
        Py_CLEAR(capsule);
    return capsule;
}

static PyObject *hot_init(PyObject *Py_UNUSED(module), PyObject *address) {
    const struct faster_hot_table *table = PyLong_AsVoidPtr(address);
    if (table == NULL)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "no table");
    if (table->abi != FASTER_ABI || table->size < sizeof *table)
        return PyErr_Format(PyExc_ImportError,
                            "pyfaster._hot was built for interface %d with %zu bytes, "
                            "the core has interface %u with %u; install pyfaster again",
                            (int)FASTER_ABI, sizeof *table, table->abi, table->size);
    hot.table = table;
    return Py_NewRef(Py_None);
}

static PyObject *hot_set_error_factory(PyObject *Py_UNUSED(module), PyObject *factory) {
    if (!PyCallable_Check(factory))
        return PyErr_Format(PyExc_TypeError, "the factory must be callable");
    hot.factory = Py_NewRef(factory); /* the old one stays: it may be running */
    return Py_NewRef(Py_None);
}

static PyObject *hot_set_merges(PyObject *Py_UNUSED(module), PyObject *merges) {
    PyObject *name, *merge;
    Py_ssize_t at = 0;
    if (!PyDict_Check(merges))
        return PyErr_Format(PyExc_TypeError, "the merges must be a dict");
    while (PyDict_Next(merges, &at, &name, &merge))
        if (!Py_IS_TYPE(merge, hot.merge))
            return PyErr_Format(PyExc_TypeError, "merge %R: expected Merge", name);
    PyObject *copy = PyDict_Copy(merges);
    if (copy == NULL)
        return NULL;
    hot.merges = copy; /* the old one stays: a method may be using a merge of it */
    Py_CLEAR(hot.recent_name);
    return Py_NewRef(Py_None);
}

static PyObject *hot_set_pending(PyObject *Py_UNUSED(module), PyObject *sentinel) {
    hot.pending = Py_NewRef(sentinel);
    return Py_NewRef(Py_None);
}

static PyObject *hot_set_log_errors(PyObject *Py_UNUSED(module), PyObject *factory) {
    if (!PyCallable_Check(factory))
        return PyErr_Format(PyExc_TypeError, "the factory must be callable");
    hot.log_errors = Py_NewRef(factory); /* the old one stays: it may be running */
    return Py_NewRef(Py_None);
}

static PyMethodDef hot_functions[] = {
    {"init", hot_init, METH_O, "Take the core's table of functions."},
    {"set_error_factory", hot_set_error_factory, METH_O,
     "Say what makes exceptions; called as errors.core_error is."},
    {"handle", hot_handle, METH_VARARGS,
     "What frees a store or a log with its last reference."},
    {"view", hot_view, METH_VARARGS, "What lends a value and gives its page back."},
    {"set_merges", hot_set_merges, METH_O, "Say what the names of merges mean."},
    {"set_pending", hot_set_pending, METH_O, "Say what start_*() give for later."},
    {"set_log_errors", hot_set_log_errors, METH_O,
     "Say what makes exceptions of a log; called as flog.log_error is."},
    {"pack", items_pack, METH_VARARGS, "Items from a sequence of objects."},
    {"borrow", items_borrow, METH_VARARGS, "Items from a buffer, without a copy."},
    {"repeat", items_repeat, METH_VARARGS, "One object for many items."},
    {"arrow", items_arrow, METH_VARARGS, "Items from the capsules of an Arrow array."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef hot_module = {PyModuleDef_HEAD_INIT,
                                        "pyfaster._hot",
                                        "The operations of a session, without a frame.",
                                        -1,
                                        hot_functions,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL};

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **place) {
    *place = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *place == NULL ? -1 : PyModule_AddType(module, *place);
}

PyMODINIT_FUNC PyInit__hot(void);

PyMODINIT_FUNC PyInit__hot(void) {
    PyObject *module = PyModule_Create(&hot_module);
    if (module != NULL && (add_type(module, &codec_spec, &hot.codec) < 0 ||
                           add_type(module, &merge_spec, &hot.merge) < 0 ||
                           add_type(module, &items_spec, &hot.items) < 0 ||
                           add_type(module, &session_spec, &hot.session) < 0 ||
                           add_type(module, &view_spec, &hot.view) < 0 ||
                           add_type(module, &async_spec, &hot.async_session) < 0 ||
                           add_type(module, &operation_spec, &hot.operation) < 0 ||
                           add_type(module, &log_spec, &hot.log) < 0 ||
                           add_type(module, &scan_spec, &hot.log_scan) < 0 ||
                           add_type(module, &entry_spec, &hot.entry) < 0 ||
                           add_type(module, &piece_spec, &hot.piece) < 0 ||
                           add_type(module, &lent_spec, &hot.lent) < 0))
        Py_CLEAR(module);
    hot.set_result = PyUnicode_InternFromString("set_result");
    hot.set_exception = PyUnicode_InternFromString("set_exception");
    if (hot.set_result == NULL || hot.set_exception == NULL)
        Py_CLEAR(module);
    return module;
}
