#ifndef SERVER_RENDER_INT_H
#define SERVER_RENDER_INT_H

/* Between render.c and render_tasks.c. */

#include <stddef.h>
#include <stdint.h>

#include "common/records.h"

struct err;
struct json;
struct wire_r;

/* Takes one record whole; -1 if it is damaged or out of place. */
typedef int render_fn(void *arg, enum record_kind kind, struct wire_r *body);
int render_each(const uint8_t *recs, size_t len, render_fn *fn, void *arg);

/* Frees partial and reports ERR_PROTO; NULL. */
struct json *render_damaged(struct json *partial, struct err *e);
const char *render_type(uint8_t type); /* "vm" */

#endif
