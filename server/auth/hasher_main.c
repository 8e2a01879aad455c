/*
 * holdfast-hasher: hashes passwords for auth, one at a time.  A program of its
 * own, so that the memory in which hostile passwords are handled has no key
 * and no account in it, and so that a loop never waits for a hash.  Runs as
 * holdfast-auth's uid, sealed to its one socket; ends with its parent.
 */
#include "config.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/proc.h"
#include "common/sandbox.h"
#include "server/auth/hasher.h"
#include "server/auth/password_hash.h"

#define SUB "hasher"
#define HASHER_IDLE_MS (60 * 60 * 1000)

static int hasher_on_hash_check(void *ctx, struct ipc_msg *m);
static int hasher_on_hash_make(void *ctx, struct ipc_msg *m);

#define HASHER_TO_HASHER(handler) hasher_on_##handler
#define HASHER_TO_AUTH(handler) NULL
#define IPC_ROW_AH(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, HASHER_##dir(handler), states, fds)
static const struct ipc_row hasher_rows[] = {
#include "common/msg_rows.h"
};

static const struct ipc_proto hasher_proto = {
    .name = "auth",
    .rows = hasher_rows,
    .nrows = sizeof(hasher_rows) / sizeof(hasher_rows[0]),
    .version = HASHER_PROTO_VERSION,
    .version_min = HASHER_PROTO_VERSION,
};

static int
hasher_reply(struct ipc_msg *m, const struct msg_HASHED *reply)
{
	uint8_t buf[MSG_MAX_HASHED];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	if (msg_put_HASHED(&w, reply) == -1)
		return err_set(&m->err, ERR_INTERNAL, "hash does not fit");
	return ipc_send(m->ipc, MSG_ID_HASHED, 0, m->seq, buf,
	    (size_t)wire_w_len(&w), &m->err);
}

/* In a received message, which is lent but ours. */
static void
wipe(const uint8_t *secret, size_t len)
{
	mem_wipe((void *)(uintptr_t)secret, len);
}

static int
hasher_on_hash_check(void *ctx, struct ipc_msg *m)
{
	struct msg_HASHED reply = {0};
	struct msg_HASH_CHECK req;

	(void)ctx;
	if (msg_get_HASH_CHECK(&m->body, &req) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed HASH_CHECK");
	reply.match = (uint8_t)password_hash_fits(req.password,
	    req.password_len, req.hash);
	wipe(req.password, req.password_len);
	return hasher_reply(m, &reply);
}

static int
hasher_on_hash_make(void *ctx, struct ipc_msg *m)
{
	struct msg_HASHED reply = {0};
	struct msg_HASH_MAKE req;

	(void)ctx;
	if (msg_get_HASH_MAKE(&m->body, &req) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed HASH_MAKE");
	if (password_hash_make(req.password, req.password_len, reply.hash) ==
	    -1)
		log_warn(SUB, "cannot hash a password");
	wipe(req.password, req.password_len);
	return hasher_reply(m, &reply);
}

static void
hasher_seal(void)
{
	struct err e;

	if (proc_harden(SIGKILL, &e) == -1 ||
	    sandbox_enter(SANDBOX_HASHER, NULL, 0, 0, &e) == -1) {
		log_err_e(SUB, &e, "cannot seal the process");
		exit(PROC_EXIT_SANDBOX);
	}
}

int
main(int argc, char **argv)
{
	struct ipc_cfg cfg = {
	    .proto = &hasher_proto,
	    .role = IPC_D_TO_HASHER,
	    .state = IPC_S_READY,
	};
	struct ipc_msg m;
	struct ipc *c;
	struct err e;

	proc_started_by("holdfast-auth", "holdfast-hasher", argc, argv);
	log_init("holdfast-hasher", LOG_F_INHERIT);
	proc_signals_init();
	c = ipc_new(PROC_FD_MAIN, &cfg, &e);
	if (c == NULL)
		fatal_e(SUB, &e, "not started by holdfast-auth");
	hasher_seal();
	for (;;) {
		if (ipc_recv(c, HASHER_IDLE_MS, &m, &e) == -1) {
			if (e.code == ERR_TIMEOUT)
				continue;
			break;
		}
		if (ipc_row_get(&hasher_proto, m.type)->handler(NULL, &m) ==
		    -1) {
			e = m.err;
			break;
		}
	}
	ipc_free(&c);
	if (e.code == ERR_ABORTED)
		return PROC_EXIT_OK; /* auth is gone */
	log_err_e(SUB, &e, "end");
	return PROC_EXIT_PROTO;
}
