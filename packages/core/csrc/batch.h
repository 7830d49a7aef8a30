/* SPDX-License-Identifier: MIT */
/*
 * batch.h: many operations in one call
 *
 * Included by hot.c alone, after Python.h.
 *
 * Purpose
 *   A batch crosses into the core once, and the core overlaps the memory latency of its
 *   items.  Results go into a list, or into buffers of the caller's.
 *
 * Model
 *   A batch is an operation, its items, and a place for its results.  The core says
 *   FASTER_SHORT when the next result has no room; the place is enlarged and the batch
 *   goes on where it stood.  A long batch crosses in slices, so that signals are
 *   noticed.
 *
 * Invariants
 *   Q1  An error tells in its attribute `done` how many items were finished.
 *   Q2  What is too large is found before the first item is done, slices or not.
 *   Q3  Buffers of the caller's are locked and measured before the core writes.
 *
 * Ordering
 *   none
 */
#ifndef PYFASTER_BATCH_H
#define PYFASTER_BATCH_H

#include "items.h"
#include "merge.h"

enum operation { READ, UPSERT, RMW, DELETE, OPERATIONS };
static const char *const batch_names[OPERATIONS] = {"read_many", "upsert_many",
                                                    "rmw_many", "delete_many"};

struct batch {
    enum operation operation;
    const struct faster_merge *merge; /* of RMW */
    struct items *keys;
    struct items *values; /* of UPSERT, and the inputs of RMW */
    struct faster_results results;
    uint64_t done;
};

static uint64_t item_size(const struct items *items, uint64_t i) {
    return items->offsets != NULL ? items->offsets[i + 1] - items->offsets[i]
                                  : items->items.size;
}

/* Find the first item from `done` on that the store has no room for; the count if there
 * is none.  Native merges give sizes of their own to values. */
static uint64_t find_refused(const struct session *self, const struct batch *batch,
                             int *status) {
    const struct items *keys = batch->keys, *values = batch->values;
    int native = batch->merge != NULL && batch->merge->kind == FASTER_MERGE_NATIVE;
    uint64_t i = batch->done;
    if (self->fixed || self->page_size == 0)
        return keys->count;
    for (*status = FASTER_OK; i < keys->count; i++) {
        uint64_t key_size = item_size(keys, i);
        if (key_size > key_limit(self))
            *status = FASTER_E_KEY_SIZE;
        else if (values != NULL && !native &&
                 item_size(values, i) > value_limit(self, key_size))
            *status = FASTER_E_VALUE_SIZE;
        if (*status != FASTER_OK)
            break;
    }
    return i;
}

/* Run the items before `end`, until they are done, one lacks room, or one fails. */
static int batch_slice(const struct session *self, struct batch *batch, uint64_t end) {
    const struct faster_hot_table *core = hot.table;
    const struct faster_items *keys = &batch->keys->items;
    const struct faster_items *values = batch->values ? &batch->values->items : NULL;
    uint64_t *done = &batch->done;
    if (self->session == NULL) /* encoders and signal handlers are the user's code */
        return FASTER_E_CLOSED;
    int release = self->waits || end - *done > BATCH_HELD;
    PyThreadState *state = release ? PyEval_SaveThread() : NULL;
    int status = FASTER_OK;
    if (batch->operation == READ)
        status = core->read_many(self->session, keys, end, &batch->results, done);
    else if (batch->operation == UPSERT)
        status = core->upsert_many(self->session, keys, values, end, done);
    else if (batch->operation == RMW)
        status = core->rmw_many(self->session, batch->merge, keys, values, end,
                                &batch->results, done);
    else
        status =
            core->delete_many(self->session, keys, end, batch->results.flags, done);
    if (state != NULL)
        PyEval_RestoreThread(state);
    return status;
}

/* Run a batch until it is done, lacks room, or fails. */
static int batch_run(const struct session *self, struct batch *batch) {
    uint64_t count = batch->keys->count;
    int status = FASTER_OK;
    if (count > BATCH_SLICE && batch->done == 0 &&
        find_refused(self, batch, &status) < count) /* Q2 */
        return status;
    uint64_t end = batch->done;
    uint64_t slice = self->waits ? WAITING_SLICE : BATCH_SLICE;
    do { /* FASTER_OK means that the items before `end` are done */
        end += count - end < slice ? count - end : slice;
        status = batch_slice(self, batch, end);
        if (status == FASTER_OK && end < count && PyErr_CheckSignals() != 0)
            status = RAISED;
    } while (status == FASTER_OK && end < count);
    return status;
}

/* An exception of a signal handler tells as others do how far the batch came. */
static void tell_interrupted(int64_t done) {
    PyObject *type, *error, *trace;
    if (done == 0)
        return;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (tell_done(error, done) < 0)
        PyErr_Clear(); /* it has no room for attributes */
    PyErr_Restore(type, error, trace);
}

static int batch_raise(int status, const struct session *self,
                       const struct batch *batch) {
    if (status == RAISED)
        tell_interrupted((int64_t)batch->done);
    if (status == RAISED)
        return -1;
    struct failure failure = {.where = batch_names[batch->operation],
                              .done = (int64_t)batch->done,
                              .size = -1};
    uint64_t item = batch->done;
    int native = batch->merge != NULL && batch->merge->kind == FASTER_MERGE_NATIVE;
    if (status == FASTER_E_KEY_SIZE || status == FASTER_E_VALUE_SIZE) {
        int refused;
        uint64_t found = find_refused(self, batch, &refused);
        item = found < batch->keys->count ? found : item;
        if (item < batch->keys->count)
            explain_sizes(&failure, status, self, item_size(batch->keys, item),
                          batch->values ? item_size(batch->values, item) : 0);
    }
    failure.item = (int64_t)item;
    failure.note = merge_note(native, status, self->fixed);
    PyObject *objects = batch->keys->head.held[ITEMS_SOURCE];
    if (objects != NULL && PyTuple_Check(objects) &&
        item < (uint64_t)PyTuple_Size(objects))
        failure.key = PyTuple_GetItem(objects, (Py_ssize_t)item);
    return raise_failure(status, &failure);
}

/* Bring the arguments of a batch into place; batch_close() gives them back. */
static int batch_open(struct batch *batch, const struct session *self,
                      enum operation operation, PyObject *keys, PyObject *values,
                      PyObject *merge) {
    const struct codec *codec = value_codec(self);
    struct merge *found = NULL;
    *batch = (struct batch){.operation = operation};
    if (self->session == NULL)
        return raise_status(FASTER_E_CLOSED, batch_names[operation], NULL);
    if (operation == RMW && (found = find_merge(merge)) == NULL)
        return -1;
    if (found != NULL) {
        batch->merge = &found->merge;
        if (found->head.held[MERGE_INPUT] != NULL)
            codec = (const struct codec *)found->head.held[MERGE_INPUT];
    }
    batch->keys = items_of(key_codec(self), keys);
    if (batch->keys != NULL && (operation == UPSERT || operation == RMW))
        batch->values = items_of(codec, values);
    if (batch->keys == NULL || PyErr_Occurred())
        return -1;
    if (batch->values == NULL || batch->values->count == batch->keys->count)
        return 0;
    PyErr_Format(PyExc_ValueError, "%llu keys come with %llu values",
                 (unsigned long long)batch->keys->count,
                 (unsigned long long)batch->values->count);
    return -1;
}

static void batch_close(struct batch *batch) {
    Py_CLEAR(batch->keys);
    Py_CLEAR(batch->values);
}

/* --- results as a list ------------------------------------------------------------ */

/* Make the place for results twice as large as it was, or as large as is likely. */
static int results_grow(struct batch *batch, const struct session *self) {
    struct faster_results *results = &batch->results;
    uint64_t count = batch->keys->count;
    uint64_t size = self->fixed ? (uint64_t)value_codec(self)->size : ITEM_GUESS;
    uint64_t wanted = results->data == NULL ? count * size + 1 : results->capacity * 2;
    uint8_t *data = wanted > PY_SSIZE_T_MAX || (size > 0 && count > wanted / size)
                        ? NULL
                        : PyMem_Realloc(results->data, wanted);
    if (data == NULL) {
        PyErr_NoMemory();
        return RAISED;
    }
    results->data = data;
    results->capacity = wanted;
    return FASTER_OK;
}

static int results_open(struct batch *batch, const struct session *self) {
    struct faster_results *results = &batch->results;
    uint64_t count = batch->keys->count;
    results->flags = PyMem_Calloc(count + 1, 1);
    if (batch->operation != DELETE && !self->fixed)
        results->offsets = PyMem_Calloc(count + 1, sizeof(uint64_t));
    if (results->flags == NULL ||
        (batch->operation != DELETE && !self->fixed && results->offsets == NULL)) {
        PyErr_NoMemory();
        return RAISED;
    }
    return batch->operation == DELETE ? FASTER_OK : results_grow(batch, self);
}

static PyObject *results_list(const struct batch *batch, const struct session *self) {
    const struct codec *codec = value_codec(self);
    const struct faster_results *results = &batch->results;
    PyObject *list = PyList_New((Py_ssize_t)batch->keys->count);
    for (uint64_t i = 0; list != NULL && i < batch->keys->count; i++) {
        PyObject *object;
        if (batch->operation == DELETE)
            object = PyBool_FromLong(results->flags[i]);
        else if (!results->flags[i])
            object = Py_NewRef(Py_None);
        else if (results->offsets == NULL)
            object = decode(codec, results->data + i * (uint64_t)codec->size,
                            (uint64_t)codec->size);
        else
            object = decode(codec, results->data + results->offsets[i],
                            results->offsets[i + 1] - results->offsets[i]);
        if (object == NULL || PyList_SetItem(list, (Py_ssize_t)i, object) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* Run a batch on Python objects; results, where wanted, come as a list. */
static PyObject *batch_objects(const struct session *self, enum operation operation,
                               PyObject *keys, PyObject *values, PyObject *merge,
                               int wanted) {
    struct batch batch;
    PyObject *list = NULL;
    int status = RAISED;
    if (batch_open(&batch, self, operation, keys, values, merge) == 0)
        status = wanted ? results_open(&batch, self) : FASTER_OK;
    if (status == FASTER_OK)
        do
            status = batch_run(self, &batch);
        while (status == FASTER_SHORT &&
               (status = results_grow(&batch, self)) == FASTER_OK);
    if (status != FASTER_OK)
        batch_raise(status, self, &batch);
    else
        list = wanted ? results_list(&batch, self) : Py_NewRef(Py_None);
    PyMem_Free(batch.results.data);
    PyMem_Free(batch.results.offsets);
    PyMem_Free(batch.results.flags);
    batch_close(&batch);
    return list;
}

/* --- results in the caller's buffers ---------------------------------------------- */

/* Lock a buffer that holds at least `need` bytes; None is no buffer. */
static int room_open(Py_buffer *view, PyObject *object, uint64_t need) {
    view->obj = NULL;
    view->buf = NULL;
    view->len = 0;
    if (object == Py_None)
        return 0;
    if (PyObject_GetBuffer(object, view, PyBUF_WRITABLE) < 0)
        return -1;
    if ((uint64_t)view->len >= need)
        return 0;
    PyErr_Format(PyExc_ValueError, "results need %llu bytes, the buffer has %zd",
                 (unsigned long long)need, view->len);
    PyBuffer_Release(view);
    return -1;
}

static int rooms_fit(struct batch *batch, const struct session *self,
                     const Py_buffer *views) {
    struct faster_results *results = &batch->results;
    results->data = views[0].buf;
    results->capacity = (uint64_t)views[0].len;
    results->offsets = views[1].buf;
    results->flags = views[2].buf;
    if (batch->done > batch->keys->count)
        PyErr_SetString(PyExc_ValueError, "done is past the last item");
    else if (batch->operation == READ && results->data == NULL)
        PyErr_SetString(PyExc_ValueError, "a read needs room for its results");
    else if ((results->data != NULL && !self->fixed) != (results->offsets != NULL))
        PyErr_SetString(PyExc_ValueError, "offsets belong to values of varying size");
    else if (results->offsets != NULL &&
             results->offsets[batch->done] > results->capacity)
        PyErr_SetString(PyExc_ValueError, "the first offset is outside the data");
    else
        return 1;
    return 0;
}

/* run(operation, merge, keys, values, data, offsets, flags, done) -> done: go on with a
 * batch; fewer than all items are done when `data` has no room for the next result. */
static PyObject *session_run(PyObject *object, PyObject *args) {
    struct session *self = (struct session *)object;
    PyObject *merge, *keys, *values, *outs[3];
    Py_buffer views[3];
    struct batch batch;
    unsigned int operation;
    unsigned long long done;
    int opened = 0, status = RAISED;
    if (!PyArg_ParseTuple(args, "IOOOOOOK:run", &operation, &merge, &keys, &values,
                          &outs[0], &outs[1], &outs[2], &done))
        return NULL;
    if (operation >= OPERATIONS)
        return PyErr_Format(PyExc_ValueError, "no operation %u", operation);
    if (batch_open(&batch, self, operation, keys, values, merge) == 0) {
        uint64_t count = batch.keys->count;
        uint64_t needs[3] = {self->fixed ? count * (uint64_t)value_codec(self)->size
                                         : 0,
                             (count + 1) * sizeof(uint64_t), count};
        while (opened < 3 &&
               room_open(&views[opened], outs[opened], needs[opened]) == 0)
            opened++;
        batch.done = done;
        if (opened == 3 && rooms_fit(&batch, self, views))
            status = batch_run(self, &batch);
    }
    if (status != FASTER_OK && status != FASTER_SHORT)
        batch_raise(status, self, &batch);
    while (opened > 0)
        if (views[--opened].obj != NULL)
            PyBuffer_Release(&views[opened]);
    batch_close(&batch);
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(batch.done);
}

#endif
