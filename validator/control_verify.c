/*
 * The operator's command on verification.  Runs in the validator's loop.
 */
#include "config.h"

#include "validator/control_int.h"

#include "common/json.h"
#include "validator/jobs/verify.h"
#include "validator/validator.h"

#define OPERATOR "root@pam"

static int
parse_target(const struct control_req *r, struct verify_request *q,
    struct err *e)
{
	const char *group = control_arg(r, "group");
	const char *snap = control_arg(r, "snapshot");

	if (ns_parse(&q->ns, control_arg(r, "ns"), e) == -1)
		return -1;
	q->scope = VERIFY_SCOPE_NS;
	if (group != NULL && snap != NULL)
		return err_set(e, ERR_PARAM, "a group or a snapshot, not both");
	if (snap != NULL) {
		q->scope = VERIFY_SCOPE_SNAPSHOT;
		return snapshot_parse(&q->snap, snap, e);
	}
	if (group != NULL) {
		q->scope = VERIFY_SCOPE_GROUP;
		return group_parse(&q->snap.group, group, e);
	}
	return 0;
}

static int
parse_request(struct control_req *r, struct verify_request *q, struct err *e)
{
	const char *store = control_arg_need(r, "store", e);
	uint64_t depth;

	if (store == NULL ||
	    validator_store_use(r->v, store, 1, &q->vs, e) == -1 ||
	    parse_target(r, q, e) == -1 ||
	    control_arg_u64(r, "max-depth", NAMESPACE_DEPTH_MAX, &depth, e) ==
		-1 ||
	    control_arg_u64(r, "outdated-after", VERIFY_ALWAYS,
		&q->outdated_after, e) == -1)
		return -1;
	q->max_depth = depth > NAMESPACE_DEPTH_MAX ? NAMESPACE_DEPTH_MAX
						   : (unsigned int)depth;
	q->ignore_verified = control_arg(r, "ignore-verified") != NULL ||
	    q->outdated_after != VERIFY_ALWAYS;
	return 0;
}

void
control_verify(struct control_req *r)
{
	struct verify_request q = {.auth_id = OPERATOR};
	char upid[IPC_UPID_MAX + 1];
	struct json *o;
	struct err e;

	if (parse_request(r, &q, &e) == -1 ||
	    verify_start(r->v, &q, upid, &e) == -1) {
		control_fail(r, &e);
		return;
	}
	o = json_new_object();
	json_set_str(o, "upid", upid);
	control_reply(r, o);
}
