/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small NVMe driver for the tests of zoned namespaces: it knows queues,
 * PRPs and the commands as the standard has them, and nothing of QEMU's device.
 *
 * The namespace of most tests: 8 zones of 1 MiB with a capacity of 768 KiB; at
 * most 3 zones are active and 2 open. It is either kept by the device itself,
 * in memory, above a raw file ("memory"), or a zoned qcow2 image ("qcow2").
 */
#ifndef NVME_ZNS_UTIL_H
#define NVME_ZNS_UTIL_H

#include "libqtest.h"
#include "libqos/libqos-pc.h"
#include "libqos/pci.h"

#define ZONE_BYTES      (1024 * 1024)
#define CAP_BYTES       (768 * 1024)
#define NR_ZONES        8u
#define MAX_ACTIVE      3u
#define MAX_OPEN        2u
#define OPTS            "zoned=on,zone.size=1M,zone.capacity=768K"
#define LIMITS          ",zone.max_active_zones=3,zone.max_open_zones=2"
#define DISK_SIZE       "8M"

#define SLOT            4
/* For what hangs; a flush takes half a minute where the host is busy. */
#define TIMEOUT_US      (300 * 1000 * 1000)
#define POISON          0xa5
#define GUARD           64
#define PAGE            4096u
#define MDTS_BYTES      (512 * 1024)
#define MAX_QUEUES      5           /* the admin queue, and 4 for I/O */
#define QSIZE           64

/* Status code type and status code */
enum {
    OK                      = 0x000,
    INVALID_OPCODE          = 0x001,
    INVALID_FIELD           = 0x002,
    DATA_TRANSFER           = 0x004,
    INTERNAL_ERROR          = 0x006,
    ABORTED                 = 0x007,
    SQ_DELETED              = 0x008,
    INVALID_NSID            = 0x00b,
    INVALID_PRP_OFFSET      = 0x013,
    WRITE_PROTECTED         = 0x020,
    LBA_RANGE               = 0x080,
    INVALID_FORMAT          = 0x10a,
    SIZE_LIMIT              = 0x183,
    INVALID_ZONE_OPERATION  = 0x1b6,
    ZONE_BOUNDARY           = 0x1b8,
    ZONE_IS_FULL            = 0x1b9,
    ZONE_IS_READ_ONLY       = 0x1ba,
    ZONE_IS_OFFLINE         = 0x1bb,
    ZONE_INVALID_WRITE      = 0x1bc,
    TOO_MANY_ACTIVE         = 0x1bd,
    TOO_MANY_OPEN           = 0x1be,
    INVALID_TRANSITION      = 0x1bf,
    WRITE_FAULT             = 0x280,
    COMPARE_FAILURE         = 0x285,
};

enum {
    ADM_DELETE_SQ = 0x00, ADM_CREATE_SQ = 0x01, ADM_GET_LOG = 0x02,
    ADM_DELETE_CQ = 0x04, ADM_CREATE_CQ = 0x05, ADM_IDENTIFY = 0x06,
    ADM_ABORT = 0x08, ADM_SET_FEATURES = 0x09, ADM_GET_FEATURES = 0x0a,
    ADM_FORMAT = 0x80,
};

enum {
    IO_FLUSH = 0x00, IO_WRITE = 0x01, IO_READ = 0x02, IO_COMPARE = 0x05,
    IO_WRITE_ZEROES = 0x08, IO_DSM = 0x09, IO_VERIFY = 0x0c, IO_COPY = 0x19,
    IO_MGMT_SEND = 0x79, IO_MGMT_RECV = 0x7a, IO_APPEND = 0x7d,
};

enum {
    ZSA_CLOSE = 1, ZSA_FINISH = 2, ZSA_OPEN = 3, ZSA_RESET = 4,
    ZSA_OFFLINE = 5, ZSA_SET_EXT = 0x10, ZSA_ZRWA_FLUSH = 0x11,
};

/* States of zones */
enum {
    ZS_EMPTY = 1, ZS_IO = 2, ZS_EO = 3, ZS_CLOSED = 4, ZS_RO = 0xd,
    ZS_FULL = 0xe, ZS_OFFLINE = 0xf,
};

/* Filters of a report */
enum {
    F_ALL, F_EMPTY, F_IO, F_EO, F_CLOSED, F_FULL, F_RO, F_OFFLINE,
};

typedef struct Backend {
    const char *name;
    bool memory;
    unsigned lba;
} Backend;

typedef struct Sqe {
    uint32_t dw[16];
} Sqe;

typedef struct Ctrl Ctrl;

/* A command, which is in guest memory until cmd_free() */
typedef struct Cmd {
    Ctrl *c;
    unsigned q;
    unsigned cid;
    bool done;
    bool dnr;
    uint16_t status;
    uint64_t result;
    uint64_t mem;           /* data with an offset, and a guard behind it */
    uint64_t data;
    uint64_t list;
    size_t len;
} Cmd;

typedef struct Queue {
    bool there;
    uint64_t sq, cq;
    unsigned tail, head;
    bool phase;
    Cmd *cmd[QSIZE];
} Queue;

struct Ctrl {
    QOSState *qs;
    QTestState *qts;
    QPCIDevice *pdev;
    QPCIBar bar;
    unsigned stride;
    Queue q[MAX_QUEUES];
    unsigned lba;           /* bytes of a logical block */
    unsigned zone, cap;     /* logical blocks */
    bool memory;
    unsigned offset;        /* of data in its first page */
};

typedef struct Zone {
    unsigned type, state, attributes;
    uint64_t cap, start, wp;
} Zone;

/* Where images are */
extern char *tmpdir;

char *image_path(const char *name);
void run(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void image_new_opts(const char *name, const char *opts, const char *size);
void image_new(const Backend *b);
/* The image is sound, and leaks nothing */
void image_check(const Backend *b);
/* Node 'disk' above node 'proto' */
char *nodes(const Backend *b, const char *more);
/* A namespace on it, with limits if @limits; @props begin with a comma */
char *namespace_cmd(const Backend *b, bool limits, const char *props);

/*
 * Start QEMU with a whole command line, which has a controller at SLOT; with
 * the usual namespace on the image that is there; with a new image.
 */
Ctrl *ctrl_boot(const Backend *b, const char *cmd);
Ctrl *ctrl_start(const Backend *b, const char *props);
Ctrl *ctrl_new(const Backend *b, const char *props);
void ctrl_stop(Ctrl *c);
/* Enable it and make its I/O queues; disable it, which forgets all commands */
void ctrl_enable(Ctrl *c);
void ctrl_disable(Ctrl *c);
void ctrl_forget(Ctrl *c);
/* Shutdown notification; returns when it is complete */
void ctrl_shutdown(Ctrl *c, bool abrupt);
void queue_create(Ctrl *c, unsigned q);
uint16_t queue_delete_sq(Ctrl *c, unsigned q);

/* Registers */
uint32_t reg_read(Ctrl *c, unsigned reg);
void reg_write(Ctrl *c, unsigned reg, uint32_t value);

/*
 * Put a command with @len bytes of data into the ring of queue @q, without
 * telling the device. Data is @out, or @byte where that is NULL.
 */
Cmd *cmd_put_byte(Ctrl *c, unsigned q, const Sqe *sqe, const void *out,
                  uint8_t byte, size_t len);
Cmd *cmd_put(Ctrl *c, unsigned q, const Sqe *sqe, const void *out, size_t len);
void ring(Ctrl *c, unsigned q);
/* Take completions that are there */
void poll_queue(Ctrl *c, unsigned q);
/* Wait for it, copy its data to @in; returns its status */
uint16_t cmd_wait(Cmd *cmd, void *in);
void cmd_free(Cmd *cmd);
uint16_t cmd_finish(Cmd *cmd, void *in);
/* A command by itself on I/O queue 1, or on the admin queue */
uint16_t io_do(Ctrl *c, const Sqe *sqe, const void *out, size_t len,
               void *in);
uint16_t admin_do(Ctrl *c, const Sqe *sqe, size_t len, void *in);
uint64_t last_result(void);

/* Commands */
Sqe sqe_rw(uint8_t opcode, uint64_t slba, unsigned nlb);
Sqe sqe_mgmt(uint64_t slba, uint8_t zsa, bool all);
Sqe sqe_report(uint64_t slba, uint8_t zra, uint8_t filter, bool partial,
               uint32_t bytes);
Sqe sqe_identify(uint8_t cns, uint8_t csi, uint32_t nsid);

Cmd *put_write(Ctrl *c, unsigned q, uint64_t slba, unsigned nlb, uint8_t byte);
Cmd *put_append(Ctrl *c, unsigned q, uint64_t slba, unsigned nlb,
                uint8_t byte);
uint16_t do_write_byte(Ctrl *c, uint64_t slba, unsigned nlb, uint8_t byte);
uint16_t do_write(Ctrl *c, uint64_t slba, unsigned nlb);
uint16_t do_append(Ctrl *c, uint64_t slba, unsigned nlb, uint64_t *where);
uint16_t do_read(Ctrl *c, uint64_t slba, unsigned nlb, void *buf);
uint16_t do_simple(Ctrl *c, uint8_t opcode, uint64_t slba, unsigned nlb);
uint16_t do_mgmt(Ctrl *c, uint64_t slba, uint8_t zsa);
uint16_t do_all(Ctrl *c, uint8_t zsa);
uint16_t do_flush(Ctrl *c);
/*
 * At most @max zones, decoded. Returns how many the report says there are, and
 * in @got how many it holds.
 */
uint64_t do_report(Ctrl *c, uint64_t slba, uint8_t filter, bool partial,
                   unsigned max, Zone *zones, unsigned *got);
void check_zone(Ctrl *c, unsigned i, uint8_t state, unsigned wp);
void check_state(Ctrl *c, unsigned i, uint8_t state);
void check_data(Ctrl *c, uint64_t slba, unsigned nlb, uint8_t byte);
uint64_t zslba(Ctrl *c, unsigned i);

#define expect(call, status) \
    g_assert_cmphex((call), ==, (status))

/* Little endian fields */
uint64_t le(const void *p, unsigned bytes);
void put_le(void *p, uint64_t v, unsigned bytes);

/* The tests of the other files, and what they run on */
typedef struct Test {
    const char *name;
    void (*fn)(const void *backend);
    unsigned where;
} Test;
enum { MEMORY = 1, QCOW2 = 2, QCOW2_4K = 4, ALL = 7, BOTH = 3, KEPT = 6 };
extern const Test data_tests[];
extern const Test life_tests[];

#endif
