/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>

#include "base/bits.h"
#include "device/device.h"
#include "faster/status.h"

enum { KIND_READ = 1, KIND_WRITE = 2, KIND_SYNC = 3 };
enum { STATE_IDLE = 0, STATE_SUBMITTED = 1 };

/* The smallest unit of atomic writes that exists (faster/device.h). */
enum { SECTOR_MIN = 512 };

static bool has_all_functions(const struct faster_device *device) {
    return device->read != NULL && device->write != NULL && device->sync != NULL &&
           device->truncate_before != NULL && device->poll != NULL &&
           device->wait != NULL && device->close != NULL;
}

int device_validate(const struct faster_device *device) {
    if (device == NULL) {
        return -EINVAL;
    }
    /* Only the first two words are known to be there until they have been compared. */
    if (device->abi != FASTER_DEVICE_ABI || device->size < sizeof *device) {
        return FASTER_E_ABI;
    }
    if (!has_all_functions(device)) {
        return -EINVAL;
    }
    if (device->sector_size < SECTOR_MIN || !is_power_of_two(device->sector_size)) {
        return -EINVAL;
    }
    return is_power_of_two(device->alignment) ? 0 : -EINVAL;
}

/* A device's return value where 0 is success: positive ones mean nothing we know. */
static int judge_return(int result) { return result > 0 ? -EIO : result; }

/* A completion's code and byte count, by V3 and V4 (I2). */
static int judge_completion(uint32_t kind, uint64_t length, int32_t code,
                            uint64_t moved) {
    if (code != FASTER_DEVICE_DONE) {
        return code < 0 ? code : -EIO;
    }
    if (kind == KIND_SYNC) {
        return FASTER_OK;
    }
    if (moved > length || (kind == KIND_WRITE && moved < length)) {
        return -EIO;
    }
    return FASTER_OK;
}

static void complete(void *context, int32_t code, uint64_t moved) {
    struct device_request *request = context;
    uint32_t was = atomic_exchange_explicit(&request->state, STATE_IDLE,
                                            memory_order_acquire); /* M1, with submit */
    if (was != STATE_SUBMITTED) {
        return; /* I1: a second completion, or one of a refused request */
    }
    int status = judge_completion(request->kind, request->length, code, moved);
    request->finish(request, status, status == FASTER_OK ? moved : 0);
}

void device_request_init(struct device_request *request,
                         void (*finish)(struct device_request *request, int status,
                                        uint64_t moved)) {
    request->finish = finish;
    request->completion.done = complete;
    request->completion.context = NULL;
    request->length = 0;
    request->kind = 0;
    /* relaxed: nobody else knows the request yet */
    atomic_store_explicit(&request->state, STATE_IDLE, memory_order_relaxed);
}

static void submit(struct device_request *request, uint32_t kind, uint64_t length) {
    request->kind = kind;
    request->length = length;
    request->completion.context = request; /* here, so that an idle one may be moved */
    atomic_store_explicit(&request->state, STATE_SUBMITTED,
                          memory_order_release); /* M1, with complete */
}

/* What the device answered to a submission; I3 forbids touching an accepted one. */
static int accepted(struct device_request *request, int result) {
    if (result == 0) {
        return 0;
    }
    /* relaxed: a lost race means that complete() has run or runs, which counts (I1) */
    uint32_t was =
        atomic_exchange_explicit(&request->state, STATE_IDLE, memory_order_relaxed);
    return was == STATE_SUBMITTED ? judge_return(result) : 0;
}

static int check_range(const struct faster_device *device, uint64_t offset,
                       const void *buffer, uint64_t length) {
    uint64_t misfit = device->alignment - 1;
    if (!device_range_exists(offset, length) ||
        (device->max_io != 0 && length > device->max_io)) {
        return -EINVAL;
    }
    return ((offset | length | (uintptr_t)buffer) & misfit) == 0 ? 0 : -EINVAL;
}

int device_read(const struct faster_device *device, uint64_t offset, void *buffer,
                uint64_t length, struct device_request *request) {
    int status = check_range(device, offset, buffer, length);
    if (status != 0) {
        return status;
    }
    submit(request, KIND_READ, length);
    return accepted(request, device->read(device->context, offset, buffer, length,
                                          &request->completion));
}

int device_write(const struct faster_device *device, uint64_t offset,
                 const void *buffer, uint64_t length, struct device_request *request) {
    int status = check_range(device, offset, buffer, length);
    if (status != 0) {
        return status;
    }
    if (device->capacity != 0 && offset + length > device->capacity) {
        return -ENOSPC;
    }
    submit(request, KIND_WRITE, length);
    return accepted(request, device->write(device->context, offset, buffer, length,
                                           &request->completion));
}

int device_sync(const struct faster_device *device, struct device_request *request) {
    submit(request, KIND_SYNC, 0);
    return accepted(request, device->sync(device->context, &request->completion));
}

int device_truncate_before(const struct faster_device *device, uint64_t offset) {
    return judge_return(device->truncate_before(device->context, offset));
}

int device_poll(const struct faster_device *device) {
    return device->poll(device->context);
}

int device_wait(const struct faster_device *device, uint32_t timeout_ms) {
    return device->wait(device->context, timeout_ms);
}

int device_close(const struct faster_device *device) {
    return judge_return(device->close(device->context));
}
