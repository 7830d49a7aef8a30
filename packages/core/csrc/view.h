/* SPDX-License-Identifier: MIT */
/*
 * view.h: a value lent where it is
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   A memoryview on a record pins its page in the core.  Who gives the pin back must
 *   outlive every slice of the view, in whatever order a collector takes garbage.
 *
 * Model
 *   View exports the bytes as a buffer, so each memoryview and each slice holds it.  It
 *   holds the store's handle (H4) and gives the pin back when it goes.
 *
 * Invariants
 *   W1  The collector does not see a View: it refers to nothing that could refer to it.
 *
 * Ordering
 *   none
 */
#ifndef PYFASTER_VIEW_H
#define PYFASTER_VIEW_H

#include "hot.h"

struct view {
    PyObject_HEAD PyObject *handle;
    struct faster_kv *kv;
    struct faster_view lent;
    void (*close)(struct faster_kv *, const struct faster_view *);
};

static int view_export(PyObject *object, Py_buffer *buffer, int flags) {
    const struct faster_view *lent = &((struct view *)object)->lent;
    return PyBuffer_FillInfo(buffer, object, (void *)lent->data, (Py_ssize_t)lent->size,
                             1, flags);
}

static void view_dealloc(PyObject *object) {
    struct view *self = (struct view *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->close != NULL)
        self->close(self->kv, &self->lent);
    Py_XDECREF(self->handle);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* view(handle, store, view, close) -> what lends the bytes of a struct faster_view; the
 * last three are addresses. */
static PyObject *hot_view(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *handle, *parts[3];
    void *found[3];
    if (!PyArg_ParseTuple(args, "OOOO:view", &handle, &parts[0], &parts[1], &parts[2]))
        return NULL;
    for (int i = 0; i < 3; i++)
        if ((found[i] = PyLong_AsVoidPtr(parts[i])) == NULL)
            return PyErr_Occurred() ? NULL
                                    : PyErr_Format(PyExc_ValueError, "no address");
    struct view *self = holder_new(hot.view);
    if (self == NULL)
        return NULL;
    self->handle = Py_NewRef(handle);
    self->kv = found[0];
    self->lent = *(const struct faster_view *)found[1];
    memcpy(&self->close, &found[2], sizeof self->close);
    return (PyObject *)self;
}

static PyType_Slot view_slots[] = {{Py_tp_dealloc, view_dealloc},
                                   {Py_bf_getbuffer, view_export},
                                   {Py_tp_doc, "A value lent where it is."},
                                   {0, NULL}};
static PyType_Spec view_spec = {"pyfaster._hot.View", sizeof(struct view), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                view_slots};

#endif
