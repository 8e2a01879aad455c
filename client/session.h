#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "common/format/snapshot.h"

struct digest;
struct err;
struct h2;
struct remote;

/*
 * Calls of backup and reader sessions (wire-protocol 4 and 5) that are
 * waited for.
 */

/* Upgrades the connection.  The session is the caller's. */
struct h2 *session_backup(struct remote *r, const char *ns,
    const struct backup_snapshot *snapshot, struct err *e);
struct h2 *session_reader(struct remote *r, const char *ns,
    const struct backup_snapshot *snapshot, struct err *e);

/* A backup session of group host/benchmark, of which nothing stays. */
struct h2 *session_benchmark(struct remote *r, const char *ns, int64_t time,
    struct err *e);

/* Time of the previous backup, 0 if there is none. */
int session_previous_time(struct h2 *h, int64_t *out, struct err *e);
/* A file of the previous backup; the caller frees. */
int session_previous(struct h2 *h, const char *name, uint8_t **data_out,
    size_t *len_out, struct err *e);
int session_blob(struct h2 *h, const char *name, const void *data, size_t len,
    struct err *e);
int session_fixed_create(struct h2 *h, const char *name, uint64_t size,
    uint64_t *wid_out, struct err *e);
int session_fixed_close(struct h2 *h, uint64_t wid, uint64_t count,
    uint64_t size, const struct digest *csum, struct err *e);
/* May take long: the server waits until all reused chunks are checked. */
int session_finish(struct h2 *h, struct err *e);

/* A file of the snapshot; the caller frees. */
int session_download(struct h2 *h, const char *name, uint8_t **data_out,
    size_t *len_out, struct err *e);

#endif
