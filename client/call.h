#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "common/sbuf.h"

struct backup_group;
struct backup_snapshot;
struct client_opts;
struct err;
struct json;
struct remote;

/*
 * One REST call of a command: target and parameters, then the answer.  All
 * parameters travel in the query, as those of the original client do.
 */
struct call {
	struct remote *remote;
	int own; /* opened here, so closed here */
	struct sbuf target;
};

/* On the command's datastore and namespace, over a connection of its own.
 * To be closed in any case. */
int call_open(struct call *c, const struct client_opts *o, const char *what,
    struct err *e);
/* The same over a connection that is there; ns may be NULL. */
void call_begin(struct call *c, struct remote *r, const char *what,
    const char *ns);
/* Elsewhere than on the datastore: "/api2/json/nodes/...". */
int call_open_path(struct call *c, const struct client_opts *o,
    const char *path, struct err *e);
void call_close(struct call *c);

void call_add(struct call *c, const char *key, const char *value);
void call_add_u64(struct call *c, const char *key, uint64_t value);
void call_add_group(struct call *c, const struct backup_group *g);
void call_add_snapshot(struct call *c, const struct backup_snapshot *s);

/* Once.  The data of the answer belongs to the caller; out may be NULL. */
int call_run(struct call *c, const char *method, struct json **out,
    struct err *e);
/* The same, and the data must be an array. */
int call_run_list(struct call *c, const char *method, struct json **out,
    struct err *e);
/* POST of bytes. */
int call_upload(struct call *c, const void *data, size_t len, struct err *e);
/* The whole answer instead of its data. */
int call_run_whole(struct call *c, struct json **out, struct err *e);

#endif
