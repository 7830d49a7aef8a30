/* SPDX-License-Identifier: MIT */
/*
 * merge.h: what values are combined with
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   The core knows merges by number and takes machine code by address.  Users say a
 *   name or pass an object; which names there are is told by set_merges().
 *
 * Model
 *   A Merge holds the core's struct, the codec of its inputs when it is not that of the
 *   values, and whatever keeps the machine code loaded.
 *
 * Invariants
 *   none
 *
 * Ordering
 *   none
 */
#ifndef PYFASTER_MERGE_H
#define PYFASTER_MERGE_H

#include "hot.h"

static PyObject *merge_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(k)) {
    PyObject *name, *address, *input, *keep;
    unsigned int kind;
    if (!PyArg_ParseTuple(args, "UIOOO:Merge", &name, &kind, &address, &input, &keep))
        return NULL;
    void *code = PyLong_AsVoidPtr(address);
    if (code == NULL && PyErr_Occurred())
        return NULL;
    if (input != Py_None && !Py_IS_TYPE(input, hot.codec))
        return PyErr_Format(PyExc_TypeError, "input: expected Codec or None");
    struct merge *self = holder_new(type);
    if (self == NULL)
        return NULL;
    self->merge.kind = kind;
    memcpy(&self->merge.native, &code, sizeof code);
    hold(self, MERGE_NAME, name);
    hold(self, MERGE_INPUT, input);
    hold(self, MERGE_KEEP, keep);
    return (PyObject *)self;
}

/* The names in order, as "add, append, ...". */
static PyObject *merge_names(void) {
    PyObject *names = hot.merges == NULL ? PyList_New(0) : PyDict_Keys(hot.merges);
    PyObject *comma = PyUnicode_FromString(", "), *text = NULL;
    if (names != NULL && comma != NULL && PyList_Sort(names) == 0)
        text = PyUnicode_Join(comma, names);
    Py_XDECREF(comma);
    Py_XDECREF(names);
    return text;
}

/* What a native merge did wrong, or NULL when it was something else. */
static const char *merge_note(int native, int status, int fixed) {
    if (native && status == FASTER_E_MERGE)
        return "the merge refused: its code returned a negative size";
    if (native && fixed && status == FASTER_E_VALUE_SIZE)
        return "the merge gave a value of another size than this store's values have; "
               "let its code return value_size, or the store's size for an absent key";
    return NULL;
}

/* Look a name up, and keep it as the recent one: a loop says the same object again. */
static struct merge *find_named(PyObject *name) {
    struct merge *found = NULL;
    if (PyUnicode_Check(name) && hot.merges != NULL)
        found = (struct merge *)PyDict_GetItemWithError(hot.merges, name);
    if (found != NULL && PyUnicode_CheckExact(name)) {
        PyObject *before = hot.recent_name;
        hot.recent_name = Py_NewRef(name);
        hot.recent = found;
        Py_XDECREF(before);
    }
    return found;
}

/* Find what `merge=` means; the result is borrowed from what cannot change. */
static struct merge *find_merge(PyObject *merge) {
    if (merge == hot.recent_name)
        return hot.recent;
    if (Py_IS_TYPE(merge, hot.merge))
        return (struct merge *)merge;
    struct merge *found = find_named(merge);
    if (found == NULL && !PyErr_Occurred()) {
        PyObject *names = merge_names();
        if (names != NULL)
            PyErr_Format(PyUnicode_Check(merge) ? PyExc_ValueError : PyExc_TypeError,
                         "merge: expected one of %U or native_merge(...), found %.200R",
                         names, merge);
        Py_XDECREF(names);
    }
    return found;
}

/* The core may call the code of a native merge after everybody has dropped it, for an
 * update that goes on unseen; so it is kept for good: there are few. */
static void merge_outlives(PyObject *merge) {
    if (!Py_IS_TYPE(merge, hot.merge) || ((struct merge *)merge)->outlives)
        return;
    ((struct merge *)merge)->outlives = 1;
    Py_INCREF(merge);
}

#define MERGE_MEMBER(slot) T_OBJECT, offsetof(struct merge, head.held[slot]), READONLY
static PyMemberDef merge_members[] = {
    {"name", MERGE_MEMBER(MERGE_NAME), "What the user calls it."},
    {"input", MERGE_MEMBER(MERGE_INPUT), "How inputs become bytes, or None."},
    {"keep", MERGE_MEMBER(MERGE_KEEP), "What keeps the code in memory."},
    {"kind", T_UINT, offsetof(struct merge, merge.kind), READONLY, NULL},
    {"address", T_ULONGLONG, offsetof(struct merge, merge.native), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};
static PyType_Slot merge_slots[] = {{Py_tp_new, merge_new},
                                    {Py_tp_dealloc, holder_dealloc},
                                    {Py_tp_traverse, holder_traverse},
                                    {Py_tp_clear, holder_clear},
                                    {Py_tp_members, merge_members},
                                    {Py_tp_doc, "What rmw combines a value with."},
                                    {0, NULL}};
static PyType_Spec merge_spec = {"pyfaster._hot.Merge", sizeof(struct merge), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, merge_slots};

#endif
