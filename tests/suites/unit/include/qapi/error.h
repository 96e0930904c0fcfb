/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the table codec needs of QEMU's qapi/error.h, so that it builds without
 * QEMU
 */
#ifndef QAPI_ERROR_H
#define QAPI_ERROR_H

#include <assert.h>
#include <stdarg.h>
#include <glib.h>

typedef struct Error {
    char *msg;
} Error;

static inline void G_GNUC_PRINTF(2, 3)
error_setg(Error **errp, const char *fmt, ...)
{
    va_list ap;

    if (!errp) {
        return;
    }
    assert(!*errp);
    *errp = g_new(Error, 1);
    va_start(ap, fmt);
    (*errp)->msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
}

static inline const char *error_get_pretty(const Error *err)
{
    return err->msg;
}

static inline void error_free(Error *err)
{
    if (err) {
        g_free(err->msg);
        g_free(err);
    }
}

#endif
