#ifndef SERVER_AUTH_ACL_H
#define SERVER_AUTH_ACL_H

#include <stddef.h>
#include <stdint.h>

#include "common/grant.h"

struct err;

/*
 * Evaluation of access control lists (wire-protocol 6.2): what an identity
 * may do at a path.  Pure functions over the entries of one identity; nothing
 * blocks.
 */

#define ACL_PATH_MAX (IPC_NS_MAX + 63) /* fits grant_node.path */

/* The entries of one identity at one path. */
struct acl_node {
	char *path;
	uint32_t all;         /* of all roles there */
	uint32_t propagated;  /* of those that propagate */
	uint8_t denied;       /* NoAccess among all */
	uint8_t denied_below; /* NoAccess among those that propagate */
	uint8_t propagates;   /* any that propagates */
};

struct acl {
	struct acl_node *nodes; /* in order of path */
	size_t count;
	size_t cap;
	int superuser; /* has every privilege everywhere */
};

void acl_init(struct acl *a);
void acl_fini(struct acl *a);
/* Entries come in order of path (ERR_INTERNAL otherwise).  A role that is not
 * known (any more) gives nothing. */
int acl_add(struct acl *a, const char *path, const char *role, int propagate,
    struct err *e);

/* Privileges at the path, and those that it hands down. */
uint32_t acl_exact(const struct acl *a, const char *path);
uint32_t acl_propagated(const struct acl *a, const char *path);

/* "/", "/datastore/s/a", ...: ERR_PARAM unless it is a path that entries may
 * have (wire-protocol 6.2). */
int acl_path_check(const char *path, struct err *e);

/*
 * What an identity may do, as the nodes of a grant: user's rights, for a token
 * (token not NULL) only where both have them.  Only what matters for this
 * store and namespace: their ancestors, all below, and /system; store "" is
 * all stores, NULL everything.  Nodes that change nothing are left out.  The
 * result is the caller's (free()).
 */
void acl_nodes(const struct acl *user, const struct acl *token,
    const char *store, const char *ns, struct grant_node **nodes_out,
    size_t *count_out);

/*
 * Fewer nodes, for an identity with too many for a grant over all stores: it
 * sees the same stores, but may do less inside them.  Never gives more than
 * before.  Replaces the array.
 */
void acl_nodes_reduce(struct grant_node **nodes, size_t *count);

#endif
