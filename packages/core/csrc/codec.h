/* SPDX-License-Identifier: MIT */
/*
 * codec.h: how objects become bytes and come back
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   Six kinds are encoded here without a Python call; for any other codec a pair of
 *   Python callables is asked.
 *
 * Model
 *   An encoded object is a piece: a pointer and a size.  Bytes and text are pointed to
 *   where they are, numbers live in the piece itself, and what must be kept alive for
 *   the pointer's sake belongs to the piece until piece_close().
 *
 * Invariants
 *   K1  Equal keys give equal bytes: a key of float64 is never -0.0, NaN, or an integer
 *       that float64 would round.
 *   K2  A codec with a size gives pieces of exactly that size.
 *   K3  An object of the wrong type raises TypeError; nothing is converted silently.
 *
 * Ordering
 *   none
 */
#ifndef PYFASTER_CODEC_H
#define PYFASTER_CODEC_H

#include "hot.h"

static int raise_type(const struct codec *codec, PyObject *found) {
    PyObject *name = PyType_GetName(Py_TYPE(found));
    if (name != NULL)
        PyErr_Format(PyExc_TypeError, "%s: expected %s, found %U",
                     codec->key ? "key" : "value", kind_types[codec->kind], name);
    Py_XDECREF(name);
    return -1;
}

static int raise_value(const struct codec *codec, PyObject *type, const char *why,
                       PyObject *found) {
    PyErr_Format(type, "%s: %.200R %s", codec->key ? "key" : "value", found, why);
    return -1;
}

/* Put "key" or "value" before the reason of a UnicodeEncodeError. */
static int raise_text(const struct codec *codec) {
    PyObject *type, *error, *trace, *reason = NULL, *full = NULL;
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        return -1;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    reason = PyUnicodeEncodeError_GetReason(error);
    if (reason != NULL)
        full = PyUnicode_FromFormat("%s: %U", codec->key ? "key" : "value", reason);
    if (full == NULL || PyObject_SetAttrString(error, "reason", full) < 0)
        PyErr_Clear(); /* then the error stays as it was */
    Py_XDECREF(full);
    Py_XDECREF(reason);
    PyErr_Restore(type, error, trace);
    return -1;
}

/* One encoded object; `data` points into it, into `word` or into `owned`. */
struct piece {
    const void *data;
    uint64_t size;
    PyObject *owned;
    union {
        int64_t i;
        uint64_t u;
        double f;
    } word;
};

static inline void piece_close(struct piece *piece) { Py_XDECREF(piece->owned); }

static int piece_of_bytes(struct piece *piece, PyObject *object) {
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(object, &data, &size) < 0)
        return -1;
    piece->data = data;
    piece->size = (uint64_t)size;
    return 0;
}

/* bytearray and memoryview are copied: nothing else keeps them as they are. */
static int piece_of_buffer(struct piece *piece, const struct codec *codec,
                           PyObject *object) {
    Py_buffer view;
    if (!PyBytes_Check(object) && !PyByteArray_Check(object) &&
        !PyMemoryView_Check(object))
        return raise_type(codec, object);
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return -1;
    piece->owned = PyBytes_FromStringAndSize(view.buf, view.len);
    PyBuffer_Release(&view);
    return piece->owned == NULL ? -1 : piece_of_bytes(piece, piece->owned);
}

static int piece_of_int(struct piece *piece, const struct codec *codec,
                        PyObject *object) {
    int exact = PyLong_CheckExact(object);
    if (!exact && (PyBool_Check(object) || !PyIndex_Check(object)))
        return raise_type(codec, object);
    PyObject *number = exact ? Py_NewRef(object) : PyNumber_Index(object);
    if (number == NULL)
        return -1;
    if (codec->kind == INT64)
        piece->word.i = PyLong_AsLongLong(number);
    else
        piece->word.u = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    if (piece->word.u != UINT64_MAX || !PyErr_Occurred())
        return 0;
    PyErr_Clear();
    return raise_value(
        codec, PyExc_OverflowError,
        codec->kind == INT64 ? "does not fit int64" : "does not fit uint64", object);
}

static int piece_of_float(struct piece *piece, const struct codec *codec,
                          PyObject *object) {
    int integer = PyLong_Check(object) && !PyBool_Check(object);
    if (!PyFloat_Check(object) && !integer)
        return raise_type(codec, object);
    double number = PyFloat_AsDouble(object);
    if (number == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return -1;
        PyErr_Clear();
        return raise_value(codec, PyExc_OverflowError, "does not fit float64", object);
    }
    piece->word.f = number;
    if (!codec->key)
        return 0;
    if (number != number)
        return raise_value(codec, PyExc_ValueError, "equals no key, not even itself",
                           object);
    if (number == 0.0)
        piece->word.f = 0.0; /* equal keys must be equal bytes: no -0.0 */
    if (integer) {
        PyObject *back = PyLong_FromDouble(number);
        int same = back == NULL ? -1 : PyObject_RichCompareBool(back, object, Py_EQ);
        Py_XDECREF(back);
        if (same == 0)
            raise_value(codec, PyExc_ValueError, "has no equal float64", object);
        return same > 0 ? 0 : -1;
    }
    return 0;
}

static int piece_of_python(struct piece *piece, const struct codec *codec,
                           PyObject *object) {
    piece->owned =
        PyObject_CallFunctionObjArgs(codec->head.held[CODEC_ENCODE], object, NULL);
    if (piece->owned == NULL)
        return -1;
    if (!PyBytes_Check(piece->owned))
        return raise_type(codec, piece->owned);
    return piece_of_bytes(piece, piece->owned);
}

static int piece_size_wrong(const struct piece *piece, const struct codec *codec) {
    PyErr_Format(PyExc_ValueError, "%s: expected exactly %zd bytes, found %llu",
                 codec->key ? "key" : "value", codec->size,
                 (unsigned long long)piece->size);
    return -1;
}

static int piece_fill(struct piece *piece, const struct codec *codec,
                      PyObject *object) {
    switch (codec->kind) {
    case BYTES:
    case FIXED_BYTES:
        return PyBytes_CheckExact(object) ? piece_of_bytes(piece, object)
                                          : piece_of_buffer(piece, codec, object);
    case STR: {
        Py_ssize_t size;
        if (!PyUnicode_Check(object))
            return raise_type(codec, object);
        piece->data = PyUnicode_AsUTF8AndSize(object, &size);
        piece->size = (uint64_t)size;
        return piece->data == NULL ? raise_text(codec) : 0;
    }
    case INT64:
    case UINT64:
        return piece_of_int(piece, codec, object);
    case FLOAT64:
        return piece_of_float(piece, codec, object);
    default:
        return piece_of_python(piece, codec, object);
    }
}

/* Encode an object.  After 0 it must stay held until piece_close. */
static inline int piece_open(struct piece *piece, const struct codec *codec,
                             PyObject *object) {
    piece->owned = NULL;
    piece->data = &piece->word;
    piece->size = sizeof piece->word;
    int status = piece_fill(piece, codec, object);
    if (status == 0 && codec->size >= 0 && piece->size != (uint64_t)codec->size)
        status = piece_size_wrong(piece, codec);
    if (status < 0)
        piece_close(piece);
    return status;
}

static PyObject *decode(const struct codec *codec, const uint8_t *data, uint64_t size) {
    const char *text = (const char *)data;
    union {
        int64_t i;
        uint64_t u;
        double f;
    } word;
    if (codec->size >= 0 && size != (uint64_t)codec->size) {
        piece_size_wrong(&(struct piece){.size = size}, codec);
        return NULL;
    }
    if (codec->kind == BYTES || codec->kind == FIXED_BYTES)
        return PyBytes_FromStringAndSize(text, (Py_ssize_t)size);
    if (codec->kind == STR)
        return PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, NULL);
    if (codec->kind == PYTHON)
        return PyObject_CallFunction(codec->head.held[CODEC_DECODE], "y#", text,
                                     (Py_ssize_t)size);
    memcpy(&word, data, sizeof word);
    if (codec->kind == INT64)
        return PyLong_FromLongLong(word.i);
    if (codec->kind == UINT64)
        return PyLong_FromUnsignedLongLong(word.u);
    return PyFloat_FromDouble(word.f);
}

static int codec_check(const struct codec *self, PyObject *encode_function,
                       PyObject *decode_function) {
    if (self->kind == KINDS)
        PyErr_SetString(PyExc_ValueError, "kind: not one of protocols.NATIVE_KINDS");
    else if (self->kind == PYTHON &&
             !(PyCallable_Check(encode_function) && PyCallable_Check(decode_function)))
        PyErr_SetString(PyExc_TypeError, "python codecs need encode= and decode=");
    else if (self->kind == FIXED_BYTES && self->size < 0)
        PyErr_SetString(PyExc_ValueError, "fixed_bytes needs size=");
    else if (self->size < -1)
        PyErr_SetString(PyExc_ValueError, "size: must not be negative");
    else
        return 0;
    return -1;
}

static PyObject *codec_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"kind", "size", "encode", "decode", "key", NULL};
    const char *kind;
    PyObject *size = Py_None, *encode_function = Py_None, *decode_function = Py_None;
    int key = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "s|OOOp:Codec", names, &kind,
                                     &size, &encode_function, &decode_function, &key))
        return NULL;
    struct codec *self = holder_new(type);
    if (self == NULL)
        return NULL;
    while (self->kind < KINDS && strcmp(kind, kind_names[self->kind]) != 0)
        self->kind++;
    self->key = key;
    self->size = size == Py_None ? -1 : PyLong_AsSsize_t(size);
    if (self->kind == INT64 || self->kind == UINT64 || self->kind == FLOAT64)
        self->size = sizeof(uint64_t);
    else if (self->kind == BYTES || self->kind == STR)
        self->size = -1;
    hold(self, CODEC_ENCODE, encode_function);
    hold(self, CODEC_DECODE, decode_function);
    if (PyErr_Occurred() || codec_check(self, encode_function, decode_function) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *codec_encode(PyObject *self, PyObject *object) {
    struct piece piece;
    if (piece_open(&piece, (struct codec *)self, object) < 0)
        return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(piece.data, (Py_ssize_t)piece.size);
    piece_close(&piece);
    return bytes;
}

static PyObject *codec_decode(PyObject *self, PyObject *object) {
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(object, &data, &size) < 0)
        return NULL;
    return decode((struct codec *)self, (uint8_t *)data, (uint64_t)size);
}

static PyMethodDef codec_methods[] = {
    {"encode", codec_encode, METH_O, "Give the bytes of an object."},
    {"decode", codec_decode, METH_O, "Give the object of some bytes."},
    {NULL, NULL, 0, NULL}};

static PyMemberDef codec_members[] = {
    {"size", T_PYSSIZET, offsetof(struct codec, size), READONLY, "Or -1."},
    {"key", T_INT, offsetof(struct codec, key), READONLY, "Whether it serves keys."},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot codec_slots[] = {{Py_tp_new, codec_new},
                                    {Py_tp_dealloc, holder_dealloc},
                                    {Py_tp_traverse, holder_traverse},
                                    {Py_tp_clear, holder_clear},
                                    {Py_tp_methods, codec_methods},
                                    {Py_tp_members, codec_members},
                                    {Py_tp_doc, "Turns objects into bytes and back."},
                                    {0, NULL}};
static PyType_Spec codec_spec = {"pyfaster._hot.Codec", sizeof(struct codec), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, codec_slots};

#endif
