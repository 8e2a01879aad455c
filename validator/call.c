/*
 * Management calls: from the message to a thread and back (call.h).  Runs in
 * the validator's loop.  The message is a worker's: the grant in it is all
 * that is believed, names are parsed before use, data is copied.
 */
#include "config.h"

#include "validator/call_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/audit.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/format/auth_id.h"
#include "validator/peer.h"
#include "validator/session.h"
#include "validator/store/group.h"
#include "validator/store/record_file.h"
#include "validator/validator.h"

static const struct {
	unsigned int op;
	const char *name;
	struct call_rights rights;
} call_rights_table[] = {
#define CALL_OP(NAME, id, free, owner) {(id), #NAME, {(free), (owner)}},
#include "common/call_ops.def"
#undef CALL_OP
};

static const struct call_row *const call_tables[] = {
    call_store_rows,
    call_group_rows,
    call_snap_rows,
    call_prune_rows,
    call_gc_rows,
    call_task_rows,
    call_verify_rows,
};

int
call_rights_get(unsigned int op, struct call_rights *out)
{
	size_t i, n = sizeof(call_rights_table) / sizeof(call_rights_table[0]);

	for (i = 0; i < n; i++) {
		if (call_rights_table[i].op == op) {
			*out = call_rights_table[i].rights;
			return 0;
		}
	}
	return -1;
}

/* Each table ends with op 0. */
static const struct call_row *
call_row_get(unsigned int op)
{
	const struct call_row *row;
	size_t i;

	for (i = 0; i < sizeof(call_tables) / sizeof(call_tables[0]); i++)
		for (row = call_tables[i]; row->op != 0; row++)
			if ((unsigned int)row->op == op)
				return row;
	return NULL;
}

/* --- end --- */

/* That lock of it, or all of them. */
static void
free_locks(const struct call *c, enum lock_kind kind,
    const struct lock_target *only)
{
	struct lockdb_txn *t;
	struct err e;

	if (c->holder == 0)
		return;
	if (lockdb_begin(c->v->locks, true, &t, &e) == 0) {
		if (only != NULL)
			lockdb_unlock(t, kind, only, c->holder, NULL);
		else
			lockdb_unlock_all(t, c->holder, NULL);
		if (lockdb_commit(&t, &e) == 0)
			return;
	}
	log_err_e("call", &e, "cannot free locks holder=%016" PRIx64,
	    c->holder);
}

static void
call_free(struct call *c)
{
	if (c->row != NULL && c->row->fini != NULL)
		c->row->fini(c);
	free_locks(c, 0, NULL);
	if (c->peer != NULL)
		peer_remove_call(c->peer, c);
	record_file_free(&c->records);
	io_close(&c->raw_fd);
	io_close(&c->data_fd);
	free(c->data);
	grant_fini(&c->grant);
	vstore_unhold(c->vs);
	free(c);
}

static void
call_reply_file(struct call *c, int fd, uint64_t size)
{
	struct msg_CALL_RECORDS m = {
	    .size = size,
	    .n0 = c->n[0],
	    .n1 = c->n[1],
	    .n2 = c->n[2],
	};

	PEER_SEND(c->peer, CALL_RECORDS, 0, c->seq, &m, fd);
}

static void
call_reply(struct call *c)
{
	struct msg_CALL_REPLY m = {
	    .n0 = c->n[0],
	    .n1 = c->n[1],
	    .n2 = c->n[2],
	};
	uint64_t size;
	int fd;

	if (c->raw_fd != -1) {
		call_reply_file(c, c->raw_fd, c->raw_size);
	} else if (c->records == NULL) {
		memcpy(m.text, c->text, sizeof(m.text));
		PEER_SEND(c->peer, CALL_REPLY, 0, c->seq, &m, -1);
	} else if (record_file_finish(c->records, &fd, &size, &c->err) == -1) {
		peer_send_fail(c->peer, 0, c->seq, &c->err);
	} else {
		call_reply_file(c, fd, size);
		close(fd);
	}
}

static const char *
call_name(unsigned int op)
{
	size_t i, n = sizeof(call_rights_table) / sizeof(call_rights_table[0]);

	for (i = 0; i < n; i++)
		if (call_rights_table[i].op == op)
			return call_rights_table[i].name;
	return "unknown";
}

/* What changes something, and what somebody may not do. */
static void
call_audit(const struct call *c)
{
	char target[SNAPSHOT_STR_MAX + 1] = "";
	char value[24];

	if (c->row == NULL ||
	    (!(c->row->flags & CALL_F_WRITES) &&
		(c->rv == 0 || c->err.code != ERR_PERM)))
		return;
	if (c->row->flags & CALL_F_SNAP)
		snapshot_to_str(&c->snap, target);
	else if (c->row->flags & CALL_F_GROUP)
		group_to_str(&c->snap.group, target);
	snprintf(value, sizeof(value), "%" PRIu64, c->m.n0);
	audit_add(c->v->audit, "call", "call", call_name(c->m.op), "outcome",
	    c->rv == 0 ? "ok" : "refused", "reason",
	    c->rv == 0 ? NULL : c->err.msg, "auth-id", c->grant.auth_id,
	    "store", c->m.store, "ns", c->ns.name, "target", target, "name",
	    c->m.name, "value", value, NULL);
}

void
call_end(struct call *c)
{
	call_audit(c);
	/* Locks first: the client may come back at once. */
	free_locks(c, 0, NULL);
	c->holder = 0;
	if (c->rv == -1 && c->err.code == ERR_POISONED && c->vs != NULL)
		sessions_store_poisoned(c->v->sessions, c->vs, &c->err);
	if (c->peer != NULL && c->rv == -1)
		peer_send_fail(c->peer, 0, c->seq, &c->err);
	else if (c->peer != NULL)
		call_reply(c);
	call_free(c);
}

void
call_answer_now(struct call *c)
{
	if (c->peer == NULL)
		return;
	call_reply(c);
	peer_remove_call(c->peer, c);
	c->peer = NULL;
}

void
call_fail(struct call *c, const struct err *why)
{
	c->err = *why;
	c->rv = -1;
	call_end(c);
}

void
call_peer_gone(struct call *c)
{
	c->peer = NULL;
}

/* --- in threads --- */

bool
call_owns(const struct call *c, const char *owner)
{
	struct auth_id o, a;

	return auth_id_parse(&o, owner, NULL) == 0 &&
	    auth_id_parse(&a, c->grant.auth_id, NULL) == 0 &&
	    auth_id_owns(&o, &a);
}

static int
call_check_owner(struct call *c, struct err *e)
{
	char owner[AUTH_ID_MAX + 1];

	if (!c->owner_needed)
		return 0;
	if (group_owner_get(c->vs->store, &c->ns, &c->snap.group, owner, e) ==
	    -1)
		return -1;
	if (!call_owns(c, owner))
		return err_set(e, ERR_INVALID,
		    "backup owner check failed (%s != %s)", c->grant.auth_id,
		    owner);
	c->owner_needed = false;
	return 0;
}

int
call_read_data(struct call *c, size_t max, struct err *e)
{
	struct stat st;

	if (fstat(c->data_fd, &st) == -1)
		return err_errno(e, errno, "cannot read the call's data");
	if (!S_ISREG(st.st_mode) || st.st_size < 0 ||
	    (uint64_t)st.st_size > max)
		return err_set(e, ERR_LIMIT, "value is too long");
	c->data_len = (size_t)st.st_size;
	if ((c->data = malloc(c->data_len + 1)) == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the call's data");
	c->data[c->data_len] = '\0';
	return io_pread_full(c->data_fd, c->data, c->data_len, 0, e);
}

static void
call_run(struct store_job *job)
{
	struct call *c = (struct call *)job;

	if (call_check_owner(c, &c->err) == 0)
		c->rv = c->step_run(c, &c->err);
}

static void
call_done(struct store_job *job)
{
	struct call *c = (struct call *)job;

	c->step_done(c);
}

void
call_submit(struct call *c, int (*run)(struct call *c, struct err *e),
    void (*done)(struct call *c))
{
	c->rv = -1;
	err_set(&c->err, ERR_UNAVAILABLE, "validator ends");
	c->step_run = run;
	c->step_done = done;
	c->job.run = call_run;
	c->job.done = call_done;
	store_job_submit(&c->flow, &c->job);
}

static int
call_nothing(struct call *c, struct err *e)
{
	(void)c;
	(void)e;
	return 0;
}

void
call_later(struct call *c, void (*done)(struct call *c))
{
	call_submit(c, call_nothing, done);
}

/* --- rights and locks --- */

int
call_denied(const struct call *c, uint32_t privs, struct err *e)
{
	char text[256];

	return err_set(e, ERR_PERM,
	    "permission check failed - missing %s on /datastore/%s%s%s",
	    privs_text(privs, text, sizeof(text)), c->m.store,
	    c->ns.depth > 0 ? "/" : "", c->ns.name);
}

static int
call_check_rights(struct call *c, struct err *e)
{
	struct call_rights r;

	if (call_rights_get((unsigned int)c->row->op, &r) == -1)
		return err_set(e, ERR_INTERNAL, "call without rights");
	if (c->row->rights != NULL)
		return c->row->rights(c, e);
	if (r.free == 0 && r.owner == 0)
		return 0;
	if (c->privs & r.free)
		return 0;
	if ((c->privs & r.owner) == 0)
		return call_denied(c, r.free | r.owner, e);
	c->owner_needed = true;
	return 0;
}

static struct lock_target
call_lock_target(const struct call *c, const struct backup_ns *ns,
    const struct backup_snapshot *snap)
{
	return (struct lock_target){
	    .store = c->vs->conf->title,
	    .ns = ns,
	    .group = &snap->group,
	    .time = snap->time,
	};
}

int
call_lock(struct call *c, enum lock_kind kind, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *text, struct err *e)
{
	struct lock_target target = call_lock_target(c, ns, snap);
	bool group = kind == LOCK_GROUP || kind == LOCK_GROUP_TREE;
	char name[SNAPSHOT_STR_MAX + 1], what[LOCKDB_WHAT_MAX];
	struct lock_info other = {0};
	struct lockdb_txn *t;

	if (c->holder == 0)
		c->holder = lockdb_new_id();
	snprintf(what, sizeof(what), "call by %s", c->grant.auth_id);
	if (lockdb_begin(c->v->locks, true, &t, e) == -1)
		return -1;
	if (lockdb_lock(t, kind, &target, c->holder, what, &other, e) == 0)
		return lockdb_commit(&t, e);
	lockdb_abort(&t);
	if (e->code != ERR_LOCKED)
		return -1;
	if (group)
		group_to_str(&snap->group, name);
	else
		snapshot_to_str(snap, name);
	return err_set(e, ERR_LOCKED,
	    "unable to acquire lock on %s directory \"%s\" - %s (%s, session "
	    "%016" PRIx64 ")",
	    group ? "backup group" : "snapshot", name, text, other.what,
	    other.holder);
}

void
call_unlock(struct call *c, enum lock_kind kind, const struct backup_ns *ns,
    const struct backup_snapshot *snap)
{
	struct lock_target target = call_lock_target(c, ns, snap);

	free_locks(c, kind, &target);
}

/* --- the message --- */

static int
call_parse_names(struct call *c, struct err *e)
{
	const struct msg_CALL *m = &c->m;
	unsigned int flags = c->row->flags;
	const char *type;

	if (ns_parse(&c->ns, m->ns, e) == -1)
		return -1;
	if ((flags & CALL_F_STORE) && !datastore_name_valid(m->store))
		return err_set(e, ERR_PARAM, "not a datastore");
	if ((flags & (CALL_F_GROUP | CALL_F_SNAP)) == 0)
		return 0;
	if (m->type >= BACKUP_TYPE_COUNT)
		return err_set(e, ERR_PARAM, "not a backup type");
	type = backup_type_str((enum backup_type)m->type);
	if (flags & CALL_F_SNAP)
		return snapshot_set(&c->snap, type, m->id, m->time, e);
	return group_set(&c->snap.group, type, m->id, e);
}

static int
call_parse_grant(struct call *c, struct peer *p, struct err *e)
{
	uint64_t now = io_boottime_ms();
	struct backup_ns top;

	if (grant_open(&c->grant, c->v->grant_key, c->m.grant, c->m.grant_len,
		(uint32_t)peer_pid(p), GRANT_PURPOSE_CALL, now, e) == -1 ||
	    grant_seen_add(c->v->grants, &c->grant, now, e) == -1)
		return -1;
	/* A grant carries the rights in all stores, or in one from a
	 * namespace down; it says nothing of what is beside. */
	if (c->grant.store[0] != '\0' &&
	    (strcmp(c->grant.store, c->m.store) != 0 ||
		ns_parse(&top, c->grant.ns, e) == -1 ||
		!ns_contains(&top, &c->ns)))
		return err_set(e, ERR_PERM, "grant is for another datastore");
	if (c->m.store[0] != '\0')
		c->privs = grant_privs_ns(&c->grant, c->m.store, c->ns.name);
	return 0;
}

static int
call_prepare(struct call *c, struct peer *p, struct err *e)
{
	unsigned int flags;

	c->row = call_row_get(c->m.op);
	if (c->row == NULL)
		return err_set(e, ERR_UNSUPPORTED, "call is not supported");
	flags = c->row->flags;
	if (call_parse_names(c, e) == -1 || call_parse_grant(c, p, e) == -1 ||
	    call_check_rights(c, e) == -1)
		return -1;
	if (((flags & CALL_F_DATA) != 0) != (c->data_fd != -1))
		return err_set(e, ERR_PARAM, "call comes without its data");
	if (flags & CALL_F_STORE) {
		if (validator_store_use(c->v, c->m.store,
			(flags & CALL_F_WRITES) != 0, &c->vs, e) == -1)
			return -1;
		vstore_hold(c->vs);
		store_flow_init(&c->flow, c->vs->pool, STORE_CLASS_IO, 1);
	} else {
		store_flow_init(&c->flow, c->v->local_pool, STORE_CLASS_IO, 1);
	}
	if (flags & CALL_F_RECORDS)
		c->records = record_file_new();
	return 0;
}

static void
call_go(struct call *c)
{
	struct err e;

	if ((c->row->flags & CALL_F_LOCK) &&
	    call_lock(c, c->row->lock, &c->ns, &c->snap, c->row->lock_text,
		&e) == -1) {
		call_fail(c, &e);
		return;
	}
	if (c->row->begin != NULL)
		c->row->begin(c);
	else
		call_submit(c, c->row->run, call_end);
}

static void
call_owner_checked(struct call *c)
{
	if (c->rv == -1)
		call_end(c);
	else
		call_go(c);
}

/* Who is not the owner must not even take a lock for a moment: that would
 * disturb the owner. */
static void
call_begin(struct call *c)
{
	if (c->owner_needed && (c->row->flags & CALL_F_LOCK))
		call_later(c, call_owner_checked);
	else
		call_go(c);
}

struct call *
call_new_own(struct validator *v, struct vstore *vs, const struct call_row *row)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->v = v;
	c->vs = vs;
	vstore_hold(vs);
	c->row = row;
	c->m.op = (uint16_t)row->op;
	c->is_own = true;
	c->data_fd = c->raw_fd = -1;
	snprintf(c->m.store, sizeof(c->m.store), "%s", vs->conf->title);
	snprintf(c->grant.auth_id, sizeof(c->grant.auth_id), "%s",
	    CALL_OWN_AUTH_ID);
	store_flow_init(&c->flow, vs->pool, STORE_CLASS_IO, 1);
	return c;
}

static int
call_start(struct peer *p, struct ipc_msg *m, const struct msg_CALL *msg,
    int data_fd)
{
	struct call *c;
	struct err e;
	int rv;

	if (peer_ncalls(p) >= PEER_CALLS_MAX) {
		io_close(&data_fd);
		return err_set(&m->err, ERR_PROTO, "too many calls");
	}
	c = xcalloc(1, sizeof(*c));
	c->v = peer_validator(p);
	c->peer = p;
	c->seq = m->seq;
	c->m = *msg;
	c->data_fd = data_fd;
	c->raw_fd = -1;
	peer_add_call(p, c);
	rv = call_prepare(c, p, &e);
	c->m.grant = NULL; /* was lent */
	c->m.grant_len = 0;
	if (rv == -1)
		call_fail(c, &e);
	else
		call_begin(c);
	return 0;
}

int
val_on_call(void *ctx, struct ipc_msg *m)
{
	struct msg_CALL msg;

	if (PEER_GET(m, CALL, &msg) == -1)
		return -1;
	return call_start(ctx, m, &msg, -1);
}

int
val_on_call_data(void *ctx, struct ipc_msg *m)
{
	struct msg_CALL_DATA d;
	struct msg_CALL msg = {0};
	struct wire_r again = m->body;
	int fd = m->fds[0];

	/* The same fields under two names: read them as CALL's. */
	if (PEER_GET(m, CALL_DATA, &d) == -1)
		return -1;
	if (msg_get_CALL(&again, &msg) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed CALL_DATA");
	m->fds[0] = -1;
	return call_start(ctx, m, &msg, fd);
}
