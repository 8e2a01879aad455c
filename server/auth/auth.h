#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "server/auth/instance_id.h"
#include "server/server_conf.h"

struct accounts;
struct audit;
struct control_peer;
struct err;
struct event_base;
struct grant_node;
struct guess_delay;
struct hasher_pool;
struct ipc;
struct json;
struct lmdb_txn;
struct secrets;
struct tls_identity;
struct worker_peer;

/* For the files of holdfast-auth only: what they share. */

#define AUTH_PROTO_VERSION 1
#define AUTH_CONTROLS_MAX 64

LIST_HEAD(worker_peers, worker_peer);
LIST_HEAD(control_peers, control_peer);

struct auth {
	struct event_base *base;
	const char *conf_path;
	struct server_conf conf;
	struct accounts *accounts;
	struct audit *audit;
	struct secrets *secrets;
	struct tls_identity *identity; /* for new connections */
	char instance_id[INSTANCE_ID_LEN + 1];
	struct hasher_pool *hashers;
	struct guess_delay *guesses;
	uid_t worker_uid; /* whose connections are workers */
	uid_t start_uid;  /* as which we were started */
	gid_t admin_gid;  /* may use the control socket; -1 for none */
	int64_t started;
	struct worker_peers workers;
	struct peer_processes *processes; /* of these */
	struct control_peers controls;
	size_t worker_count;
	size_t control_count;
};

/* worker_peer.c, control.c: a new connection on their socket; take fd. */
void worker_peer_accepted(void *ctx, int fd);
void control_accepted(void *ctx, int fd);
/* All connections, at the end. */
void worker_peers_free(struct auth *a);
void controls_free(struct auth *a);

/* rights.c: what an identity may do, for a store and namespace as acl_nodes()
 * has them; the caller's (free()). */
int rights_load(struct auth *a, struct lmdb_txn *t, const char *auth_id,
    const char *store, const char *ns, struct grant_node **nodes_out,
    size_t *count_out, struct err *e);
/* Privileges of an identity at one path. */
int rights_at(struct auth *a, struct lmdb_txn *t, const char *auth_id,
    const char *path, uint32_t *privs_out, struct err *e);

/* password_rules.c: may this be a new password? ERR_PARAM. */
#define PASSWORD_MIN 8
#define PASSWORD_MAX 64
int password_rules_check(const void *password, size_t len, struct err *e);

/* view.c: accounts as JSON.  The results are the caller's. */
#define VIEW_F_TOKENS 0x1u   /* users with their tokens */
#define VIEW_F_OPERATOR 0x2u /* whether there is a password */
#define VIEW_F_SECRETS 0x4u  /* hashes, salts, digests: for export */
struct json *view_users(struct auth *a, struct lmdb_txn *t,
    const char *only_user, unsigned int flags, struct err *e);
struct json *view_tokens(struct auth *a, struct lmdb_txn *t,
    const char *only_user, unsigned int flags, struct err *e);
struct json *view_acl(struct auth *a, struct lmdb_txn *t, const char *auth_id,
    const char *path, struct err *e);
struct json *view_roles(void);
/* {"/": {"Datastore.Audit": true}, ...}: privilege -> propagates; path NULL
 * for all paths at which rights change. */
struct json *view_permissions(struct auth *a, struct lmdb_txn *t,
    const char *auth_id, const char *path, struct err *e);

/* transfer.c: all accounts into one JSON object, and back. */
struct json *transfer_export(struct auth *a, struct err *e);
/* Adds and replaces what the object names; all or nothing.  dry_run: only
 * checks.  counts_out: object with the numbers of "users", "tokens", "acl". */
int transfer_import(struct auth *a, const struct json *all, int dry_run,
    struct json *counts_out, struct err *e);

/* reply.c: JSON in a sealed memory file. */
int reply_json(struct ipc *c, uint16_t type, uint64_t seq, const struct json *j,
    struct err *e);

#endif
