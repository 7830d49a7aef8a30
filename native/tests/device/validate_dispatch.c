/* SPDX-License-Identifier: MIT */
/* device.h against a device that does what it is told to do wrong. */
#include <errno.h>
#include <stddef.h>

#include "device/device.h"
#include "faster/status.h"
#include "harness.h"

/* What the device does with the next request. */
struct script {
    int result;      /* what the submission returns */
    int completions; /* how often it completes inside the submission */
    int32_t code;
    uint64_t moved;

    int requests; /* how many reached the device */
    int polls_before_completion;
    struct faster_completion parked; /* completed by poll, if done is not NULL */
    int64_t waited_ms;               /* what the last wait was given */
};

static int follow(struct script *script, const struct faster_completion *completion) {
    struct faster_completion copy = *completion;
    script->requests++;
    if (script->polls_before_completion > 0) {
        script->parked = copy;
    }
    for (int i = 0; i < script->completions; i++) {
        copy.done(copy.context, script->code, script->moved);
    }
    return script->result;
}

static int script_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                       const struct faster_completion *completion) {
    (void)offset, (void)buffer, (void)length;
    return follow(context, completion);
}

static int script_write(void *context, uint64_t offset, const void *buffer,
                        uint64_t length, const struct faster_completion *completion) {
    (void)offset, (void)buffer, (void)length;
    return follow(context, completion);
}

static int script_sync(void *context, const struct faster_completion *completion) {
    return follow(context, completion);
}

static int script_truncate_before(void *context, uint64_t offset) {
    struct script *script = context;
    (void)offset;
    return script->result;
}

static int script_poll(void *context) {
    struct script *script = context;
    if (script->parked.done == NULL || --script->polls_before_completion > 0) {
        return 0;
    }
    struct faster_completion parked = script->parked;
    script->parked.done = NULL;
    parked.done(parked.context, script->code, script->moved);
    return 1;
}

static int script_wait(void *context, uint32_t timeout_ms) {
    struct script *script = context;
    script->waited_ms = timeout_ms;
    return script_poll(context);
}

static int script_close(void *context) {
    struct script *script = context;
    return script->result;
}

static struct faster_device scripted(struct script *script) {
    return (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof(struct faster_device),
        .context = script,
        .sector_size = 512,
        .alignment = 512,
        .capacity = 8192,
        .read = script_read,
        .write = script_write,
        .sync = script_sync,
        .truncate_before = script_truncate_before,
        .poll = script_poll,
        .wait = script_wait,
        .close = script_close,
    };
}

/* A request that counts its ends. */
struct record {
    struct device_request request; /* first */
    int finishes;
    int status;
    uint64_t moved;
};

static void record_finish(struct device_request *request, int status, uint64_t moved) {
    struct record *record = (struct record *)request;
    record->finishes++;
    record->status = status;
    record->moved = moved;
}

static struct record fresh_record(void) {
    struct record record = {.status = -1};
    device_request_init(&record.request, record_finish);
    return record;
}

static uint64_t aligned_words[8192 / 8 + 64];

static uint8_t *aligned_buffer(void) {
    uintptr_t at = (uintptr_t)aligned_words;
    return (uint8_t *)aligned_words + ((512 - at % 512) % 512);
}

static void tables_of_another_interface_are_refused(void) {
    struct script script = {0};
    struct faster_device device = scripted(&script);
    CHECK_INT(device_validate(&device), 0);
    CHECK_INT(device_validate(NULL), -EINVAL);
    device.abi = FASTER_DEVICE_ABI + 1;
    CHECK_INT(device_validate(&device), FASTER_E_ABI);
    device.abi = 0;
    CHECK_INT(device_validate(&device), FASTER_E_ABI);
    device = scripted(&script);
    device.size = sizeof device - 1;
    CHECK_INT(device_validate(&device), FASTER_E_ABI);
}

/* Only two words of memory: a third one read would be found by AddressSanitizer. */
static void i4_a_table_is_read_only_as_far_as_it_is_known(void) {
    struct {
        struct faster_device device;
        uint64_t beyond[4];
    } larger;
    struct script script = {0};
    static const _Alignas(struct faster_device)
        uint32_t two_words[2] = {FASTER_DEVICE_ABI, 8};
    CHECK_INT(device_validate((const struct faster_device *)(const void *)two_words),
              FASTER_E_ABI);
    larger.device = scripted(&script);
    larger.device.size = sizeof larger;
    CHECK_INT(device_validate(&larger.device), 0);
}

static void each_missing_function_is_refused(void) {
    struct script script = {0};
    for (int missing = 0; missing < 7; missing++) {
        struct faster_device device = scripted(&script);
        device.read = missing == 0 ? NULL : device.read;
        device.write = missing == 1 ? NULL : device.write;
        device.sync = missing == 2 ? NULL : device.sync;
        device.truncate_before = missing == 3 ? NULL : device.truncate_before;
        device.poll = missing == 4 ? NULL : device.poll;
        device.close = missing == 5 ? NULL : device.close;
        device.wait = missing == 6 ? NULL : device.wait;
        CHECK_INT(device_validate(&device), -EINVAL);
    }
}

static void sizes_must_be_powers_of_two(void) {
    static const uint32_t bad_sectors[] = {0, 1, 256, 513, 768, UINT32_MAX};
    static const uint32_t bad_alignments[] = {0, 3, 513, UINT32_MAX};
    struct script script = {0};
    struct faster_device device = scripted(&script);
    for (size_t i = 0; i < sizeof bad_sectors / sizeof bad_sectors[0]; i++) {
        device.sector_size = bad_sectors[i];
        CHECK_INT(device_validate(&device), -EINVAL);
    }
    device.sector_size = 4096;
    for (size_t i = 0; i < sizeof bad_alignments / sizeof bad_alignments[0]; i++) {
        device.alignment = bad_alignments[i];
        CHECK_INT(device_validate(&device), -EINVAL);
    }
    device.alignment = 1;
    CHECK_INT(device_validate(&device), 0);
}

static void impossible_ranges_never_reach_the_device(void) {
    struct script script = {0};
    struct faster_device device = scripted(&script);
    struct record record = fresh_record();
    struct device_request *request = &record.request;
    uint8_t *buffer = aligned_buffer();
    CHECK_INT(device_read(&device, 512, buffer, UINT64_MAX - 511, request), -EINVAL);
    CHECK_INT(device_read(&device, UINT64_MAX - 511, buffer, 512, request), -EINVAL);
    CHECK_INT(device_write(&device, DEVICE_OFFSET_MAX - 511, buffer, 512, request),
              -EINVAL);
    CHECK_INT(device_write(&device, 1, buffer, 512, request), -EINVAL);
    CHECK_INT(device_write(&device, 0, buffer, 513, request), -EINVAL);
    CHECK_INT(device_write(&device, 0, buffer + 8, 512, request), -EINVAL);
    CHECK_INT(device_read(&device, 8, buffer, 512, request), -EINVAL);
    CHECK_INT(device_write(&device, 8192, buffer, 512, request), -ENOSPC);
    CHECK_INT(device_write(&device, 7680, buffer, 1024, request), -ENOSPC);
    CHECK_INT(script.requests, 0);
    CHECK_INT(record.finishes, 0);
}

static void a_request_above_max_io_never_reaches_the_device(void) {
    struct script script = {.completions = 1, .code = FASTER_DEVICE_DONE, .moved = 512};
    struct faster_device device = scripted(&script);
    struct record record = fresh_record();
    uint8_t *buffer = aligned_buffer();
    device.max_io = 512;
    CHECK_INT(device_read(&device, 0, buffer, 1024, &record.request), -EINVAL);
    CHECK_INT(device_write(&device, 0, buffer, 1024, &record.request), -EINVAL);
    CHECK_INT(script.requests, 0);
    CHECK_INT(record.finishes, 0);
    CHECK_INT(device_write(&device, 0, buffer, 512, &record.request), 0);
    CHECK_INT(record.finishes, 1);
    script.moved = 1024;
    device.max_io = 0;
    CHECK_INT(device_read(&device, 0, buffer, 1024, &record.request), 0);
    CHECK_INT(record.status, FASTER_OK);
}

static void v11_wait_is_handed_on_with_its_answer(void) {
    struct script script = {
        .polls_before_completion = 2, .code = FASTER_DEVICE_DONE, .moved = 512};
    struct faster_device device = scripted(&script);
    struct record record = fresh_record();
    CHECK_INT(device_write(&device, 0, aligned_buffer(), 512, &record.request), 0);
    CHECK_INT(device_wait(&device, 7), 0);
    CHECK_INT(script.waited_ms, 7);
    CHECK_INT(record.finishes, 0);
    CHECK_INT(device_wait(&device, UINT32_MAX), 1);
    CHECK_U64((uint64_t)script.waited_ms, UINT32_MAX);
    CHECK_INT(record.status, FASTER_OK);
}

/* Submit one write of 512 bytes and give how it ended; *result is what was returned. */
static struct record write_once(struct script *script, int *result) {
    struct faster_device device = scripted(script);
    struct record record = fresh_record();
    *result = device_write(&device, 0, aligned_buffer(), 512, &record.request);
    return record;
}

static void check_write_status(int32_t code, uint64_t moved, int expected) {
    struct script script = {.completions = 1, .code = code, .moved = moved};
    int result;
    struct record record = write_once(&script, &result);
    CHECK_INT(result, 0);
    CHECK_INT(record.finishes, 1);
    CHECK_INT(record.status, expected);
    CHECK_U64(record.moved, expected == FASTER_OK ? moved : 0);
}

static void v3_only_done_is_success(void) {
    check_write_status(FASTER_DEVICE_DONE, 512, FASTER_OK);
    check_write_status(0, 512, -EIO);
    check_write_status(1, 512, -EIO);
    check_write_status(512, 512, -EIO);
    check_write_status(INT32_MAX, 512, -EIO);
    check_write_status(-ENOSPC, 512, -ENOSPC);
    check_write_status(FASTER_E_CORRUPT, 512, FASTER_E_CORRUPT);
}

static void v4_a_short_or_long_write_is_no_success(void) {
    check_write_status(FASTER_DEVICE_DONE, 0, -EIO);
    check_write_status(FASTER_DEVICE_DONE, 511, -EIO);
    check_write_status(FASTER_DEVICE_DONE, 513, -EIO);
    check_write_status(FASTER_DEVICE_DONE, UINT64_MAX, -EIO);
}

static void v4_a_read_may_be_short_but_not_long(void) {
    static const uint64_t moved[] = {0, 1, 511, 512};
    struct script script = {.completions = 1, .code = FASTER_DEVICE_DONE};
    struct faster_device device = scripted(&script);
    for (size_t i = 0; i < sizeof moved / sizeof moved[0]; i++) {
        uint64_t got = 77;
        script.moved = moved[i];
        CHECK_INT(device_read_wait(&device, 0, aligned_buffer(), 512, &got), 0);
        CHECK_U64(got, moved[i]);
    }
    uint64_t untouched = 77;
    script.moved = 513;
    CHECK_INT(device_read_wait(&device, 0, aligned_buffer(), 512, &untouched), -EIO);
    CHECK_U64(untouched, 77);
}

static void a_sync_moves_nothing_that_counts(void) {
    struct script script = {.completions = 1, .code = FASTER_DEVICE_DONE, .moved = 9};
    struct faster_device device = scripted(&script);
    CHECK_INT(device_sync_wait(&device), 0);
    script.code = 0;
    CHECK_INT(device_sync_wait(&device), -EIO);
    script.code = -EIO;
    CHECK_INT(device_sync_wait(&device), -EIO);
}

static void i1_a_second_completion_is_dropped(void) {
    struct script script = {.completions = 3, .code = FASTER_DEVICE_DONE, .moved = 512};
    int result;
    struct record record = write_once(&script, &result);
    CHECK_INT(result, 0);
    CHECK_INT(record.finishes, 1);
    CHECK_INT(record.status, FASTER_OK);
}

static void i1_a_refused_request_is_not_finished(void) {
    struct script script = {.result = -EAGAIN};
    int result;
    struct record record = write_once(&script, &result);
    CHECK_INT(result, -EAGAIN);
    CHECK_INT(record.finishes, 0);
    /* A completion that comes all the same finds nobody. */
    record.request.completion.done(&record.request, FASTER_DEVICE_DONE, 512);
    CHECK_INT(record.finishes, 0);
}

static void i1_refused_and_completed_ends_once(void) {
    struct script script = {
        .result = -EIO, .completions = 1, .code = FASTER_DEVICE_DONE, .moved = 512};
    int result;
    struct record record = write_once(&script, &result);
    CHECK_INT(result, 0);
    CHECK_INT(record.finishes, 1);
}

static void a_positive_answer_is_a_refusal(void) {
    struct script script = {.result = 1};
    struct faster_device device = scripted(&script);
    int result;
    struct record record = write_once(&script, &result);
    CHECK_INT(result, -EIO);
    CHECK_INT(record.finishes, 0);
    CHECK_INT(device_write_wait(&device, 0, aligned_buffer(), 512), -EIO);
    CHECK_INT(device_sync_wait(&device), -EIO);
    CHECK_INT(device_truncate_before(&device, 0), -EIO);
    CHECK_INT(device_close(&device), -EIO);
}

static void waiting_polls_a_device_that_has_no_thread(void) {
    struct script script = {
        .polls_before_completion = 200, .code = FASTER_DEVICE_DONE, .moved = 512};
    struct faster_device device = scripted(&script);
    CHECK_INT(device_write_wait(&device, 0, aligned_buffer(), 512), 0);
    CHECK_INT(script.polls_before_completion, 0);
}

static void a_request_may_be_submitted_again(void) {
    struct script script = {.completions = 1, .code = FASTER_DEVICE_DONE, .moved = 512};
    struct faster_device device = scripted(&script);
    struct record record = fresh_record();
    for (int i = 1; i <= 3; i++) {
        CHECK_INT(device_write(&device, 0, aligned_buffer(), 512, &record.request), 0);
        CHECK_INT(record.finishes, i);
    }
}

HARNESS_MAIN(TEST(tables_of_another_interface_are_refused),
             TEST(i4_a_table_is_read_only_as_far_as_it_is_known),
             TEST(each_missing_function_is_refused), TEST(sizes_must_be_powers_of_two),
             TEST(impossible_ranges_never_reach_the_device),
             TEST(a_request_above_max_io_never_reaches_the_device),
             TEST(v11_wait_is_handed_on_with_its_answer), TEST(v3_only_done_is_success),
             TEST(v4_a_short_or_long_write_is_no_success),
             TEST(v4_a_read_may_be_short_but_not_long),
             TEST(a_sync_moves_nothing_that_counts),
             TEST(i1_a_second_completion_is_dropped),
             TEST(i1_a_refused_request_is_not_finished),
             TEST(i1_refused_and_completed_ends_once),
             TEST(a_positive_answer_is_a_refusal),
             TEST(waiting_polls_a_device_that_has_no_thread),
             TEST(a_request_may_be_submitted_again))
