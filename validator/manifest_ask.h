#ifndef VALIDATOR_MANIFEST_ASK_H
#define VALIDATOR_MANIFEST_ASK_H

#include <stdint.h>

#include "validator/checker.h"

/*
 * A stored manifest, read or changed by a checker of its own.  One that ends,
 * whoever killed it, says nothing of the manifest: another one is asked then,
 * once.  Belongs to the loop's thread.
 */
struct manifest_ask;

/* m: lent until it returns.  out: its out_len bytes, lent until
 * manifest_ask_free(), which may be called here; NULL: nothing was written. */
typedef void manifest_ask_fn(void *arg, const struct checker_manifest *m,
    const uint8_t *out);

/* in: what the op's text begins with (NULL: none); it and fd are lent until
 * manifest_ask_free().  NULL: no checker can be started, fn is not called. */
struct manifest_ask *manifest_ask_new(struct checker_pool *p,
    const struct arena *in, int fd, const struct checker_op *op,
    manifest_ask_fn *fn, void *arg, struct err *e);
/* fn is not called any more.  NULL inside is fine. */
void manifest_ask_free(struct manifest_ask **a);

#endif
