#ifndef CLIENT_REMOTE_H
#define CLIENT_REMOTE_H

#include "client/repository.h"

struct client_opts;
struct err;
struct h2;
struct json;
struct sbuf;

/*
 * The server of a command: connection, identity, REST calls, and the upgrade
 * to a session.
 */
struct remote;

/* Connects, checks the certificate, logs in.  Blocks. */
struct remote *remote_open(const struct client_opts *o, struct err *e);
void remote_close(struct remote *r);
const struct repository *remote_repository(const struct remote *r);

/* Starts the target of a call on the datastore:
 * "/api2/json/admin/datastore/STORE/what". */
void remote_target(const struct remote *r, struct sbuf *target,
    const char *what);
/* The data of the answer belongs to the caller; out may be NULL. */
int remote_call(struct remote *r, const char *method, const char *target,
    struct json **out, struct err *e);

/* The same, but the whole object around the data. */
int remote_call_whole(struct remote *r, const char *method, const char *target,
    struct json **out, struct err *e);
/* POST of bytes; the answer's data is dropped. */
int remote_upload(struct remote *r, const char *target, const void *data,
    size_t len, struct err *e);

/* Upgrades with this target ("/api2/json/backup?...") and protocol.  The
 * session is the caller's and ends before remote_close(). */
struct h2 *remote_upgrade(struct remote *r, const char *target,
    const char *protocol, struct err *e);

#endif
