/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a zoned node refuses, and why
 *
 * Operations that would change a zoned node's data, size or chain but not its
 * write pointers are refused before they touch anything.  Which parents may
 * write to a zoned node at all is decided when the edge to the node is made
 * (see blk_set_zoned_aware()).  All other refusals are here, as one table from
 * operation to error text.
 */
#ifndef BLOCK_ZONED_REFUSE_H
#define BLOCK_ZONED_REFUSE_H

#include "block/block-common.h"
#include "qapi/qapi-types-block-core.h"

typedef enum BdrvZonedOp {
    BDRV_ZONED_OP_BACKING,          /* get another backing file */
    BDRV_ZONED_OP_COMMIT,           /* be committed */
    BDRV_ZONED_OP_STREAM,           /* get the data of its backing file */
    BDRV_ZONED_OP_AS_BACKING,       /* be that of a node without zones */
    BDRV_ZONED_OP_SHRINK,
    BDRV_ZONED_OP_COPY_ON_READ,
    BDRV_ZONED_OP_COMPRESSED_WRITE,
    BDRV_ZONED_OP_COPY_RANGE_TO,
    BDRV_ZONED_OP_MAKE_EMPTY,
    BDRV_ZONED_OP_LAZY_REFCOUNTS,
    BDRV_ZONED_OP_VERSION_2,
    BDRV_ZONED_OP_FILTER,           /* get one that a job needs */
    BDRV_ZONED_OP__MAX,
} BdrvZonedOp;

/*
 * True, with an error that names the node and the rule, if @bs has host-managed
 * zones and therefore refuses @op.  Otherwise false.
 * @errp may be NULL.  Any thread that may look at @bs->bl.
 */
bool bdrv_zoned_refuse(BlockDriverState *bs, BdrvZonedOp op, Error **errp);

/* The same for callers that return an errno: -ENOTSUP or 0. */
int bdrv_zoned_check(BlockDriverState *bs, BdrvZonedOp op, Error **errp);

/*
 * Where @backing becomes the backing file of @bs: true, with an error that
 * names both, if only one of them has host-managed zones, or other ones.
 */
bool bdrv_zoned_refuse_backing(BlockDriverState *bs, BlockDriverState *backing,
                               Error **errp);

/*
 * For jobs that copy @bs, with @sync, into an image that they make first: true,
 * with an error, if the job would be refused because of zones.  To be called
 * before the image is made, since making it empties an existing file.
 */
bool GRAPH_RDLOCK
bdrv_zoned_refuse_copy_job(BlockDriverState *bs, MirrorSyncMode sync,
                           Error **errp);

/*
 * The same for code that is about to make the image @filename with the backing
 * file @backing, whose format is @fmt.  Main loop only.
 */
bool bdrv_zoned_refuse_backing_file(const char *filename, const char *backing,
                                    const char *fmt, Error **errp);

/*
 * For copies that are about to make @filename anew: true, with an error, if
 * @filename is a zoned image now; the user more likely wanted to write into
 * that image.  Main loop only; with or without the graph lock, as
 * bdrv_img_create() is called.
 */
bool bdrv_zoned_refuse_overwrite(const char *filename, Error **errp);

/*
 * For tools that fill what they create and do not know zones: true, with an
 * error, if the create options @opts ask for a zoned image.
 */
bool bdrv_zoned_refuse_create_opts(QemuOpts *opts, Error **errp);

#endif
