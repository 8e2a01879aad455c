#ifndef COMMON_FORMAT_UPID_H
#define COMMON_FORMAT_UPID_H

/*
 * Unique task identifiers (wire-protocol 7.1).  A verify_state whose UPID
 * does not parse counts as absent for every reader, so ours are built here
 * only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPID_NODE_MAX 64
#define UPID_TYPE_MAX 64
#define UPID_WORKER_ID_MAX 600 /* plain: store, namespace, snapshot */
#define UPID_AUTH_ID_MAX 64
#define UPID_STR_MAX 768

struct err;

struct upid {
	char node[UPID_NODE_MAX + 1];
	uint32_t pid;
	uint64_t pstart;
	uint64_t task_id;
	uint32_t start; /* Unix time */
	char type[UPID_TYPE_MAX + 1];
	char worker_id[UPID_WORKER_ID_MAX + 1]; /* unescaped, may be "" */
	char auth_id[UPID_AUTH_ID_MAX + 1];
};

/* ERR_PARAM if a field does not fit the grammar, or the whole is longer than
 * UPID_STR_MAX (a worker id may grow fourfold when escaped). */
int upid_to_str(const struct upid *u, char out[UPID_STR_MAX + 1],
    struct err *e);
int upid_parse(struct upid *out, const char *s, struct err *e);

/* The worker id of a datastore's task is its name, or begins with it and ':'
 * (wire-protocol 7.1). */
bool upid_is_on_store(const struct upid *u, const char *store);

/* systemd's path-less escaping: '/' becomes '-', other bytes \xNN. */
int worker_id_escape(const char *id, char *out, size_t out_size, struct err *e);
int worker_id_unescape(const char *s, char *out, size_t out_size,
    struct err *e);

#endif
