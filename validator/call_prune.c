/*
 * Pruning of a group, or of all groups of a namespace and below
 * (wire-protocol 3.4, datastore-format 6.8).  Runs in the validator's loop,
 * listing and removing in the store's threads.  Locks are taken for what is
 * to be removed only; what is in use stays, with a warning in the task's log.
 */
#include "config.h"

#include "validator/call_int.h"
#include "validator/prune.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "common/format/prune.h"
#include "validator/store/group.h"
#include "validator/store/namespace.h"
#include "validator/store/record_file.h"
#include "validator/store/snapshot.h"
#include "validator/task.h"
#include "validator/validator.h"

#define PRUNE_SNAPS_MAX 1000000u
#define PRUNE_F_DRY 1u
#define PRUNE_F_TASK 2u /* the answer is the task, which goes on */

struct prune_snap {
	struct backup_ns ns;
	struct backup_snapshot snap;
	enum prune_mark mark;
	bool is_protected;
	bool locked;
	bool failed;
	struct err err;
};

struct pruning {
	struct call *c;
	struct prune_rules rules;
	unsigned int max_depth;
	const char *type;                       /* of the task */
	char worker_id[UPID_WORKER_ID_MAX + 1]; /* of a job, else "" */
	struct prune_snap *snaps;               /* oldest first in each group */
	size_t n;
	struct err *e; /* of the listing */
	struct task *task;
	atomic_bool stopped; /* by the loop, seen between two snapshots */
};

static bool
is_dry(const struct call *c)
{
	return (c->m.flags & PRUNE_F_DRY) != 0;
}

/* --- 1. what goes --- */

static int
list_group(struct pruning *p, const struct backup_ns *ns,
    const struct backup_group *g)
{
	struct prune_item *items = NULL;
	struct prune_snap *s;
	struct snap_info *infos;
	size_t i, n;
	int rv = -1;

	if (snap_dir_list(p->c->vs->store, ns, g, &infos, &n, p->e) == -1)
		return -1;
	if (p->n + n > PRUNE_SNAPS_MAX) {
		err_set(p->e, ERR_LIMIT, "too many snapshots");
		goto out;
	}
	if (mem_grow(&items, n, sizeof(*items), p->e) == -1 ||
	    mem_grow(&p->snaps, p->n + n, sizeof(*p->snaps), p->e) == -1)
		goto out;
	for (i = 0; i < n; i++)
		items[i] = (struct prune_item){
		    .time = infos[i].time,
		    .finished = infos[i].finished,
		    .is_protected = infos[i].is_protected,
		};
	prune_mark_group(&p->rules, items, n);
	for (i = n; i-- > 0;) {
		s = &p->snaps[p->n++];
		memset(s, 0, sizeof(*s));
		s->ns = *ns;
		s->snap.group = *g;
		s->snap.time = items[i].time;
		s->mark = items[i].mark;
		s->is_protected = items[i].is_protected;
	}
	rv = 0;
out:
	free(infos);
	free(items);
	return rv;
}

/* Which groups of a whole namespace: with Prune alone only one's own. */
static bool
group_wanted(struct pruning *p, const struct backup_ns *ns,
    const struct backup_group *g)
{
	uint32_t privs = grant_privs_ns(&p->c->grant, p->c->m.store, ns->name);
	char owner[AUTH_ID_MAX + 1];

	if (p->c->is_own || (privs & PRIV_DATASTORE_MODIFY) != 0)
		return true;
	return (privs & PRIV_DATASTORE_PRUNE) != 0 &&
	    group_owner_get(p->c->vs->store, ns, g, owner, NULL) == 0 &&
	    call_owns(p->c, owner);
}

static int
list_namespace(void *ctx, const struct backup_ns *ns)
{
	struct pruning *p = ctx;
	struct backup_group *groups;
	size_t i, n;
	int rv = 0;

	if (group_dir_list(p->c->vs->store, ns, &groups, &n, p->e) == -1)
		return -1;
	for (i = 0; i < n && rv == 0; i++)
		if (group_wanted(p, ns, &groups[i]))
			rv = list_group(p, ns, &groups[i]);
	free(groups);
	return rv;
}

static int
prune_list(struct call *c, struct err *e)
{
	struct pruning *p = c->state;

	p->e = e;
	if (c->row->op == CALL_PRUNE)
		return list_group(p, &c->ns, &c->snap.group);
	err_clear(e);
	if (ns_dir_each(c->vs->store, &c->ns, p->max_depth, list_namespace, p,
		e) == -1 ||
	    e->code != ERR_OK)
		return -1;
	return 0;
}

/* --- 3. gone --- */

static void
prune_record(struct call *c, const struct prune_snap *s)
{
	struct rec_PRUNE rec = {
	    .type = (uint8_t)s->snap.group.type,
	    .time = s->snap.time,
	    .keep = s->mark != PRUNE_REMOVE,
	    .protected = s->is_protected,
	};

	memcpy(rec.ns, s->ns.name, sizeof(rec.ns));
	memcpy(rec.id, s->snap.group.id, sizeof(rec.id));
	record_file_put_PRUNE(c->records, &rec);
}

static void
prune_answer(struct call *c)
{
	struct pruning *p = c->state;
	size_t i;

	c->rv = 0;
	if (c->records != NULL)
		for (i = 0; i < p->n; i++)
			prune_record(c, &p->snaps[i]);
	call_end(c);
}

static void
prune_done(struct call *c)
{
	struct pruning *p = c->state;
	char name[SNAPSHOT_STR_MAX + 1];
	struct err why = c->err;
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (!p->snaps[i].failed)
			continue;
		snapshot_to_str(&p->snaps[i].snap, name);
		task_warn(p->task, "failed to remove \"%s\": %s", name,
		    STR_VIS(p->snaps[i].err.msg));
	}
	if (c->rv == -1) {
		task_end(&p->task, &why);
		call_end(c);
		return;
	}
	task_end(&p->task, NULL);
	prune_answer(c);
}

static int
prune_remove(struct call *c, struct err *e)
{
	struct pruning *p = c->state;
	size_t i;

	for (i = 0; i < p->n; i++) {
		if (atomic_load(&p->stopped))
			return err_set(e, ERR_ABORTED, "task aborted");
		if (p->snaps[i].locked &&
		    snap_dir_remove(c->vs->store, &p->snaps[i].ns,
			&p->snaps[i].snap, &p->snaps[i].err) == -1)
			p->snaps[i].failed = true;
	}
	return 0;
}

/* --- 2. locks --- */

static void
prune_stop(void *arg)
{
	struct pruning *p = arg;

	atomic_store(&p->stopped, true);
}

static int
prune_start_task(struct call *c, struct err *e)
{
	struct pruning *p = c->state;
	char id[UPID_WORKER_ID_MAX + 1], group[GROUP_STR_MAX + 1];

	group_to_str(&c->snap.group, group);
	if (p->worker_id[0] != '\0')
		snprintf(id, sizeof(id), "%s", p->worker_id);
	else if (c->row->op != CALL_PRUNE)
		snprintf(id, sizeof(id), "%s", c->m.store);
	else if (c->ns.depth == 0)
		snprintf(id, sizeof(id), "%s:%s", c->m.store, group);
	else
		snprintf(id, sizeof(id), "%s:%s/%s", c->m.store, c->ns.name,
		    group);
	p->task = task_start(c->v->tasks, p->type, id, c->grant.auth_id, e);
	if (p->task == NULL)
		return -1;
	task_on_stop(p->task, prune_stop, p);
	snprintf(c->text, sizeof(c->text), "%s", task_upid(p->task));
	if (prune_rules_empty(&p->rules))
		task_log(p->task, "No prune selection - keeping all files.");
	return 0;
}

static void
prune_lock(struct call *c, struct prune_snap *s)
{
	struct pruning *p = c->state;
	char name[SNAPSHOT_STR_MAX + 1];

	snapshot_to_str(&s->snap, name);
	/* In the words of datastore-format 6.8. */
	if (c->row->op == CALL_PRUNE)
		task_log(p->task, "%s %s", name, prune_mark_str(s->mark));
	else
		task_log(p->task, "%s%s %s", is_dry(c) ? "would " : "",
		    prune_mark_str(s->mark), name);
	if (s->mark != PRUNE_REMOVE || is_dry(c))
		return;
	if (call_lock(c, LOCK_SNAP_EXCLUSIVE, &s->ns, &s->snap,
		"possibly running or in use", &s->err) == -1)
		s->failed = true;
	else
		s->locked = true;
}

static void
prune_listed(struct call *c)
{
	struct pruning *p = c->state;
	struct err e;
	size_t i;

	if (c->rv == -1) {
		call_end(c);
		return;
	}
	if (is_dry(c) && c->row->op == CALL_PRUNE) {
		prune_answer(c);
		return;
	}
	if (p->task == NULL && prune_start_task(c, &e) == -1) {
		call_fail(c, &e);
		return;
	}
	if ((c->m.flags & PRUNE_F_TASK) != 0 ||
	    c->row->op == CALL_PRUNE_STORE) {
		record_file_free(&c->records);
		call_answer_now(c);
	}
	for (i = 0; i < p->n; i++)
		prune_lock(c, &p->snaps[i]);
	call_submit(c, prune_remove, prune_done);
}

static struct pruning *
pruning_new(struct call *c)
{
	struct pruning *p = xcalloc(1, sizeof(*p));

	p->c = c;
	p->max_depth = NAMESPACE_DEPTH_MAX;
	p->type = "prune";
	c->state = p;
	return p;
}

static void
prune_begin(struct call *c)
{
	struct pruning *p = pruning_new(c);

	p->rules.last = c->m.n0;
	p->rules.hourly = c->m.n1;
	p->rules.daily = c->m.n2;
	p->rules.weekly = c->m.n3;
	p->rules.monthly = c->m.n4;
	p->rules.yearly = c->m.n5;
	if (c->row->op == CALL_PRUNE)
		c->records = record_file_new();
	else if (c->m.time > 0 && c->m.time <= NAMESPACE_DEPTH_MAX)
		p->max_depth = (unsigned int)c->m.time - 1;
	call_submit(c, prune_list, prune_listed);
}

static void
prune_fini(struct call *c)
{
	struct pruning *p = c->state;

	if (p == NULL)
		return;
	task_end(&p->task, &c->err);
	free(p->snaps);
	free(p);
}

/* The task is there at once, so that whoever started it can name it. */
int
prune_job_start(struct validator *v, struct vstore *vs,
    const struct prune_job *job, char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	static const struct call_row row = {
	    .op = CALL_PRUNE_STORE,
	    .flags = CALL_F_STORE | CALL_F_WRITES,
	    .fini = prune_fini,
	};
	struct call *c = call_new_own(v, vs, &row);
	struct pruning *p = pruning_new(c);

	c->ns = *job->ns;
	p->rules = *job->keep;
	p->max_depth = job->max_depth;
	p->type = "prunejob";
	snprintf(p->worker_id, sizeof(p->worker_id), "%s:%s", vs->conf->title,
	    job->name);
	if (prune_start_task(c, e) == -1) {
		call_fail(c, e);
		return -1;
	}
	snprintf(upid_out, IPC_UPID_MAX + 1, "%s", task_upid(p->task));
	call_submit(c, prune_list, prune_listed);
	return 0;
}

/* Of a whole namespace: each group is looked at by itself. */
static int
prune_store_rights(struct call *c, struct err *e)
{
	uint32_t privs = PRIV_DATASTORE_MODIFY | PRIV_DATASTORE_PRUNE;

	return (c->privs & privs) != 0 ? 0 : call_denied(c, privs, e);
}

const struct call_row call_prune_rows[] = {
    {.op = CALL_PRUNE,
	.flags = CALL_F_STORE | CALL_F_WRITES | CALL_F_GROUP,
	.begin = prune_begin,
	.fini = prune_fini},
    {.op = CALL_PRUNE_STORE,
	.flags = CALL_F_STORE | CALL_F_WRITES,
	.rights = prune_store_rights,
	.begin = prune_begin,
	.fini = prune_fini},
    {0},
};
