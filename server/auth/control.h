#ifndef SERVER_AUTH_CONTROL_H
#define SERVER_AUTH_CONTROL_H

#include <sys/queue.h>

#include <stddef.h>
#include <stdint.h>

#include "common/ipc_fields.h"

struct auth;
struct err;
struct hasher_job;
struct ipc;
struct json;

/*
 * The operator's commands on RUN/admin/auth.sock (channel CTL): for root, the
 * uid that started the server, and the admin group.  A request names a command
 * and "key=value" arguments; the reply is one JSON object in a sealed memory
 * file, or CTL_FAIL.  Times are Unix seconds.  The table of commands, with
 * their arguments, is control_cmds.def.
 */

#define CONTROL_ARGS_MAX 16

/* Arguments point into the received message. */
struct control_arg {
	const char *key;
	const char *value;
};

struct control_args {
	struct control_arg v[CONTROL_ARGS_MAX];
	size_t n;
};

/* One connection; one request at a time. */
struct control_peer {
	LIST_ENTRY(control_peer) entry;
	struct auth *auth;
	struct ipc *ipc;
	char who[32]; /* "uid=0", for the log */

	/* A request that waits for a hasher. */
	struct hasher_job *job;
	uint64_t job_seq;
	char job_user[IPC_AUTHID_MAX + 1];
	struct account_user *job_new; /* to be created; NULL: only a password */
};

/* What a handler gets, and where it puts its answer.  It returns 0 or -1; if
 * it set peer->job, the answer comes later. */
struct control_call {
	struct control_peer *peer;
	struct auth *auth;
	const struct control_args *args;
	struct json *reply; /* an empty object */
};

typedef int control_fn(struct control_call *c, struct err *e);

/* Splits "key=value" strings, each ended by NUL; ERR_PARAM. */
int control_args_parse(struct control_args *out, const char *data, size_t len,
    struct err *e);
/* All of required (names with blanks between), none but those and optional. */
int control_args_check(const struct control_args *args, const char *required,
    const char *optional, struct err *e);
/* The value, or NULL if it was not given. */
const char *control_arg(const struct control_args *args, const char *key);
/* 1 if it was given (out set), 0 if not, -1 with ERR_PARAM. */
int control_arg_bool(const struct control_args *args, const char *key, int *out,
    struct err *e);
int control_arg_i64(const struct control_args *args, const char *key,
    int64_t *out, struct err *e);

/* Tells the audit log of a command that waited; why NULL: done. */
void control_audit(const struct control_peer *p, const char *command,
    const char *userid, const struct err *why);
/* Answers a request that waited. */
void control_done(struct control_peer *p, uint64_t seq,
    const struct json *reply);
void control_failed(struct control_peer *p, uint64_t seq,
    const struct err *why);

#define CONTROL_CMD(name, required, optional, function) \
	control_fn control_##function;
#include "server/auth/control_cmds.def"
#undef CONTROL_CMD

#endif
