/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images, devices and requests for the tests of zoned virtio-blk
 *
 * The disk of most tests, in sectors: 10 zones of 2048, the last one has 1024;
 * zone 0 is conventional; the capacity of a zone is 1536; at most 3 zones are
 * active and 2 open.
 */
#ifndef VIRTIO_BLK_ZONED_UTIL_H
#define VIRTIO_BLK_ZONED_UTIL_H

#include "libqtest.h"
#include "libqos/libqos-pc.h"
#include "libqos/virtio.h"
#include "libqos/virtio-pci.h"
#include "standard-headers/linux/virtio_blk.h"

#define ZONE            2048u
#define CAP             1536u
#define NR_ZONES        10u
#define CAPACITY        (9 * ZONE + 1024)
#define DISK_SIZE       "9728K"
#define OPTS            "zoned=on,zone.size=1M,zone.capacity=768K," \
                        "zone.conventional_zones=1," \
                        "zone.max_active_zones=3,zone.max_open_zones=2"
#define APPEND_MAX      CAP     /* sectors */

#define SLOT            4
/* For what hangs; a flush takes half a minute where the host is busy. */
#define TIMEOUT_US      (300 * 1000 * 1000)
#define PENDING         0xff
#define POISON          0xa5
#define MAX_QUEUES      4

typedef enum Layout {
    SPLIT,              /* a descriptor for each part */
    JOINED,             /* headers share a descriptor with the data */
    CHOPPED,            /* everything in odd pieces */
} Layout;

typedef struct Disk {
    QOSState *qs;
    QTestState *qts;
    QVirtioPCIDevice *dev;
    QVirtioDevice *vdev;
    QVirtQueue *vq[MAX_QUEUES];
    unsigned nvqs;
} Disk;

/* A request, which is in guest memory as long as this is there */
typedef struct Io {
    Disk *d;
    uint64_t addr;      /* header, data out */
    uint64_t in;        /* data in, status */
    size_t in_len;
} Io;

typedef struct virtio_blk_zone_descriptor Zone;

typedef struct Test {
    const char *name;               /* NULL: the end */
    void (*fn)(void);
} Test;

/* In virtio-blk-zoned-errors.c, -drivers.c and -host.c */
extern const Test error_tests[];
extern const Test driver_tests[];
extern const Test host_tests[];

/* Where images are */
extern char *tmpdir;

/* Images and command lines; strings are for g_free() */
char *image_path(const char *name);
void run(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void image_new_opts(const char *name, const char *opts, const char *size);
void image_new(void);
char *nodes(const char *more);

/*
 * Start QEMU with a device at SLOT: with that whole command line; with nodes
 * and properties of the device; with the usual nodes and one virtqueue set up.
 */
Disk *disk_boot(const char *cmd);
Disk *disk_start_cmd(const char *cmd, const char *props);
/* On a new image, whose file fails such requests from this event on */
Disk *disk_start_faulty(const char *event, const char *iotype, int error,
                        bool once, const char *props);
Disk *disk_start(const char *props);
void disk_stop(Disk *d);

/* Features a test can do with; negotiation but for those in @without */
uint64_t disk_features(Disk *d);
void disk_setup(Disk *d, unsigned nvqs, uint64_t without);
void disk_setup_queues(Disk *d, unsigned nvqs);
void disk_cleanup_queues(Disk *d);

/*
 * Reset the device, for another negotiation or with that done as well; find
 * one again that the firmware would have to set up.
 */
void disk_reset(Disk *d);
void disk_restart(Disk *d, uint64_t without);
void disk_reattach(Disk *d);

/*
 * Put a request with @out_len bytes of data out (zeroes if @out is NULL) and
 * room for @in_len bytes of data in into ring @q.  With @queue_only the device
 * is not told.
 */
Io *io_queue_raw(Disk *d, unsigned q, Layout layout, uint32_t type,
                 uint64_t sector, const void *out, size_t out_len,
                 size_t in_len, bool queue_only);
Io *io_submit(Disk *d, uint32_t type, uint64_t sector, size_t out_len,
              size_t in_len);
Io *io_queue(Disk *d, uint32_t type, uint64_t sector, size_t out_len,
             size_t in_len);
void ring(Disk *d);
uint8_t io_status(Io *io);
void io_free(Io *io);
/* Wait for it, copy what came in to @in, and free it */
uint8_t io_wait(Io *io, void *in);

/*
 * A read of @in_len or an append of @out_len bytes, more than the guest has,
 * with the same memory (zeroes) in all descriptors; returns its status.
 */
uint8_t io_do_long(Disk *d, uint32_t type, uint64_t sector, uint64_t out_len,
                   uint64_t in_len);

/* A request by itself; returns its status */
uint8_t io_do(Disk *d, Layout layout, uint32_t type, uint64_t sector,
              const void *out, size_t out_len, void *in, size_t in_len);
uint8_t do_mgmt(Disk *d, uint32_t type, uint64_t sector);
uint8_t do_write(Disk *d, uint64_t sector, unsigned sectors);
uint8_t do_append(Disk *d, uint64_t sector, unsigned sectors,
                  uint64_t *where);
/* An append in each layout fails so, and writes nothing but its status. */
void check_append_fails(Disk *d, uint64_t sector, size_t out_len,
                        size_t in_len, uint8_t status);

/* At most @max zones, in host byte order; returns how many */
size_t report_len(unsigned nr);
unsigned do_report_layout(Disk *d, Layout layout, uint64_t sector,
                          unsigned max, Zone *zones);
unsigned do_report(Disk *d, uint64_t sector, unsigned max, Zone *zones);
/* Zone @i has @state and its write pointer is @wp sectors into it */
void check_zone(Disk *d, unsigned i, uint8_t state, unsigned wp);
void check_data(Disk *d, uint64_t sector, unsigned sectors, uint8_t byte);

/*
 * Nodes as above, on a host file that if @full has no room for another cluster
 * until room_made(); a disk of the usual image on such a file.
 */
#define ROOM (64 * 1024 * 1024)
char *full_nodes(bool full);
void room_made(Disk *d);
Disk *full_start(const char *props);

/* A disk of MAX_QUEUES virtqueues, which two iothreads share */
Disk *mq_start(const char *nodes_cmd, const char *werror);

void wait_migrated(QTestState *qts);
/* The image is sound, and leaks nothing */
void check_image(void);

/* At most that many writes a second; 0: no limit */
void disk_throttle(Disk *d, int64_t iops);

/* A command of qemu-io for the drive below the device */
void device_io(Disk *d, const char *cmd);

bool is_running(Disk *d);
void cont(Disk *d);
int64_t blockstat(Disk *d, const char *name);

#endif
