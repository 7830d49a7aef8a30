/* SPDX-License-Identifier: MIT */
/*
 * arrow.h: items from the Arrow C data interface
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   Columns of pyarrow, nanoarrow and others reach the core without a Python object for
 *   each item, and without any of those libraries being known here.
 *
 * Model
 *   The two structs of the interface, as its specification lays them out, come in
 *   capsules that own them.  The items keep the array's capsule for as long as they
 *   point into it.
 *
 * Invariants
 *   A1  Only the format that is exactly the codec's is taken, and no nulls.
 *
 * Ordering
 *   none
 */
#ifndef PYFASTER_ARROW_H
#define PYFASTER_ARROW_H

#include <stdlib.h>

#include "items.h"

struct arrow_schema {
    const char *format, *name, *metadata;
    int64_t flags, children_count;
    struct arrow_schema **children, *dictionary;
    void (*release)(struct arrow_schema *);
    void *owner;
};
struct arrow_array {
    int64_t length, null_count, offset, buffers_count, children_count;
    const void **buffers;
    struct arrow_array **children, *dictionary;
    void (*release)(struct arrow_array *);
    void *owner;
};

static const char *const arrow_formats[KINDS + 1] = {"zZ", "uU", "l", "L",
                                                     "g",  "w",  "",  NULL};

static int arrow_fits(const struct codec *codec, const struct arrow_schema *schema) {
    const char *format = schema->format;
    const char *known = strchr(arrow_formats[codec->kind], format[0]);
    if (format[0] == '\0' || known == NULL || schema->dictionary != NULL)
        return 0;
    if (codec->kind != FIXED_BYTES)
        return format[1] == '\0';
    return format[1] == ':' && strtol(format + 2, NULL, 10) == codec->size;
}

static int arrow_has_null(const struct arrow_array *array) {
    const uint8_t *valid = array->buffers[0];
    if (valid == NULL || array->null_count == 0)
        return 0;
    for (int64_t i = array->offset; i < array->offset + array->length; i++)
        if (!(valid[i / 8] >> (i % 8) & 1))
            return 1;
    return 0;
}

/* Borrow what the two capsules of __arrow_c_array__ describe. */
static PyObject *items_arrow(PyObject *Py_UNUSED(module), PyObject *args) {
    struct codec *codec;
    PyObject *described, *held;
    if (!PyArg_ParseTuple(args, "O!OO:arrow", hot.codec, &codec, &described, &held))
        return NULL;
    struct arrow_schema *schema = PyCapsule_GetPointer(described, "arrow_schema");
    struct arrow_array *array =
        schema == NULL ? NULL : PyCapsule_GetPointer(held, "arrow_array");
    if (array == NULL)
        return NULL;
    if (schema->release == NULL || array->release == NULL)
        return PyErr_Format(PyExc_ValueError, "the Arrow array was released already");
    if (!arrow_fits(codec, schema))
        return PyErr_Format(
            PyExc_TypeError,
            "%s: an Arrow array of format '%s' holds no %s of this codec",
            codec->key ? "keys" : "values", schema->format, kind_types[codec->kind]);
    if (arrow_has_null(array))
        return PyErr_Format(PyExc_ValueError,
                            "an Arrow array with nulls holds no items");
    struct items *self = items_new(codec, (uint64_t)array->length);
    if (self == NULL)
        return NULL;
    hold(self, ITEMS_SOURCE, held);
    uint64_t first = (uint64_t)array->offset;
    if (codec->size >= 0) {
        const uint8_t *data = array->buffers[1];
        self->items.data = data == NULL ? NULL : data + first * self->items.size;
        return (PyObject *)items_canonical(self, codec);
    }
    int wide = schema->format[0] == 'Z' || schema->format[0] == 'U';
    self->items.data = array->buffers[2];
    return (PyObject *)items_offsets(self, array->buffers[1], first, wide ? 8 : 4,
                                     array->buffers[2] == NULL ? 0 : INT64_MAX);
}

#endif
