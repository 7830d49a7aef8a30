/* SPDX-License-Identifier: MIT */
/*
 * items.h: many encoded objects in a row
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   A batch gives the core all its keys at once.  Here they come into one of the two
 *   forms of struct faster_items, with as few copies as their origin allows.
 *
 * Model
 *   A sequence of objects is encoded into memory of the items' own.  A buffer or an
 *   Arrow array is borrowed where it is, a column with a stride included.  One object
 *   for all items is an item with a stride of 0.
 *
 * Invariants
 *   B1  All items are encoded before the first is done: a wrong type changes nothing.
 *   B2  Offsets are copied and checked to ascend before the core reads them, so no
 *       other thread can change them meanwhile.
 *   B3  Keys of float64 that come in a buffer obey K1: they are copied through a check.
 *
 * Ordering
 *   none
 */
#ifndef PYFASTER_ITEMS_H
#define PYFASTER_ITEMS_H

#include "codec.h"

static struct items *items_new(const struct codec *codec, uint64_t count) {
    struct items *self = holder_new(hot.items);
    if (self == NULL)
        return NULL;
    self->count = count;
    self->items.size = codec->size < 0 ? 0 : (uint64_t)codec->size;
    self->items.stride = self->items.size;
    return self;
}

/* Give memory to the items; at least a byte, so that it is never NULL. */
static int items_own(struct items *self, uint64_t size, int with_offsets) {
    uint64_t limit = PY_SSIZE_T_MAX / sizeof(uint64_t) - 1;
    if (size <= limit && self->count <= limit) {
        self->data = PyMem_Malloc(size + 1);
        if (with_offsets)
            self->offsets = PyMem_Calloc(self->count + 1, sizeof(uint64_t));
    }
    self->items.data = self->data;
    self->items.offsets = self->offsets;
    if (self->data != NULL && (self->offsets != NULL || !with_offsets))
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int items_append(struct items *self, const struct piece *piece, uint64_t at,
                        uint64_t *capacity) {
    if (piece->size > *capacity - at) {
        uint64_t wanted = 2 * (at + piece->size);
        uint8_t *data =
            wanted > PY_SSIZE_T_MAX ? NULL : PyMem_Realloc(self->data, wanted);
        if (data == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        self->items.data = self->data = data;
        *capacity = wanted;
    }
    memcpy(self->data + at, piece->data, piece->size);
    return 0;
}

static int items_fill(struct items *self, const struct codec *codec, PyObject *objects,
                      uint64_t capacity) {
    struct piece piece;
    uint64_t at = 0;
    for (uint64_t i = 0; i < self->count; i++) {
        PyObject *object = PyTuple_GetItem(objects, (Py_ssize_t)i);
        if (object == NULL || piece_open(&piece, codec, object) < 0)
            return -1;
        int status = items_append(self, &piece, at, &capacity);
        at += piece.size;
        piece_close(&piece);
        if (status < 0)
            return -1;
        if (self->offsets != NULL)
            self->offsets[i + 1] = at;
    }
    return 0;
}

/* Encode a sequence, or take what has been encoded or borrowed already. */
static struct items *items_of(const struct codec *codec, PyObject *source) {
    if (Py_IS_TYPE(source, hot.items))
        return (struct items *)Py_NewRef(source);
    PyObject *objects = PySequence_Tuple(source);
    if (objects == NULL)
        return NULL;
    struct items *self = items_new(codec, (uint64_t)PyTuple_Size(objects));
    if (self != NULL) {
        int fixed = codec->size >= 0;
        uint64_t capacity = self->count * (fixed ? self->items.size : ITEM_GUESS);
        self->head.held[ITEMS_SOURCE] = Py_NewRef(objects);
        if (items_own(self, capacity, !fixed) < 0 ||
            items_fill(self, codec, objects, capacity) < 0)
            Py_CLEAR(self);
    }
    Py_DECREF(objects);
    return self;
}

static struct items *items_refuse(struct items *self, const char *why) {
    PyErr_SetString(PyExc_ValueError, why);
    Py_DECREF(self);
    return NULL;
}

static PyObject *items_pack(PyObject *Py_UNUSED(module), PyObject *args) {
    struct codec *codec;
    PyObject *source;
    if (!PyArg_ParseTuple(args, "O!O:pack", hot.codec, &codec, &source))
        return NULL;
    return (PyObject *)items_of(codec, source);
}

/* B3: bring keys of float64 into the form in which equal ones have equal bytes. */
static struct items *items_canonical(struct items *self, const struct codec *codec) {
    if (self == NULL || codec->kind != FLOAT64 || !codec->key)
        return self;
    const uint8_t *from = self->items.data;
    uint64_t stride = self->items.stride;
    if (items_own(self, self->count * sizeof(double), 0) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->items.stride = sizeof(double);
    for (uint64_t i = 0; i < self->count; i++) {
        double number;
        memcpy(&number, from + i * stride, sizeof number);
        if (number != number)
            return items_refuse(self, "keys: NaN equals no key, not even itself");
        number = number == 0.0 ? 0.0 : number;
        memcpy(self->data + i * sizeof number, &number, sizeof number);
    }
    return self;
}

/* Borrow a buffer of items that all have the codec's size: n items, n rows of bytes, or
 * bytes in a row. */
static PyObject *items_borrow(PyObject *Py_UNUSED(module), PyObject *args) {
    struct codec *codec;
    PyObject *source;
    if (!PyArg_ParseTuple(args, "O!O:borrow", hot.codec, &codec, &source))
        return NULL;
    struct items *self = items_new(codec, 0);
    if (self == NULL || PyObject_GetBuffer(source, &self->view, PyBUF_STRIDED_RO) < 0) {
        Py_CLEAR(self);
        return NULL;
    }
    const Py_buffer *view = &self->view;
    if (codec->size <= 0)
        return (PyObject *)items_refuse(self, "a buffer's items need a fixed size");
    if (view->ndim < 1 || view->ndim > 2 || view->strides == NULL)
        return (PyObject *)items_refuse(
            self, "a buffer of items has 1 or 2 dimensions and says its strides");
    Py_ssize_t row = view->itemsize, count = view->shape[0], stride = view->strides[0];
    if (view->ndim == 2 && (view->strides[1] == row || count == 0))
        row *= view->shape[1];
    if (row == 1 && stride == 1 && view->len % codec->size == 0) {
        row = stride = codec->size;
        count = view->len / row;
    }
    if (row != codec->size || (stride < 0 && count > 1))
        return (PyObject *)items_refuse(
            self, "the buffer's items are cut off, run backwards, or have gaps inside");
    self->items.data = view->buf;
    self->items.stride = (uint64_t)stride;
    self->count = (uint64_t)count;
    return (PyObject *)items_canonical(self, codec);
}

/* One object for all of `count` items. */
static PyObject *items_repeat(PyObject *Py_UNUSED(module), PyObject *args) {
    struct codec *codec;
    struct piece piece;
    PyObject *object;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "O!On:repeat", hot.codec, &codec, &object, &count) ||
        piece_open(&piece, codec, object) < 0)
        return NULL;
    struct items *self = items_new(codec, (uint64_t)count);
    if (self != NULL && items_own(self, piece.size, 0) < 0)
        Py_CLEAR(self);
    if (self != NULL) {
        memcpy(self->data, piece.data, piece.size);
        self->items.size = piece.size;
        self->items.stride = 0;
    }
    piece_close(&piece);
    return (PyObject *)self;
}

/* B2.  `width` is 4 or 8 bytes, signed; `limit` the size of the data, if known. */
static struct items *items_offsets(struct items *self, const void *source,
                                   uint64_t first, uint64_t width, uint64_t limit) {
    const uint8_t *from =
        source == NULL ? NULL : (const uint8_t *)source + first * width;
    const uint8_t *data = self->items.data;
    if (items_own(self, 0, 1) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (data != NULL)
        self->items.data = data;
    uint64_t last = 0;
    for (uint64_t i = 0; from != NULL && i <= self->count; i++) {
        int64_t wide = 0;
        int32_t narrow = 0;
        if (width == sizeof narrow)
            memcpy(&narrow, from + i * width, width);
        else
            memcpy(&wide, from + i * width, width);
        wide += narrow;
        if (wide < 0 || (uint64_t)wide < last || (uint64_t)wide > limit)
            return items_refuse(self, "offsets must ascend and stay within the data");
        self->offsets[i] = last = (uint64_t)wide;
    }
    return self;
}

static void items_dealloc(PyObject *object) {
    struct items *self = (struct items *)object;
    PyObject_GC_UnTrack(object); /* releasing a buffer may run code, and a collection */
    PyMem_Free(self->data);
    PyMem_Free(self->offsets);
    if (self->view.obj != NULL)
        PyBuffer_Release(&self->view);
    holder_dealloc(object);
}

static Py_ssize_t items_length(PyObject *self) {
    return (Py_ssize_t)((struct items *)self)->count;
}

static PyType_Slot items_slots[] = {{Py_tp_dealloc, items_dealloc},
                                    {Py_tp_traverse, holder_traverse},
                                    {Py_tp_clear, holder_clear},
                                    {Py_sq_length, items_length},
                                    {Py_tp_doc, "Many encoded objects in a row."},
                                    {0, NULL}};
static PyType_Spec items_spec = {"pyfaster._hot.Items", sizeof(struct items), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                     Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 items_slots};

#endif
