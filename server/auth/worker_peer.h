#ifndef SERVER_AUTH_WORKER_PEER_H
#define SERVER_AUTH_WORKER_PEER_H

#include <sys/queue.h>

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ipc_fields.h"

struct auth;
struct hasher_job;
struct ipc;
struct ipc_msg;
struct json;
struct peer_process;
struct tls_identity;

/* For the files of holdfast-auth that answer workers: one connection. */
struct worker_peer {
	LIST_ENTRY(worker_peer) entry;
	struct auth *auth;
	struct ipc *ipc;
	struct tls_identity *identity;    /* as greeted with; a reference */
	struct peer_process *process;     /* that it is a connection of */
	char auth_id[IPC_AUTHID_MAX + 1]; /* of the last VERIFY, "" for none */

	/* One login or change of a password at a time. */
	struct hasher_job *job; /* NULL: none */
	uint64_t job_seq;
	char job_user[IPC_AUTHID_MAX + 1];
	char job_peer[IPC_PEER_MAX + 1];
};

/* Sends AUTH_FAIL; 0, or -1 with m->err if that failed. */
int worker_fail(struct worker_peer *p, uint64_t seq, enum err_code code,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A failed authentication: counts, logs, and answers ERR_AUTH with text, and
 * how long the worker shall let its client wait for that. */
int worker_fail_auth(struct worker_peer *p, uint64_t seq, const char *user,
    const char *peer, const char *text, const char *reason);
int worker_send(struct worker_peer *p, uint16_t type, uint64_t seq,
    const uint8_t *body, size_t len);

/* Connections on which the user of this one is known, with this one and those
 * of his tokens. */
unsigned int worker_count_of_user(const struct worker_peer *p);

/* Handlers of the rows WA, in login.c and access.c. */
int auth_on_login(void *ctx, struct ipc_msg *m);
int auth_on_verify(void *ctx, struct ipc_msg *m);
int auth_on_access_call(void *ctx, struct ipc_msg *m);

/* Wipes what lies in a received message, which is lent but ours. */
void worker_wipe(const uint8_t *secret, size_t len);

#endif
