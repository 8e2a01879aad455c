#ifndef COMMON_GRANT_H
#define COMMON_GRANT_H

#include <stddef.h>
#include <stdint.h>

#include "common/ipc_fields.h"

struct err;

/*
 * A grant: auth's word to the validator about one request, carried by a
 * worker that can neither make nor change it.
 *
 * Wire form, little-endian: u8 version (1), u8 purpose, u32 pid (of the
 * worker), u64 expiry (CLOCK_BOOTTIME, milliseconds), 16 bytes nonce, str16
 * auth_id, str16 subject, str16 store, str16 ns, u16 node count, per node
 * str16 ACL path, u32 exact privileges, u32 propagated privileges; last 32
 * bytes HMAC-SHA256 over all of it under the grant key.
 *
 * Nodes are those ACL paths at which the identity's rights change, in path
 * order, the first being "/".  Rights at a path: the node itself if listed
 * (exact), else its nearest listed ancestor (propagated); wire-protocol 6.2.
 */

#define GRANT_KEY_LEN 32
#define GRANT_NONCE_LEN 16
#define GRANT_LIFETIME_MS 60000 /* PROC_GRANT_MS */
#define GRANT_NODES_MAX 1024

enum grant_purpose {
	GRANT_PURPOSE_BACKUP = 1,
	GRANT_PURPOSE_READER = 2,
	GRANT_PURPOSE_CALL = 3,
};

struct grant_node {
	char path[IPC_NS_MAX + 64]; /* "/datastore/s1/a/b" */
	uint32_t exact;
	uint32_t propagated;
};

struct grant {
	enum grant_purpose purpose;
	uint32_t pid;
	uint64_t expiry_ms;
	uint8_t nonce[GRANT_NONCE_LEN];
	char auth_id[IPC_AUTHID_MAX + 1];
	char subject[IPC_AUTHID_MAX + 1]; /* new owner, "" if inactive */
	char store[IPC_STORE_MAX + 1];    /* "" for all stores */
	char ns[IPC_NS_MAX + 1];
	size_t node_count;
	struct grant_node *nodes; /* owned; NULL if none */
};

/* Seals g into out (at most IPC_GRANT_MAX bytes).  ERR_LIMIT if it has too
 * many nodes to fit. */
int grant_seal(const struct grant *g, const uint8_t key[GRANT_KEY_LEN],
    uint8_t *out, size_t out_max, size_t *len_out, struct err *e);

/* Opens a sealed grant: checks the HMAC first (constant time), then
 * everything else; then pid, purpose and expiry (now_ms on the same clock).
 * Fails with ERR_PERM; the text says which check, never a secret.  On
 * success the caller ends with grant_fini(). */
int grant_open(struct grant *g, const uint8_t key[GRANT_KEY_LEN],
    const uint8_t *data, size_t len, uint32_t pid, enum grant_purpose purpose,
    uint64_t now_ms, struct err *e);
void grant_fini(struct grant *g);

/* Privileges at an ACL path ("/datastore/s1/a"). */
uint32_t grant_privs(const struct grant *g, const char *acl_path);
/* Privileges at a namespace of a store; ns "" is the root namespace. */
uint32_t grant_privs_ns(const struct grant *g, const char *store,
    const char *ns);
/* 1 if any node below the store's path (or the path itself) has any of
 * these privileges. */
int grant_any_below(const struct grant *g, const char *store, uint32_t privs);

/* Grants already used, so that none is used twice while it lives.  Returns
 * -1 with ERR_PERM on a replay; forgets expired ones; bounded. */
struct grant_seen;
struct grant_seen *grant_seen_new(void);
void grant_seen_free(struct grant_seen *s);
int grant_seen_add(struct grant_seen *s, const struct grant *g, uint64_t now_ms,
    struct err *e);

/* Reads the grant key file (32 bytes, not readable by others), or makes it
 * if it does not exist: mode 0640, group holdfast-grant if we are root and
 * that group exists.  Two processes may race: one key wins. */
int grant_key_load(const char *path, uint8_t key[GRANT_KEY_LEN], struct err *e);

#endif
