#ifndef VALIDATOR_CONTROL_INT_H
#define VALIDATOR_CONTROL_INT_H

/*
 * For control.c (connections, answers), control_cmds.c (the commands) and
 * control_gc.c, control_verify.c and control_schedule.c (those on jobs), and
 * control_close.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/format/upid.h"
#include "validator/store/threads.h"

struct control_peer;
struct json;
struct validator;

/* A request; may outlive its peer's connection. */
struct control_req {
	struct store_job job; /* first: a job is its request */
	struct store_flow flow;
	struct control_peer *peer;
	struct validator *v;
	uint64_t seq;
	char *args; /* "key=value" NUL ... */
	size_t args_len;
	unsigned int pending;
	struct json *list; /* being filled */
	struct upid upid;
	bool active;
	char **running;
	size_t nrunning;
	uint64_t total;
	int rv;
	struct err err;
};

/* Both answer, and free the request. */
void control_fail(struct control_req *r, const struct err *why);
void control_reply(struct control_req *r, struct json *obj); /* takes obj */

/* An argument: lent, NULL if it was not given. */
const char *control_arg(const struct control_req *r, const char *key);
const char *control_arg_need(const struct control_req *r, const char *key,
    struct err *e);
int control_arg_u64(const struct control_req *r, const char *key, uint64_t def,
    uint64_t *out, struct err *e);

void control_datastore_close(struct control_req *r);
void control_gc_start(struct control_req *r);
void control_gc_status(struct control_req *r);
void control_verify(struct control_req *r);
void control_schedule_list(struct control_req *r);

struct control_cmd {
	const char *name; /* NULL ends the table */
	/* In the loop: answers, now or after work in a thread. */
	void (*run)(struct control_req *r);
	bool reads; /* changes nothing: not worth a line in the log */
};
extern const struct control_cmd control_cmds[];

#endif
