/* SPDX-License-Identifier: MIT */
#include "faster/status.h"

/* No default: the compiler finds a status without a sentence. */
static const char *sentence(enum faster_status status) {
    switch (status) {
    case FASTER_OK:
        return "The operation is done.";
    case FASTER_NOT_FOUND:
        return "The key is absent.";
    case FASTER_EXISTS:
        return "The key was there already; nothing changed.";
    case FASTER_MISMATCH:
        return "The value is not the expected one; nothing changed.";
    case FASTER_SHORT:
        return "The caller's buffer is too small; its size is told.";
    case FASTER_PENDING:
        return "The operation waits for the device.";
    case FASTER_RETRY:
        return "Another thread is in the way; wait outside and retry.";
    case FASTER_MUTABLE:
        return "The record may still change; copy instead of borrow.";
    case FASTER_E_CORRUPT:
        return "Stored bytes fail their checksum or their bounds.";
    case FASTER_E_ABI:
        return "The two sides were built for different interfaces.";
    case FASTER_E_FORMAT:
        return "Stored bytes are of another format or layout.";
    case FASTER_E_CLOSED:
        return "The store or session has been closed.";
    case FASTER_E_FULL:
        return "The memory budget is used up; nothing changed.";
    case FASTER_E_BUSY:
        return "Another thread is inside this session.";
    case FASTER_E_FORKED:
        return "The handle belongs to the parent of this process.";
    case FASTER_E_SESSIONS:
        return "All session slots are taken.";
    case FASTER_E_KEY_SIZE:
        return "The key is larger or of another size than allowed.";
    case FASTER_E_VALUE_SIZE:
        return "The value is larger or of another size than allowed.";
    case FASTER_E_MERGE:
        return "The merge does not apply to this store's values.";
    case FASTER_E_OVERFLOW:
        return "The result does not fit the value's type.";
    case FASTER_E_CONFIG:
        return "A setting is out of range or contradicts another.";
    case FASTER_E_TIMEOUT:
        return "The deadline passed before the work was done.";
    }
    return 0;
}

const char *faster_strerror(int status) {
    const char *text = sentence((enum faster_status)status);
    if (text != 0) {
        return text;
    }
    /* -1 ... -4095 is what the system calls errno. */
    return status < 0 && status >= -4095 ? "system error" : "unknown status";
}
