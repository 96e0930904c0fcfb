/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NVMe zoned namespaces: restarts, resets, what is in flight, and what is
 * refused from the start
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "nvme-zns-util.h"

/* 0 empty, 1 full, 2 closed, 3 implicitly, 4 explicitly open, nothing in it */
static void make_states(Ctrl *c)
{
    expect(do_write_byte(c, zslba(c, 1), 4, 1), OK);
    expect(do_mgmt(c, zslba(c, 1), ZSA_FINISH), OK);
    expect(do_write_byte(c, zslba(c, 2), 8, 2), OK);
    expect(do_mgmt(c, zslba(c, 2), ZSA_CLOSE), OK);
    expect(do_write_byte(c, zslba(c, 3), 16, 3), OK);
    expect(do_mgmt(c, zslba(c, 4), ZSA_OPEN), OK);
}

static void check_states(Ctrl *c, bool power_was_off)
{
    check_zone(c, 0, ZS_EMPTY, 0);
    check_state(c, 1, ZS_FULL);
    check_zone(c, 2, ZS_CLOSED, 8);
    check_zone(c, 3, power_was_off ? ZS_CLOSED : ZS_IO, 16);
    check_zone(c, 4, power_was_off ? ZS_EMPTY : ZS_EO, 0);
    check_zone(c, 5, ZS_EMPTY, 0);
    check_data(c, zslba(c, 1), 4, 1);
    check_data(c, zslba(c, 1) + 4, 4, 0);
    check_data(c, zslba(c, 2), 8, 2);
    check_data(c, zslba(c, 3), 16, 3);
    check_data(c, zslba(c, 3) + 16, 8, 0);
}

/* What a restart keeps */
static void test_restart(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");

    make_states(c);
    ctrl_stop(c);
    for (unsigned i = 0; i < 2; i++) {
        c = ctrl_start(b, "");
        check_states(c, true);
        ctrl_stop(c);
    }
    c = ctrl_start(b, "");
    /* Two are active */
    expect(do_write(c, zslba(c, 5), 4), OK);
    expect(do_write(c, zslba(c, 6), 4), TOO_MANY_ACTIVE);
    expect(do_append(c, zslba(c, 3), 4, NULL), OK);
    g_assert_cmpuint(last_result(), ==, zslba(c, 3) + 16);
    expect(do_mgmt(c, zslba(c, 1), ZSA_RESET), OK);
    check_data(c, zslba(c, 1), 8, 0);
    ctrl_stop(c);
    image_check(b);
}

/* In memory they are forgotten, and what was written can still be read */
static void test_restart_memory(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");

    make_states(c);
    ctrl_stop(c);
    c = ctrl_start(b, "");
    for (unsigned i = 0; i < NR_ZONES; i++) {
        check_zone(c, i, ZS_EMPTY, 0);
    }
    check_data(c, zslba(c, 2), 8, 2);
    ctrl_stop(c);
}

/*
 * The image as it is when QEMU is killed after a flush: all that was flushed
 * is there.
 */
static void test_kill(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *image = image_path("disk.img");
    g_autofree char *killed = image_path("killed.img");
    Ctrl *c = ctrl_new(b, "");

    make_states(c);
    expect(do_flush(c), OK);
    run("cp %s %s", image, killed);
    /* Not in the copy */
    expect(do_write(c, zslba(c, 3) + 16, 8), OK);
    ctrl_stop(c);
    g_assert_cmpint(rename(killed, image), ==, 0);
    c = ctrl_start(b, "");
    check_states(c, true);
    ctrl_stop(c);
    image_check(b);

    /* With FUA there is no need of a flush, nor after a reset or a finish */
    c = ctrl_new(b, "");
    {
        Sqe sqe = sqe_rw(IO_APPEND, 0, 8);
        g_autofree uint8_t *data = g_malloc0(8 * c->lba);

        sqe.dw[12] |= 1 << 30;
        expect(io_do(c, &sqe, data, 8 * c->lba, NULL), OK);
        expect(do_write(c, zslba(c, 1), 8), OK);
        expect(do_mgmt(c, zslba(c, 1), ZSA_FINISH), OK);
        expect(do_write(c, zslba(c, 2), 8), OK);
        expect(do_flush(c), OK);
        expect(do_mgmt(c, zslba(c, 2), ZSA_RESET), OK);
    }
    run("cp %s %s", image, killed);
    ctrl_stop(c);
    g_assert_cmpint(rename(killed, image), ==, 0);
    c = ctrl_start(b, "");
    check_zone(c, 0, ZS_CLOSED, 8);
    check_state(c, 1, ZS_FULL);
    check_zone(c, 2, ZS_EMPTY, 0);
    check_data(c, zslba(c, 1), 8, 0x5a);
    ctrl_stop(c);
}

/* A controller reset is no loss of power: open zones stay so */
static void test_controller_reset(const void *opaque)
{
    Ctrl *c = ctrl_new(opaque, "");

    make_states(c);
    for (unsigned i = 0; i < 3; i++) {
        ctrl_disable(c);
        ctrl_enable(c);
        check_states(c, false);
    }
    expect(do_write(c, zslba(c, 4), 4), OK);
    check_zone(c, 4, ZS_EO, 4);
    ctrl_stop(c);
}

static void throttle(Ctrl *c, unsigned iops)
{
    qtest_qmp_assert_success(c->qts,
        "{'execute': 'block_set_io_throttle', 'arguments': {"
        "'id': '/machine/peripheral/ns', 'iops': %u,"
        "'iops_rd': 0, 'iops_wr': 0, 'bps': 0, 'bps_rd': 0, 'bps_wr': 0}}",
        iops);
}

/* A shutdown closes them */
static void test_shutdown(const void *opaque)
{
    const Backend *b = opaque;

    for (unsigned abrupt = 0; abrupt < 2; abrupt++) {
        Ctrl *c = ctrl_new(b, "");

        make_states(c);
        ctrl_shutdown(c, abrupt);
        ctrl_disable(c);
        ctrl_enable(c);
        check_states(c, true);
        /* And again, with nothing to close */
        ctrl_shutdown(c, abrupt);
        ctrl_disable(c);
        ctrl_enable(c);
        check_states(c, true);
        expect(do_write(c, zslba(c, 3) + 16, 4), OK);
        check_zone(c, 3, ZS_IO, 20);
        ctrl_stop(c);
        image_check(b);
    }
}

/* Throttled, too: no time passes by itself in a qtest. */
static void test_shutdown_throttled(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    Cmd *cmd[8];

    make_states(c);
    throttle(c, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(cmd); i++) {
        Sqe sqe = sqe_rw(IO_READ, zslba(c, 7), 8);

        cmd[i] = cmd_put(c, 1, &sqe, NULL, 8 * c->lba);
    }
    ring(c, 1);
    ctrl_shutdown(c, false);
    ctrl_disable(c);
    throttle(c, 0);
    ctrl_enable(c);
    check_states(c, true);
    ctrl_stop(c);
    image_check(b);
}

static void set_active(Ctrl *c, bool active)
{
    qtest_qmp_assert_success(c->qts, "{'execute': 'blockdev-set-active',"
                             "'arguments': {'node-name': 'disk',"
                             "'active': %i}}", active);
}

/* The drive is not ours for now: its zones are left alone */
static void test_shutdown_inactive(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");

    make_states(c);
    set_active(c, false);
    expect(do_mgmt(c, zslba(c, 4), ZSA_OPEN), WRITE_PROTECTED);
    ctrl_shutdown(c, false);
    ctrl_disable(c);
    ctrl_enable(c);
    set_active(c, true);
    check_states(c, true);
    expect(do_write(c, zslba(c, 3) + 16, 4), OK);
    check_zone(c, 3, ZS_IO, 20);
    ctrl_stop(c);
    image_check(b);
}

/* In flight */

/*
 * Commands of every kind, in all queues. A copy takes several requests of the
 * drive (and in memory so does a reset), and the second one never ends when it
 * is throttled: in a qtest no time passes by itself.
 */
static void put_many(Ctrl *c, Cmd **cmd, unsigned nr, bool throttled)
{
    unsigned at[2] = { 0 };

    for (unsigned i = 0; i < nr; i++) {
        unsigned q = 1 + i % (MAX_QUEUES - 1);
        uint8_t range[32] = { 0 };
        Sqe sqe;

        switch (i / (MAX_QUEUES - 1) % (throttled ? 7 : 8)) {
        case 0:
            cmd[i] = put_append(c, q, zslba(c, 2), 8, i);
            break;
        case 1:
            cmd[i] = put_write(c, q, zslba(c, i & 1) + at[i & 1], 4, i);
            at[i & 1] += 4;
            break;
        case 2:
            sqe = sqe_report(0, 0, F_ALL, i & 1, 1024);
            cmd[i] = cmd_put(c, q, &sqe, NULL, 1024);
            break;
        case 3:
            sqe = sqe_mgmt(zslba(c, 3 + i % 4),
                           i & 1 ? ZSA_FINISH : ZSA_RESET, false);
            cmd[i] = cmd_put(c, q, &sqe, NULL, 0);
            break;
        case 4:
            sqe = (Sqe) { .dw = { IO_FLUSH, 1 } };
            cmd[i] = cmd_put(c, q, &sqe, NULL, 0);
            break;
        case 7:
            put_le(range + 8, zslba(c, 7), 8);
            put_le(range + 16, 3, 2);
            sqe = (Sqe) { .dw = { [0] = IO_COPY, [1] = 1,
                                  [10] = zslba(c, 5) } };
            cmd[i] = cmd_put(c, q, &sqe, range, sizeof(range));
            break;
        case 6:
            sqe = sqe_rw(IO_READ, zslba(c, 7), 8);
            cmd[i] = cmd_put(c, q, &sqe, NULL, 8 * c->lba);
            break;
        case 5:
            sqe = sqe_mgmt(0, i % 3 == 0 ? ZSA_RESET : i % 3 == 1 ?
                           ZSA_CLOSE : ZSA_FINISH, true);
            cmd[i] = cmd_put(c, q, &sqe, NULL, 0);
            break;
        }
    }
    for (unsigned q = 1; q < MAX_QUEUES; q++) {
        ring(c, q);
    }
}

static unsigned count_done(Ctrl *c, Cmd **cmd, unsigned nr)
{
    unsigned done = 0;

    for (unsigned q = 1; q < MAX_QUEUES; q++) {
        poll_queue(c, q);
    }
    for (unsigned i = 0; i < nr; i++) {
        done += cmd[i]->done;
    }
    return done;
}

/*
 * All zones answer, whatever happened to them. In memory writes that end after
 * a reset have moved the pointers of zones that are empty.
 */
static void check_alive(Ctrl *c)
{
    expect(do_all(c, ZSA_RESET), OK);
    if (c->memory) {
        return;
    }
    for (unsigned i = 0; i < NR_ZONES; i++) {
        check_zone(c, i, ZS_EMPTY, 0);
    }
    expect(do_write(c, 0, 4), OK);
    check_zone(c, 0, ZS_IO, 4);
}

#define MANY 128

static void test_reset_in_flight(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    Cmd *cmd[MANY];

    for (unsigned i = 0; i < 3; i++) {
        throttle(c, 1);
        put_many(c, cmd, MANY, true);
        g_assert_cmpuint(count_done(c, cmd, MANY), <, MANY);
        ctrl_disable(c);
        throttle(c, 0);
        ctrl_enable(c);
        check_alive(c);
    }
    ctrl_stop(c);
    image_check(b);
}

/* As above, with nothing that keeps them but the host's speed */
static void test_reset_busy(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    Cmd *cmd[MANY];

    for (unsigned i = 0; i < 10; i++) {
        put_many(c, cmd, MANY, false);
        ctrl_disable(c);
        ctrl_enable(c);
    }
    put_many(c, cmd, MANY, false);
    ctrl_shutdown(c, false);
    ctrl_disable(c);
    ctrl_enable(c);
    check_alive(c);
    ctrl_stop(c);
    image_check(b);
}

static void test_queue_deletion(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    Cmd *cmd[MANY];

    for (unsigned i = 0; i < 10; i++) {
        Sqe sqe = { .dw = { ADM_DELETE_CQ } };

        put_many(c, cmd, MANY, false);
        for (unsigned q = 2; q < MAX_QUEUES; q++) {
            expect(queue_delete_sq(c, q), OK);
            poll_queue(c, q);
            for (unsigned j = 0; j < MANY; j++) {
                if (cmd[j]->q == q) {
                    cmd_free(cmd[j]);
                    cmd[j] = cmd[0];
                }
            }
            sqe.dw[10] = q;
            expect(admin_do(c, &sqe, 0, NULL), OK);
        }
        for (unsigned j = 0; j < MANY; j += MAX_QUEUES - 1) {
            g_assert_cmpuint(cmd[j]->q, ==, 1);
            cmd_wait(cmd[j], NULL);
        }
        for (unsigned j = 0; j < MANY; j += MAX_QUEUES - 1) {
            cmd_free(cmd[j]);
        }
        for (unsigned q = 2; q < MAX_QUEUES; q++) {
            queue_create(c, q);
        }
    }
    check_alive(c);
    ctrl_stop(c);
    image_check(b);
}

/* Each command that was to be aborted is answered once, done or not */
static void test_abort(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    Cmd *cmd[MANY];

    for (unsigned n = 0; n < 2; n++) {
        if (n) {
            throttle(c, 1);
        }
        put_many(c, cmd, MANY, n);
        for (unsigned i = 0; i < MANY; i += 1 + n) {
            Sqe sqe = { .dw = { ADM_ABORT } };

            sqe.dw[10] = cmd[i]->cid << 16 | cmd[i]->q;
            expect(admin_do(c, &sqe, 0, NULL), OK);
        }
        throttle(c, 0);
        for (unsigned i = 0; i < MANY; i++) {
            cmd_wait(cmd[i], NULL);
        }
        for (unsigned i = 0; i < MANY; i++) {
            cmd_free(cmd[i]);
        }
        check_alive(c);
    }
    ctrl_stop(c);
    image_check(b);
}

static void test_unplug(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    Cmd *cmd[MANY];

    put_many(c, cmd, MANY, false);
    qpci_unplug_acpi_device_test(c->qts, "ctrl", SLOT);
    ctrl_stop(c);
    image_check(b);
}

/* With its own namespace the controller lets go of the drive */
static void test_unplug_single(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *node = nodes(b, "");
    g_autofree char *command = g_strdup_printf(
        "%s -device nvme,id=ctrl,serial=zns,addr=0x%x,drive=disk", node, SLOT);
    Cmd *cmd[MANY];
    gint64 start;
    bool deleted;
    Ctrl *c;

    image_new(b);
    c = ctrl_boot(b, command);
    put_many(c, cmd, MANY, false);
    qpci_unplug_acpi_device_test(c->qts, "ctrl", SLOT);
    start = g_get_monotonic_time();
    do {
        QDict *r = qtest_qmp(c->qts, "{'execute': 'blockdev-del',"
                             "'arguments': {'node-name': 'disk'}}");

        deleted = !qdict_haskey(r, "error");
        qobject_unref(r);
        g_assert_cmpint(g_get_monotonic_time() - start, <, TIMEOUT_US);
    } while (!deleted);
    ctrl_stop(c);
    image_check(b);
}

static void test_quit(const void *opaque)
{
    const Backend *b = opaque;

    for (unsigned i = 0; i < 2; i++) {
        Ctrl *c = ctrl_new(b, "");
        Cmd *cmd[MANY];

        throttle(c, i);
        put_many(c, cmd, MANY, i);
        ctrl_stop(c);
        image_check(b);
    }
}

/* The guest is stopped and goes on, with commands in flight */
static void test_stop_cont(const void *opaque)
{
    const Backend *b = opaque;
    Ctrl *c = ctrl_new(b, "");
    Cmd *cmd[MANY];

    put_many(c, cmd, MANY, false);
    qtest_qmp_assert_success(c->qts, "{'execute': 'stop'}");
    qtest_qmp_assert_success(c->qts, "{'execute': 'cont'}");
    for (unsigned i = 0; i < MANY; i++) {
        cmd_wait(cmd[i], NULL);
    }
    ctrl_forget(c);
    check_alive(c);
    ctrl_stop(c);
}

/*
 * A host file that is full: the error is told, no zone is lost by it, and once
 * there is room the same write succeeds.
 */
static void test_full_host(const void *opaque)
{
    const Backend *b = opaque;
    const unsigned room = 64 * 1024 * 1024;
    g_autofree char *path = image_path("disk.img");
    g_autofree char *ns = namespace_cmd(b, true, "");
    g_autofree char *cmd = NULL;
    struct stat st;
    uint64_t where;
    Ctrl *c;

    image_new(b);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(truncate(path, room), ==, 0);
    cmd = g_strdup_printf("-blockdev file,node-name=proto,filename=%s "
                          "-blockdev raw,node-name=full,file=proto,size=%"
                          PRId64 " -blockdev qcow2,node-name=disk,file=full "
                          "%s", path,
                          (int64_t)QEMU_ALIGN_UP(st.st_size, 512), ns);
    c = ctrl_boot(b, cmd);
    for (unsigned i = 0; i < 2; i++) {
        uint16_t status = do_write(c, 0, 8);

        g_assert_cmphex(status, !=, OK);
        g_assert_cmphex(status >> 4, !=, 0x1b);
        status = do_append(c, 0, 8, NULL);
        g_assert_cmphex(status, !=, OK);
        g_assert_cmphex(status >> 4, !=, 0x1b);
        check_state(c, 0, ZS_IO);
    }
    qtest_qmp_assert_success(c->qts,
        "{'execute': 'blockdev-reopen', 'arguments': {'options': [{"
        "'driver': 'raw', 'node-name': 'full', 'file': 'proto',"
        "'size': %u}]}}", room);
    expect(do_append(c, 0, 8, &where), OK);
    g_assert_cmpuint(where, ==, 0);
    expect(do_write(c, 8, 8), OK);
    expect(do_flush(c), OK);
    check_zone(c, 0, ZS_IO, 16);
    check_data(c, 0, 8, 0x5b);
    ctrl_stop(c);
    image_check(b);
}

/*
 * A write fails on the host. It may be made again, unless the zone's pointer
 * has gone on without it: then its place is taken.
 */
static void test_write_fault(const void *opaque)
{
    static const struct {
        uint8_t opcode;
        bool more;              /* another write follows, and succeeds */
        bool dnr;
    } rows[] = {
        { IO_WRITE, false, false },
        { IO_WRITE, true, true },
        { IO_APPEND, false, false },
        { IO_APPEND, true, false },
    };
    const Backend *b = opaque;
    g_autofree char *path = image_path("disk.img");
    g_autofree char *ns = namespace_cmd(b, true, "");
    g_autofree char *cmd = g_strdup_printf(
        "-blockdev file,node-name=proto,filename=%s "
        "-blockdev blkdebug,node-name=bad,image=proto,"
        "inject-error.0.event=write_aio,inject-error.0.iotype=write,"
        "inject-error.0.once=on "
        "-blockdev qcow2,node-name=disk,file=bad %s", path, ns);

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        bool append = rows[i].opcode == IO_APPEND;
        Cmd *failing, *next = NULL;
        Ctrl *c;

        /* Both go where clusters are, so that neither waits for the other */
        c = ctrl_new(b, "");
        expect(do_write(c, zslba(c, 1), 64), OK);
        expect(do_mgmt(c, zslba(c, 1), ZSA_RESET), OK);
        ctrl_stop(c);

        c = ctrl_boot(b, cmd);
        failing = append ? put_append(c, 1, zslba(c, 1), 8, 1)
                         : put_write(c, 1, zslba(c, 1), 8, 1);
        if (rows[i].more) {
            next = append ? put_append(c, 1, zslba(c, 1), 8, 2)
                          : put_write(c, 1, zslba(c, 1) + 8, 8, 2);
        }
        ring(c, 1);
        expect(cmd_wait(failing, NULL), WRITE_FAULT);
        g_assert_cmpint(failing->dnr, ==, rows[i].dnr);
        cmd_free(failing);
        if (next) {
            expect(cmd_finish(next, NULL), OK);
            check_zone(c, 1, ZS_IO, 16);
            check_data(c, zslba(c, 1) + 8, 8, 2);
        }
        if (append) {
            expect(do_append(c, zslba(c, 1), 8, NULL), OK);
        } else if (!rows[i].dnr) {
            expect(do_write(c, zslba(c, 1), 8), OK);
        }
        expect(do_flush(c), OK);
        ctrl_stop(c);
        image_check(b);
    }
}

/* A format that fails leaves the zones, and can be tried again */
static void test_failed_format(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *path = image_path("disk.img");
    g_autofree char *ns = namespace_cmd(b, true, "");
    g_autofree char *cmd = g_strdup_printf(
        "-blockdev file,node-name=proto,filename=%s "
        "-blockdev blkdebug,node-name=bad,image=proto,"
        "inject-error.0.event=zone_table_write,inject-error.0.iotype=write,"
        "inject-error.0.once=on "
        "-blockdev qcow2,node-name=disk,file=bad %s", path, ns);
    Sqe sqe = { .dw = { [0] = ADM_FORMAT, [1] = 1 } };
    Ctrl *c;

    c = ctrl_new(b, "");
    expect(do_write(c, 0, 8), OK);
    ctrl_stop(c);

    c = ctrl_boot(b, cmd);
    g_assert_cmphex(admin_do(c, &sqe, 0, NULL), !=, OK);
    check_zone(c, 0, ZS_CLOSED, 8);
    check_data(c, 0, 8, 0x5a);
    expect(do_write(c, 8, 8), OK);
    expect(admin_do(c, &sqe, 0, NULL), OK);
    check_zone(c, 0, ZS_EMPTY, 0);
    expect(do_write(c, 0, 8), OK);
    ctrl_stop(c);
    image_check(b);
}

/* What is refused when the device is made */

/* Standard error of a QEMU that ends by itself */
static char *messages(const Backend *b, const char *props)
{
    g_autofree char *node = nodes(b, "");
    g_autofree char *cmd = g_strdup_printf(
        "%s -machine pc,accel=qtest -display none -nodefaults %s %s "
        "-device nothing-has-this-name", getenv("QTEST_QEMU_BINARY"), node,
        props);
    char *err = NULL;
    int status = 0;

    g_assert_true(g_spawn_command_line_sync(cmd, NULL, &err, &status, NULL));
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    return err;
}

static const char *const last_error = "nothing-has-this-name";

static void check_accepted(const Backend *b, const char *props)
{
    g_autofree char *cmd = namespace_cmd(b, false, props);
    g_autofree char *err = messages(b, cmd);

    if (!strstr(err, last_error)) {
        g_test_message("%s: %s", props, err);
        g_test_fail();
    }
}

static void check_refused(const Backend *b, const char *props,
                          const char *const *words)
{
    g_autofree char *cmd = namespace_cmd(b, false, props);
    g_autofree char *err = messages(b, cmd);

    g_test_message("%s: %s", props, err);
    if (strstr(err, last_error)) {
        g_test_message("it was not refused");
        g_test_fail();
        return;
    }
    for (; *words; words++) {
        if (!strstr(err, *words)) {
            g_test_message("it does not say %s", *words);
            g_test_fail();
        }
    }
}
#define REFUSED(b, props, ...) \
    check_refused(b, props, (const char *const[]) { __VA_ARGS__, NULL })

static void test_refused(const void *opaque)
{
    const Backend *b = opaque;
    const Backend big = { b->name, b->memory, 4096 };
    const Backend huge = { b->name, b->memory, 16384 };
    Ctrl *c;

    image_new(b);
    check_accepted(b, "");
    check_accepted(b, ",zoned=on");
    check_accepted(b, ",zoned=on,zoned.zone_size=1M,zoned.zone_capacity=768K,"
                   "zoned.max_active=3,zoned.max_open=2");
    /* What contradicts the drive */
    REFUSED(b, ",zoned=off", "zoned");
    REFUSED(b, ",zoned.zone_size=2M", "zoned.zone_size", "2097152", "1048576");
    REFUSED(b, ",zoned.zone_capacity=512K", "zoned.zone_capacity", "524288",
            "786432");
    REFUSED(b, ",zoned.max_active=5", "zoned.max_active", "5", "3");
    REFUSED(b, ",zoned.max_open=1", "zoned.max_open", "1", "2");
    /* Properties of the controller */
    REFUSED(b, " -global nvme.mdts=9 -global nvme.zoned.zasl=9",
            "zoned.zasl=9", "2097152", "786432");
    REFUSED(b, " -global nvme.zoned.auto_transition=off",
            "zoned.auto_transition=off");
    /* What such a drive has no place for */
    REFUSED(b, ",ms=8", "ms");
    REFUSED(b, ",ms=8,pi=1", "ms");
    REFUSED(b, ",zoned.descr_ext_size=64", "zoned.descr_ext_size");
    REFUSED(b, ",zoned.zrwas=64K,zoned.zrwafg=4K,zoned.numzrwa=1", "zoned.");

    image_new_opts("disk.img", OPTS ",zone.conventional_zones=2", DISK_SIZE);
    REFUSED(b, "", "conventional");
    /* Zones, pointers and capacities that blocks do not fit */
    image_new_opts("disk.img", "zoned=on,zone.size=1M,zone.capacity=513K",
                   DISK_SIZE);
    REFUSED(&big, "", "the capacity", "525312", "4096",
            "set logical_block_size to at most 1024");
    check_accepted(b, "");
    image_new(b);
    c = ctrl_start(b, "");
    expect(do_write(c, zslba(c, 1), 9), OK);
    ctrl_stop(c);
    REFUSED(&big, "", "the write pointer", "4096",
            "set logical_block_size to at most 512");
    check_accepted(b, "");
    image_new_opts("disk.img", "zoned=on,zone.size=2K,cluster_size=512",
                   DISK_SIZE);
    REFUSED(b, "", "appends of up to 2048 bytes", "at least 8192");
    image_new_opts("disk.img", "zoned=on,zone.size=8K,cluster_size=512",
                   DISK_SIZE);
    REFUSED(&huge, "", "the size", "8192",
            "set logical_block_size to at most 8192");
    check_accepted(b, "");
}

/* One that is plain: zoned=on is kept in memory, as ever */
static void test_plain_drive(const void *opaque)
{
    const Backend *b = opaque;

    image_new(b);
    check_accepted(b, ",zoned.descr_ext_size=64");
    check_accepted(b, ",zoned.zrwas=64K,zoned.zrwafg=4K,zoned.numzrwa=1");
    REFUSED(b, ",zoned.zone_capacity=2M", "zone capacity", "zone size");
    REFUSED(b, ",zoned.max_active=2,zoned.max_open=3", "max_open_zones");
}

/* The controller's own namespace */
static void test_single(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *node = nodes(b, "");
    g_autofree char *cmd = g_strdup_printf(
        "%s -device nvme,id=ctrl,serial=zns,addr=0x%x,drive=disk,"
        "logical_block_size=%u,physical_block_size=%u", node, SLOT, b->lba,
        b->lba);
    Ctrl *c;

    image_new(b);
    c = ctrl_boot(b, cmd);
    make_states(c);
    check_states(c, false);
    ctrl_stop(c);
    c = ctrl_boot(b, cmd);
    check_states(c, true);
    ctrl_stop(c);
}

/* A last zone that is shorter */
static void test_short_zone(const void *opaque)
{
    const Backend *b = opaque;
    g_autofree char *cmd = namespace_cmd(b, false, "");
    g_autofree char *err = NULL;

    image_new_opts("disk.img", OPTS, "3584K");
    err = messages(b, cmd);
    g_test_message("%s", err);
    g_assert_nonnull(strstr(err, " 524288 bytes instead of 1048576,"));
    g_assert_null(strstr(err, last_error));
}

const Test life_tests[] = {
    { "restart", test_restart, KEPT },
    { "restart-forgets", test_restart_memory, MEMORY },
    { "kill", test_kill, KEPT },
    { "controller-reset", test_controller_reset, BOTH },
    { "shutdown", test_shutdown, BOTH },
    { "shutdown-throttled", test_shutdown_throttled, KEPT },
    { "shutdown-inactive", test_shutdown_inactive, KEPT },
    { "reset-in-flight", test_reset_in_flight, QCOW2 },
    { "reset-busy", test_reset_busy, BOTH },
    { "queue-deletion", test_queue_deletion, BOTH },
    { "abort", test_abort, BOTH },
    { "unplug", test_unplug, QCOW2 },
    { "unplug-single", test_unplug_single, QCOW2 },
    { "quit", test_quit, BOTH },
    { "stop-cont", test_stop_cont, BOTH },
    { "full-host", test_full_host, QCOW2 },
    { "write-fault", test_write_fault, KEPT },
    { "failed-format", test_failed_format, QCOW2 },
    { "realize-refuses", test_refused, QCOW2 },
    { "plain-drive", test_plain_drive, MEMORY },
    { "single-namespace", test_single, KEPT },
    { "short-last-zone", test_short_zone, QCOW2 },
    { NULL },
};
