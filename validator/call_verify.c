/*
 * The call that starts a verification of a namespace and below, of a group or
 * of a snapshot.  Runs in the validator's loop.  With Datastore.Verify on the
 * namespace, or for the owner of the one group; what lies further down is
 * bounded by the caller's rights there (verify_serve.c).
 */
#include "config.h"

#include <string.h>

#include "validator/call_int.h"
#include "validator/jobs/verify.h"
#include "validator/store/group.h"
#include "validator/store/namespace.h"
#include "validator/store/snapshot.h"
#include "validator/validator.h"

static enum verify_scope
scope_of(const struct call *c)
{
	if (c->m.id[0] == '\0')
		return VERIFY_SCOPE_NS;
	return c->m.time == 0 ? VERIFY_SCOPE_GROUP : VERIFY_SCOPE_SNAPSHOT;
}

static int
parse_target(struct call *c, struct err *e)
{
	const char *type;

	if (scope_of(c) == VERIFY_SCOPE_NS && c->owner_needed)
		return call_denied(c, PRIV_DATASTORE_VERIFY, e);
	/* Half a name must not become a verification of everything. */
	if (scope_of(c) == VERIFY_SCOPE_NS
		? c->m.type != IPC_TYPE_ANY || c->m.time != 0
		: c->m.type >= BACKUP_TYPE_COUNT)
		return err_set(e, ERR_PARAM,
		    "parameters do not specify a backup group or snapshot");
	if (scope_of(c) == VERIFY_SCOPE_NS)
		return 0;
	type = backup_type_str((enum backup_type)c->m.type);
	if (scope_of(c) == VERIFY_SCOPE_GROUP)
		return group_set(&c->snap.group, type, c->m.id, e);
	return snapshot_set(&c->snap, type, c->m.id, c->m.time, e);
}

/* In a thread, behind the owner check: whether it is there. */
static int
find_target(struct call *c, struct err *e)
{
	char owner[AUTH_ID_MAX + 1];
	int there;

	if (ns_dir_check(c->vs->store, &c->ns, e) == -1)
		return -1;
	switch (scope_of(c)) {
	case VERIFY_SCOPE_NS:
		return 0;
	case VERIFY_SCOPE_GROUP:
		return group_owner_get(c->vs->store, &c->ns, &c->snap.group,
		    owner, e);
	case VERIFY_SCOPE_SNAPSHOT:
		break;
	}
	there = snap_dir_exists(c->vs->store, &c->ns, &c->snap, e);
	if (there == 0)
		return err_set(e, ERR_NOT_FOUND, "snapshot does not exist");
	return there == 1 ? 0 : -1;
}

static void
verify_go(struct call *c)
{
	char auth_id[IPC_AUTHID_MAX + 1];
	struct verify_request q = {
	    .vs = c->vs,
	    .scope = scope_of(c),
	    .ns = c->ns,
	    .snap = c->snap,
	    .max_depth = c->m.n1 > NAMESPACE_DEPTH_MAX ? NAMESPACE_DEPTH_MAX
						       : (unsigned int)c->m.n1,
	    .ignore_verified = (c->m.flags & 1) != 0,
	    .outdated_after = c->m.n0,
	    .auth_id = auth_id,
	    .grant = &c->grant,
	    .is_owner = (c->privs & PRIV_DATASTORE_VERIFY) == 0,
	};

	if (c->rv == 0) {
		memcpy(auth_id, c->grant.auth_id, sizeof(auth_id));
		c->rv = verify_start(c->v, &q, c->text, &c->err);
	}
	call_end(c);
}

static void
verify_begin(struct call *c)
{
	struct err e;

	if (parse_target(c, &e) == -1)
		call_fail(c, &e);
	else
		call_submit(c, find_target, verify_go);
}

const struct call_row call_verify_rows[] = {
    {.op = CALL_VERIFY_START,
	.flags = CALL_F_STORE | CALL_F_WRITES,
	.begin = verify_begin},
    {0},
};
