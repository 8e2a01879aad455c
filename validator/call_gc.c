/*
 * Calls on garbage collection (wire-protocol 3.2).  Runs in the validator's
 * loop; the work is a job's (validator/jobs/gc.h).
 */
#include "config.h"

#include "validator/call_int.h"

#include "validator/jobs/gc.h"
#include "validator/validator.h"

static void
gc_start_begin(struct call *c)
{
	char upid[IPC_UPID_MAX + 1];
	struct err e;

	if (gc_start(c->v, c->vs, c->grant.auth_id, false, upid, &e) == -1) {
		call_fail(c, &e);
		return;
	}
	snprintf(c->text, sizeof(c->text), "%s", upid);
	c->rv = 0;
	call_end(c);
}

const struct call_row call_gc_rows[] = {
    {.op = CALL_GC_START,
	.flags = CALL_F_STORE | CALL_F_WRITES,
	.begin = gc_start_begin},
    {0},
};
