/*
 * Pruning of a group, or of all groups of a namespace and below
 * (wire-protocol 3.4, datastore-format 6.8).  Runs in the validator's loop,
 * listing and removing in the store's threads.  Groups are listed one after
 * the other, and of each one snapshot at a time is locked, removed and
 * unlocked: however many there are, others find room in the lock database and
 * the loop goes on.  What is in use stays, with a warning in the task's log.
 */
#include "config.h"

#include "validator/call_int.h"
#include "validator/prune.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "common/format/prune.h"
#include "validator/forget.h"
#include "validator/store/group.h"
#include "validator/store/namespace.h"
#include "validator/store/record_file.h"
#include "validator/store/snapshot.h"
#include "validator/task.h"
#include "validator/validator.h"

#define PRUNE_F_DRY 1u
#define PRUNE_F_TASK 2u /* the answer is the task, which goes on */
#define PRUNE_TURN 256u /* snapshots that stay, in one turn of the loop */

struct pruning {
	struct call *c;
	struct prune_rules rules;
	unsigned int max_depth;
	const char *type;                       /* of the task */
	char worker_id[UPID_WORKER_ID_MAX + 1]; /* of a job, else "" */
	bool is_job;                            /* the datastore's only one */
	struct task *task;
	bool stopped;

	/* Where it is, and what comes: snapshots of this group, groups of
	 * this namespace, other namespaces. */
	struct backup_ns ns;
	struct backup_snapshot snap;
	struct prune_item *items; /* newest first; the last one comes next */
	size_t nitems;
	int64_t *gone; /* of this group */
	size_t ngone;
	struct backup_group *groups;
	size_t ngroups, next_group;
	struct backup_ns *spaces;
	size_t nspaces, next_space;

	bool removed; /* by the last step, or err */
	bool emptied; /* it was the group's last one */
	struct err err;
};

static bool
is_dry(const struct call *c)
{
	return (c->m.flags & PRUNE_F_DRY) != 0;
}

/* --- in threads --- */

static int
list_snapshots(struct call *c, struct err *e)
{
	struct pruning *p = c->state;
	struct snap_info *infos;
	size_t i, n;
	int rv;

	if (snap_dir_list(c->vs->store, &p->ns, &p->snap.group, &infos, &n,
		e) == -1)
		return -1;
	rv = mem_grow(&p->items, n, sizeof(*p->items), e);
	if (rv == 0)
		rv = mem_grow(&p->gone, n, sizeof(*p->gone), e);
	if (rv == 0) {
		for (i = 0; i < n; i++)
			p->items[i] = (struct prune_item){
			    .time = infos[i].time,
			    .finished = infos[i].finished,
			    .is_protected = infos[i].is_protected,
			};
		p->nitems = n;
		prune_mark_group(&p->rules, p->items, n);
	}
	free(infos);
	return rv;
}

/* Which groups of a whole namespace: with Prune alone only one's own. */
static bool
group_wanted(struct pruning *p, const struct backup_group *g)
{
	uint32_t privs =
	    grant_privs_ns(&p->c->grant, p->c->m.store, p->ns.name);
	char owner[AUTH_ID_MAX + 1];

	if (p->c->is_own || (privs & PRIV_DATASTORE_MODIFY) != 0)
		return true;
	return (privs & PRIV_DATASTORE_PRUNE) != 0 &&
	    group_owner_get(p->c->vs->store, &p->ns, g, owner, NULL) == 0 &&
	    call_owns(p->c, owner);
}

static int
list_groups(struct call *c, struct err *e)
{
	struct pruning *p = c->state;
	size_t i, n;

	free(p->groups);
	p->groups = NULL;
	p->ngroups = p->next_group = 0;
	if (group_dir_list(c->vs->store, &p->ns, &p->groups, &n, e) == -1)
		return e->code == ERR_NO_NAMESPACE ? 0 : -1;
	for (i = 0; i < n; i++)
		if (group_wanted(p, &p->groups[i]))
			p->groups[p->ngroups++] = p->groups[i];
	return 0;
}

static int
add_space(void *ctx, const struct backup_ns *ns)
{
	struct pruning *p = ctx;

	if (mem_grow(&p->spaces, p->nspaces + 1, sizeof(*p->spaces), &p->err) ==
	    -1)
		return -1;
	p->spaces[p->nspaces++] = *ns;
	return 0;
}

static int
list_spaces(struct call *c, struct err *e)
{
	struct pruning *p = c->state;
	int rv;

	if (ns_dir_check(c->vs->store, &c->ns, e) == -1)
		return -1;
	err_clear(&p->err);
	rv = ns_dir_each(c->vs->store, &c->ns, p->max_depth, add_space, p, e);
	if (p->err.code != ERR_OK)
		*e = p->err;
	return rv;
}

static int
remove_empty_group(struct call *c, struct err *e)
{
	struct pruning *p = c->state;

	return group_dir_remove_empty(c->vs->store, &p->ns, &p->snap.group, e);
}

static int
remove_snapshot(struct call *c, struct err *e)
{
	struct pruning *p = c->state;

	(void)e;
	p->removed =
	    snap_dir_remove(c->vs->store, &p->ns, &p->snap, &p->err) == 0;
	p->emptied = p->removed &&
	    group_dir_is_empty(c->vs->store, &p->ns, &p->snap.group, NULL) == 1;
	return 0;
}

/* --- one snapshot --- */

static void
prune_record(struct call *c, const struct prune_item *s)
{
	const struct pruning *p = c->state;
	struct rec_PRUNE rec = {
	    .type = (uint8_t)p->snap.group.type,
	    .time = s->time,
	    .keep = s->mark != PRUNE_REMOVE,
	    .protected = s->is_protected,
	};

	memcpy(rec.ns, p->ns.name, sizeof(rec.ns));
	memcpy(rec.id, p->snap.group.id, sizeof(rec.id));
	record_file_put_PRUNE(c->records, &rec);
}

/* In the words of datastore-format 6.8. */
static void
prune_say(struct call *c, const struct prune_item *s)
{
	struct pruning *p = c->state;
	char name[SNAPSHOT_STR_MAX + 1];

	if (c->records != NULL)
		prune_record(c, s);
	snapshot_to_str(&p->snap, name);
	if (c->row->op == CALL_PRUNE)
		task_log(p->task, "%s %s", name, prune_mark_str(s->mark));
	else
		task_log(p->task, "%s%s %s", is_dry(c) ? "would " : "",
		    prune_mark_str(s->mark), name);
}

static void
prune_warn(struct pruning *p, const struct err *why)
{
	char name[SNAPSHOT_STR_MAX + 1];

	snapshot_to_str(&p->snap, name);
	task_warn(p->task, "failed to remove \"%s\": %s", name,
	    STR_VIS(why->msg));
}

static void prune_go_on(struct call *c);

static void
snapshot_removed(struct call *c)
{
	struct pruning *p = c->state;

	call_unlock(c, LOCK_SNAP_EXCLUSIVE, &p->ns, &p->snap);
	if (c->rv == 0 && p->removed)
		p->gone[p->ngone++] = p->snap.time;
	else if (c->rv == 0)
		prune_warn(p, &p->err);
	prune_go_on(c);
}

/* Up to the next one that is to be removed; not too many at once. */
static void
prune_some(struct call *c)
{
	struct pruning *p = c->state;
	const struct prune_item *s;
	unsigned int n;
	struct err e;

	for (n = 0; n < PRUNE_TURN && p->nitems > 0; n++) {
		s = &p->items[--p->nitems];
		p->snap.time = s->time;
		prune_say(c, s);
		if (s->mark != PRUNE_REMOVE || is_dry(c))
			continue;
		if (call_lock(c, LOCK_SNAP_EXCLUSIVE, &p->ns, &p->snap,
			"possibly running or in use", &e) == 0) {
			call_submit(c, remove_snapshot, snapshot_removed);
			return;
		}
		prune_warn(p, &e);
	}
	call_later(c, prune_go_on);
}

/* --- from one to the next --- */

static void
prune_forget(struct call *c)
{
	struct pruning *p = c->state;

	forget_verified(c->v, c->vs->conf->title, &p->ns, &p->snap.group,
	    p->gone, p->ngone);
	p->ngone = 0;
}

static void
prune_end(struct call *c)
{
	struct pruning *p = c->state;
	struct err why = c->err;

	/* First the task: who gets the answer may look at it. */
	task_end(&p->task, c->rv == -1 ? &why : NULL);
	call_end(c);
}

/* A group that vanished meanwhile has nothing to be pruned; one that cannot be
 * read is no reason to leave the others. */
static void
snapshots_listed(struct call *c)
{
	struct pruning *p = c->state;
	char name[GROUP_STR_MAX + 1];

	if (c->rv == -1 && c->err.code != ERR_UNAVAILABLE) {
		c->rv = 0;
		group_to_str(&p->snap.group, name);
		if (c->err.code != ERR_NOT_FOUND)
			task_warn(p->task, "cannot list \"%s\": %s", name,
			    STR_VIS(c->err.msg));
	}
	prune_go_on(c);
}

static void
empty_group_removed(struct call *c)
{
	struct pruning *p = c->state;
	char name[GROUP_STR_MAX + 1];

	call_unlock(c, LOCK_GROUP, &p->ns, &p->snap);
	if (c->rv == -1 && c->err.code != ERR_UNAVAILABLE) {
		c->rv = 0;
		group_to_str(&p->snap.group, name);
		if (c->err.code != ERR_NOT_FOUND)
			task_warn(p->task, "cannot remove empty \"%s\": %s",
			    name, STR_VIS(c->err.msg));
	}
	prune_go_on(c);
}

/* The last snapshots may have been forgotten while others were removed: true
 * if it looks, and then goes on.  Not while a backup is on its way; and one
 * that begins finds the group locked only if nothing is left in it. */
static bool
prune_end_group(struct call *c)
{
	struct pruning *p = c->state;
	bool emptied = p->emptied;
	struct err e;

	p->emptied = false;
	prune_forget(c);
	if (!emptied || c->rv == -1 ||
	    call_lock(c, LOCK_GROUP, &p->ns, &p->snap, "in use", &e) == -1)
		return false;
	call_submit(c, remove_empty_group, empty_group_removed);
	return true;
}

static void
prune_go_on(struct call *c)
{
	struct pruning *p = c->state;

	if ((p->nitems == 0 || c->rv == -1 || p->stopped) && prune_end_group(c))
		return;
	if (c->rv == 0 && p->stopped)
		c->rv = err_set(&c->err, ERR_ABORTED, "task aborted");
	if (c->rv == -1) {
		prune_end(c);
	} else if (p->nitems > 0) {
		prune_some(c);
	} else if (p->next_group < p->ngroups) {
		p->snap.group = p->groups[p->next_group++];
		call_submit(c, list_snapshots, snapshots_listed);
	} else if (p->next_space < p->nspaces) {
		p->ns = p->spaces[p->next_space++];
		call_submit(c, list_groups, prune_go_on);
	} else {
		prune_end(c);
	}
}

/* --- its begin --- */

static void
prune_stop(void *arg)
{
	struct pruning *p = arg;

	p->stopped = true;
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

/* There is something to look at. */
static void
prune_listed(struct call *c)
{
	struct pruning *p = c->state;
	struct err e;

	if (c->rv == -1) {
		call_end(c);
		return;
	}
	if (c->row->op == CALL_PRUNE && is_dry(c)) {
		prune_go_on(c);
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
	prune_go_on(c);
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
	if (c->m.time > 0 && c->m.time <= NAMESPACE_DEPTH_MAX)
		p->max_depth = (unsigned int)c->m.time - 1;
	if (c->row->op == CALL_PRUNE) {
		c->records = record_file_new();
		p->ns = c->ns;
		p->snap.group = c->snap.group;
		call_submit(c, list_snapshots, prune_listed);
	} else {
		call_submit(c, list_spaces, prune_listed);
	}
}

static void
prune_fini(struct call *c)
{
	struct pruning *p = c->state;

	if (p == NULL)
		return;
	task_end(&p->task, &c->err);
	if (p->is_job)
		c->vs->prune_job = false;
	free(p->items);
	free(p->gone);
	free(p->groups);
	free(p->spaces);
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
	struct call *c;
	struct pruning *p;

	if (vs->prune_job)
		return err_set(e, ERR_LOCKED,
		    "another prune job of this datastore is already running");
	c = call_new_own(v, vs, &row);
	p = pruning_new(c);
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
	vs->prune_job = p->is_job = true;
	call_submit(c, list_spaces, prune_listed);
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
