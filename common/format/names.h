#ifndef COMMON_FORMAT_NAMES_H
#define COMMON_FORMAT_NAMES_H

/*
 * The grammar of names (datastore-format 1.2, 1.3): safe identifiers,
 * datastores, namespaces, archives.  Groups and snapshots
 * are in snapshot.h, users and tokens in auth_id.h.  Whatever passes these
 * checks is safe as one path component (no '/', no leading '.').
 */

#include <stdbool.h>
#include <stddef.h>

#define SAFE_ID_MAX 255 /* one file name */
#define DATASTORE_NAME_MIN 3
#define DATASTORE_NAME_MAX 32
#define NAMESPACE_MAX 256
#define NAMESPACE_DEPTH_MAX 7
#define NAMESPACE_PATH_MAX (NAMESPACE_MAX + 3 * NAMESPACE_DEPTH_MAX)
#define ARCHIVE_NAME_MAX 249 /* its temporary name (1.8) must fit too */

#define MANIFEST_NAME "index.json.blob"
#define CLIENT_LOG_NAME "client.log.blob"

struct err;

enum archive_kind {
	ARCHIVE_FIXED,   /* .fidx */
	ARCHIVE_DYNAMIC, /* .didx */
	ARCHIVE_BLOB     /* .blob */
};

/* The root namespace is the empty name with depth 0. */
struct backup_ns {
	char name[NAMESPACE_MAX + 1]; /* "a/b" */
	unsigned int depth;
};

bool safe_id_valid(const char *s);
bool datastore_name_valid(const char *s);

/* "" or NULL is the root.  ERR_PARAM. */
int ns_parse(struct backup_ns *out, const char *s, struct err *e);
/* Appends one component. */
int ns_push(struct backup_ns *ns, const char *component, struct err *e);
/* Removes the last component; false on the root. */
bool ns_pop(struct backup_ns *ns);
/* Last component, "" for the root; lent. */
const char *ns_leaf(const struct backup_ns *ns);
/* True if ns is parent itself or below it. */
bool ns_contains(const struct backup_ns *parent, const struct backup_ns *ns);
/* Path below the datastore: "" or "ns/a/ns/b". */
void ns_path(const struct backup_ns *ns, char out[NAMESPACE_PATH_MAX + 1]);

/* A safe id that ends in .fidx, .didx or .blob.  ERR_PARAM. */
int archive_name_parse(const char *name, enum archive_kind *out, struct err *e);
const char *archive_kind_ext(enum archive_kind kind); /* ".fidx" */

#endif
