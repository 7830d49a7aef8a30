/* SPDX-License-Identifier: MIT */
/* probe.h: what it says of devices that do right, and of one that does not. */
#include "base/thread.h"
#include "device/kit.h"

/* A device that does what the test says with each request. */
struct script {
    struct faster_device device;
    int result;
    int completions;
    int32_t code;
    uint64_t bytes;
    int64_t overrun; /* a byte at this place of a read's buffer is written, if not 0 */
    int closes;
    struct faster_completion last;
};

static int follow(struct script *script, const struct faster_completion *completion) {
    struct faster_completion copy = *completion;
    int result = script->result;
    script->last = copy;
    for (int i = 0; i < script->completions; i++) {
        copy.done(copy.context, script->code + i, script->bytes + (uint64_t)i);
    }
    return result;
}

static int script_read(void *context, uint64_t offset, void *buffer, uint64_t length,
                       const struct faster_completion *completion) {
    struct script *script = context;
    (void)offset, (void)length;
    if (script->overrun != 0) {
        ((uint8_t *)buffer)[script->overrun] = 1;
    }
    return follow(script, completion);
}

static int script_write(void *context, uint64_t offset, const void *buffer,
                        uint64_t length, const struct faster_completion *completion) {
    (void)offset, (void)buffer, (void)length;
    return follow(context, completion);
}

static int script_sync(void *context, const struct faster_completion *completion) {
    return follow(context, completion);
}

static int script_truncate(void *context, uint64_t offset) {
    (void)context;
    return (int)offset;
}

static int script_poll(void *context) {
    (void)context;
    return 41;
}

static int script_wait(void *context, uint32_t timeout_ms) {
    (void)context;
    return (int)timeout_ms;
}

static int script_close(void *context) {
    struct script *script = context;
    script->closes++;
    return script->result;
}

static void scripted(struct script *script) {
    script->device = (struct faster_device){
        .abi = FASTER_DEVICE_ABI,
        .size = sizeof script->device,
        .context = script,
        .sector_size = 512,
        .alignment = 512,
        .read = script_read,
        .write = script_write,
        .sync = script_sync,
        .truncate_before = script_truncate,
        .poll = script_poll,
        .wait = script_wait,
        .close = script_close,
    };
}

static void f81_a_table_the_core_refuses_is_refused(void) {
    struct faster_probe *probe = NULL;
    struct script script = {0};
    scripted(&script);
    script.device.alignment = 3;
    CHECK_INT(faster_probe_open(&script.device, &probe), -EINVAL);
    scripted(&script);
    script.device.abi++;
    CHECK_INT(faster_probe_open(&script.device, &probe), FASTER_E_ABI);
    CHECK(probe == NULL, "%p", (void *)probe);
}

static void a_round_trip_is_told_as_it_was(void) {
    struct faster_device *memory = kit_memory();
    struct faster_probe *probe = kit_probe(memory);
    uint64_t wrote = kit_write(probe, 512, 6, 1024), read = kit_read(probe, 1024, 1024);
    kit_ended(probe, wrote, FASTER_DEVICE_DONE, 1024);
    kit_ended(probe, read, FASTER_DEVICE_DONE, 512);
    kit_filled(probe, read, 6, 512);
    CHECK_INT(((uint8_t *)faster_probe_buffer(probe, read))[512], 0xee);
    CHECK_U64(kit_result(probe, read).inside, 1);
    CHECK_U64(kit_result(probe, read).foreign, 0);
    CHECK_U64(faster_probe_submitted(probe), 2);
    CHECK_U64(faster_probe_completed(probe), 2);
    struct faster_probe_result none;
    CHECK_INT(faster_probe_result(probe, 2, &none), FASTER_NOT_FOUND);
    CHECK_INT(faster_probe_wait(probe, 2, 0), FASTER_NOT_FOUND);
    CHECK(faster_probe_buffer(probe, 2) == NULL, "%s", "a ticket that is none");
    CHECK_INT(faster_probe_close(probe), 0);
    CHECK_INT(faster_probe_close(probe), FASTER_E_CLOSED);
    faster_probe_free(probe);
    faster_device_free(memory);
}

static void i1_f78_every_completion_is_counted(void) {
    struct script script = {.completions = 3, .code = 100, .bytes = 50};
    scripted(&script);
    struct faster_probe *probe = kit_probe(&script.device);
    uint64_t ticket = kit_sync(probe);
    struct faster_probe_result result = kit_result(probe, ticket);
    CHECK_INT(result.code, 100);
    CHECK_U64(result.bytes, 50);
    CHECK_U64(result.completions, 3);
    script.last.done(script.last.context, 7, 7);
    CHECK_U64(kit_result(probe, ticket).completions, 4);
    CHECK_U64(faster_probe_completed(probe), 4);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
    CHECK_INT(script.closes, 1);
}

static void a_refused_request_keeps_its_ticket(void) {
    struct script script = {.result = -EAGAIN};
    scripted(&script);
    struct faster_probe *probe = kit_probe(&script.device);
    uint64_t ticket = UINT64_MAX;
    CHECK_INT(faster_probe_sync(probe, 0, &ticket), -EAGAIN);
    CHECK_U64(ticket, 0);
    CHECK_INT(kit_result(probe, ticket).result, -EAGAIN);
    CHECK_U64(kit_result(probe, ticket).completions, 0);
    script.last.done(script.last.context, FASTER_DEVICE_DONE, 0);
    CHECK_U64(kit_result(probe, ticket).completions, 1);
    CHECK_U64(kit_result(probe, ticket).inside, 0);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
}

static void raw_and_judged_tell_two_things(void) {
    struct script script = {.completions = 1, .code = 0, .bytes = 0};
    scripted(&script);
    struct faster_probe *probe = kit_probe(&script.device);
    uint64_t raw = kit_sync(probe), judged;
    CHECK_INT(faster_probe_sync(probe, 1, &judged), 0);
    CHECK_INT(kit_result(probe, raw).code, 0);
    CHECK_INT(kit_result(probe, judged).code, -EIO);
    script.code = FASTER_DEVICE_DONE;
    script.bytes = 511;
    uint8_t bytes[512] = {0};
    CHECK_INT(faster_probe_write(probe, 0, bytes, 512, 0, 1, &judged), 0);
    CHECK_INT(kit_result(probe, judged).code, -EIO);
    CHECK_INT(faster_probe_write(probe, 0, bytes, 512, 8, 1, &judged), -EINVAL);
    CHECK_INT(faster_probe_read(probe, 8, 512, 0, 1, &judged), -EINVAL);
    CHECK_INT(faster_probe_read(probe, 0, 512, 0, 1, &judged), 0);
    CHECK_U64(kit_result(probe, judged).bytes, 511);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
}

static void buffers_lie_where_they_should(void) {
    static const uint32_t off[] = {0, 1, 8, 511, 512, 4095, 5000};
    struct faster_device *memory = kit_memory();
    struct faster_probe *probe = kit_probe(memory);
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        uint64_t ticket;
        CHECK_INT(faster_probe_read(probe, 0, 100, off[i], 0, &ticket), 0);
        uintptr_t at = (uintptr_t)faster_probe_buffer(probe, ticket);
        CHECK_U64(at % 4096, off[i] % 4096);
    }
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
    faster_device_free(memory);
}

static void i2_bytes_beside_the_buffer_are_guarded(void) {
    static const int64_t places[] = {-1, -64, 512, 575};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct script script = {.overrun = places[i], .completions = 1};
        scripted(&script);
        struct faster_probe *probe = kit_probe(&script.device);
        CHECK_U64(kit_result(probe, kit_read(probe, 0, 512)).overrun, 1);
        script.overrun = 511;
        CHECK_U64(kit_result(probe, kit_read(probe, 0, 512)).overrun, 0);
        (void)faster_probe_close(probe);
        faster_probe_free(probe);
    }
}

static void the_other_functions_answer_as_they_are(void) {
    struct script script = {.result = -EBUSY};
    scripted(&script);
    struct faster_probe *probe = kit_probe(&script.device);
    CHECK_INT(faster_probe_truncate_before(probe, 77), 77);
    CHECK_INT(faster_probe_poll(probe), 41);
    CHECK_INT(faster_probe_device_wait(probe, 5), 5);
    CHECK_INT(faster_probe_close(probe), -EBUSY);
    faster_probe_free(probe);
    CHECK_INT(script.closes, 1);
}

/* F76: nothing ever comes. */
static void f76_waiting_for_what_never_ends_ends(void) {
    struct script script = {0};
    scripted(&script);
    struct faster_probe *probe = kit_probe(&script.device);
    uint64_t ticket = kit_sync(probe);
    CHECK_INT(faster_probe_wait(probe, ticket, 0), FASTER_E_TIMEOUT);
    CHECK_INT(faster_probe_wait(probe, ticket, 2), FASTER_E_TIMEOUT);
    kit_in_flight(probe, ticket);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
}

static void complete_it(void *context) {
    struct script *script = context;
    script->last.done(script->last.context, FASTER_DEVICE_DONE, 0);
}

static void a_completion_by_another_thread_is_foreign(void) {
    struct script script = {0};
    struct thread thread;
    scripted(&script);
    struct faster_probe *probe = kit_probe(&script.device);
    uint64_t ticket = kit_sync(probe);
    CHECK_INT(thread_start(&thread, complete_it, &script), 0);
    thread_join(&thread);
    CHECK_U64(kit_result(probe, ticket).foreign, 1);
    CHECK_U64(kit_result(probe, ticket).inside, 0);
    (void)faster_probe_close(probe);
    faster_probe_free(probe);
}

HARNESS_MAIN(TEST(f81_a_table_the_core_refuses_is_refused),
             TEST(a_round_trip_is_told_as_it_was),
             TEST(i1_f78_every_completion_is_counted),
             TEST(a_refused_request_keeps_its_ticket),
             TEST(raw_and_judged_tell_two_things), TEST(buffers_lie_where_they_should),
             TEST(i2_bytes_beside_the_buffer_are_guarded),
             TEST(the_other_functions_answer_as_they_are),
             TEST(f76_waiting_for_what_never_ends_ends),
             TEST(a_completion_by_another_thread_is_foreign))
