/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlays of zoned nodes
 *
 * An overlay has the zones of what it lies upon, and its own write pointers,
 * which are those of the base at first: what is below them shows the base until
 * it is written.
 *
 * All functions are called in the main thread.  A node without host-managed
 * zones has nothing to hand on: they do nothing, and succeed.
 */
#ifndef BLOCK_ZONED_OVERLAY_H
#define BLOCK_ZONED_OVERLAY_H

#include "block/block-common.h"
#include "qemu/option.h"

/*
 * For an image that is to be made as an overlay of @base: add the options that
 * make its zones to @opts, which are of its driver.  False, with an error, if
 * they ask for other zones, or if the driver has no such options.
 */
bool bdrv_zoned_overlay_opts(BlockDriverState *base, QemuOpts *opts,
                             Error **errp);
/* The same as the text of -o; NULL if there is nothing to add.  g_free() */
char *bdrv_zoned_overlay_text(BlockDriverState *base);

/*
 * Can the users of @base go on with @overlay, which is to stand on it?  False,
 * with an error that names what differs, if it has another size or lower
 * limits.
 * Other zones are refused where @base becomes its backing file.
 */
bool bdrv_zoned_overlay_fits(BlockDriverState *overlay, BlockDriverState *base,
                             Error **errp);

/*
 * @overlay, a node that nobody uses, gets the write pointers of @base, durably,
 * and, in memory, the open states.  @base has no request in flight.  On failure
 * @overlay is not to be used.  Returns 0 or a negative errno.
 */
int GRAPH_RDLOCK
bdrv_zoned_import_all(BlockDriverState *overlay, BlockDriverState *base,
                      Error **errp);
/* The same for a new image in the file @filename, of format @fmt */
int GRAPH_UNLOCKED
bdrv_zoned_import_file(const char *filename, const char *fmt,
                       BlockDriverState *base, Error **errp);

#endif
