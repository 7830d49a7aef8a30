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
#include "codec.h"
#include "hot.h"
#include "items.h"
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

/* --- single operations ------------------------------------------------------------ */

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
    piece_close(&piece);
    if (status == FASTER_OK)
        return FASTER_OK;
    value_close(value);
    return finish(status, where, key);
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

typedef int write_function(struct faster_session *, const void *, uint64_t,
                           const void *, uint64_t);

static int put(const struct session *self, PyObject *key, PyObject *value,
               write_function *write, const char *where) {
    struct piece k, v = {.size = 0};
    int status = RAISED;
    if (key_open(&k, self, key, where) < 0)
        return -1;
    if (piece_open(&v, value_codec(self), value) == 0) {
        UNTIL_DONE(self, status, write(self->session, k.data, k.size, v.data, v.size));
        piece_close(&v);
    }
    piece_close(&k);
    return finish_sized(self, status, where, key, k.size, v.size);
}

static int drop(const struct session *self, PyObject *key, const char *where) {
    struct piece k;
    int status;
    if (key_open(&k, self, key, where) < 0)
        return -1;
    UNTIL_DONE(self, status, hot.table->remove(self->session, k.data, k.size));
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
        piece_close(&v);
    }
    piece_close(&k);
    return finish_sized(self, status, where, key, k.size, v.size);
}

#define FAST_METHOD(name)                                                              \
    static PyObject *name(PyObject *object, PyObject *const *args, Py_ssize_t given,   \
                          PyObject *keywords)
#define OPEN_METHOD(...)                                                               \
    static const struct signature signature = {__VA_ARGS__};                           \
    struct session *self = (struct session *)object;                                   \
    PyObject *in[4];                                                                   \
    if (arguments(&signature, args, given, keywords, in) < 0)                          \
    return NULL

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
    int status = put(self, in[0], in[1], hot.table->upsert, "upsert");
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

FAST_METHOD(session_insert) {
    OPEN_METHOD("insert(key, value)", 2, 2, {"key", "value"});
    int status = put(self, in[0], in[1], hot.table->insert, "insert");
    return status < 0 ? NULL : PyBool_FromLong(status == FASTER_OK);
}

static PyObject *session_delete(PyObject *self, PyObject *key) {
    int status = drop((struct session *)self, key, "delete");
    return status < 0 ? NULL : PyBool_FromLong(status == FASTER_OK);
}

static PyObject *session_discard(PyObject *self, PyObject *key) {
    return drop((struct session *)self, key, "discard") < 0 ? NULL : Py_NewRef(Py_None);
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
        status = put(self, in[0], *new, hot.table->insert, "update");
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

FAST_METHOD(session_read_into) {
    OPEN_METHOD("read_into(key, buffer)", 2, 2, {"key", "buffer"});
    struct piece k;
    Py_buffer view;
    uint64_t size = 0;
    int status;
    if (PyObject_GetBuffer(in[1], &view, PyBUF_WRITABLE) < 0)
        return NULL;
    if (key_open(&k, self, in[0], "read_into") == 0) {
        UNTIL_DONE(self, status,
                   hot.table->read(self->session, k.data, k.size, view.buf,
                                   (uint64_t)view.len, &size));
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
        return put(self, key, value, hot.table->upsert, "store[...]") < 0 ? -1 : 0;
    int status = drop(self, key, "del store[...]");
    if (status == FASTER_NOT_FOUND)
        PyErr_SetObject(PyExc_KeyError, key);
    return status == FASTER_OK ? 0 : -1;
}

static int session_contains(PyObject *object, PyObject *key) {
    struct session *self = (struct session *)object;
    struct piece k;
    uint64_t size;
    uint8_t none;
    int status;
    if (key_open(&k, self, key, "key in store") < 0)
        return -1;
    UNTIL_DONE(self, status,
               hot.table->read(self->session, k.data, k.size, &none, 0, &size));
    piece_close(&k);
    if (status == FASTER_SHORT)
        return 1;
    status = finish(status, "key in store", key);
    return status < 0 ? -1 : status != FASTER_NOT_FOUND;
}

/* --- the session as an object ----------------------------------------------------- */

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"address", "owner",     "key", "value",
                            "handle",  "page_size", NULL};
    PyObject *address, *owner, *key, *value, *kept = Py_None;
    unsigned long long page_size = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOO!O!|OK:Session", names,
                                     &address, &owner, hot.codec, &key, hot.codec,
                                     &value, &kept, &page_size))
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
    if (session != NULL)
        hot.table->session_free(session);
}

/* A subclass's __del__ takes the place of session_finalize: then it is called here,
 * while the owner is still held (H3). */
static int session_clear(PyObject *object) {
    session_finalize(object);
    return holder_clear(object);
}

/* Untracked first: the callbacks of weak references may start a collection, which must
 * not meet an object without references. */
static void session_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    session_finalize(object);
    if (((struct session *)object)->weak != NULL)
        PyObject_ClearWeakRefs(object);
    holder_dealloc(object);
}

static PyObject *session_close(PyObject *object, PyObject *Py_UNUSED(none)) {
    struct session *self = (struct session *)object;
    struct faster_session *session = self->session;
    int status = FASTER_OK;
    /* A store that is being closed may hold its lock for long. */
    Py_BEGIN_ALLOW_THREADS;
    if (session != NULL)
        status = hot.table->session_close(session);
    Py_END_ALLOW_THREADS;
    return finish(status, "close", NULL) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *session_serial(PyObject *object, void *Py_UNUSED(closure)) {
    struct session *self = (struct session *)object;
    return PyLong_FromUnsignedLongLong(
        self->session ? hot.table->session_serial(self->session) : 0);
}

static PyObject *session_address(PyObject *object, void *Py_UNUSED(closure)) {
    return PyLong_FromVoidPtr(((struct session *)object)->session);
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)
#define CALL(function) ((PyCFunction)(void (*)(void))(function))
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
    {"read_list", CALL(session_read_list), FAST, "Read many; None for the absent."},
    {"upsert_list", CALL(session_upsert_list), FAST, "Set many values."},
    {"rmw_list", CALL(session_rmw_list), FAST, "Merge into many values."},
    {"delete_list", CALL(session_delete_list), FAST, "Remove many keys; tell which."},
    {"run", session_run, METH_VARARGS, "Go on with a batch on buffers."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {"close", session_close, METH_NOARGS,
     "close($self)\n--\n\nClose the session; a second call does nothing."},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef session_getset[] = {
    {"serial", session_serial, NULL, "Serial number of the last update.", NULL},
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
                                      {Py_tp_traverse, holder_traverse},
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

/* --- the module ------------------------------------------------------------------- */

enum { HANDLE_PARTS = 2 };

/* H4: nothing but the last reference frees a store. */
static void handle_free(PyObject *capsule) {
    void *handle = PyCapsule_GetPointer(capsule, "faster_kv");
    void *address = PyCapsule_GetContext(capsule);
    void (*free_store)(void *);
    memcpy(&free_store, &address, sizeof address);
    if (handle == NULL)
        return;
    PyThreadState *state = PyEval_SaveThread(); /* giving pages back takes time */
    free_store(handle);
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
    PyObject *capsule = PyCapsule_New(found[0], "faster_kv", NULL);
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

static PyMethodDef hot_functions[] = {
    {"init", hot_init, METH_O, "Take the core's table of functions."},
    {"set_error_factory", hot_set_error_factory, METH_O,
     "Say what makes exceptions; called as errors.core_error is."},
    {"handle", hot_handle, METH_VARARGS, "What frees a store with its last reference."},
    {"set_merges", hot_set_merges, METH_O, "Say what the names of merges mean."},
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
                           add_type(module, &session_spec, &hot.session) < 0))
        Py_CLEAR(module);
    return module;
}
