/*
 * Calls on tasks (wire-protocol 7).  Runs in the validator's loop, reading of
 * files in the local pool's threads.  Who may see what is decided from the
 * UPID and the grant.
 */
#include "config.h"

#include "validator/call_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/mem.h"
#include "validator/store/record_file.h"
#include "validator/task.h"
#include "validator/task_read.h"
#include "validator/validator.h"

#define TASKS_PATH "/system/tasks"
/* More than the longest log of TASK_LOG_MAX with its numbers. */
#define TASK_LINES_MAX 4000000u

struct task_call {
	struct upid upid;
	bool active;
	/* Running tasks when the list was asked for. */
	char **running;
	size_t nrunning;
};

static bool
sees_all(const struct call *c, uint32_t privs)
{
	return (grant_privs(&c->grant, TASKS_PATH) & privs) != 0;
}

/* Who may start such a job on a store may look at what it does. */
static bool
sees_job(const struct call *c, const struct upid *u)
{
	static const struct {
		const char *type;
		uint32_t privs;
	} jobs[] = {
	    {"garbage_collection", PRIV_DATASTORE_MODIFY},
	    {"prunejob", PRIV_DATASTORE_MODIFY},
	    {"verificationjob", PRIV_DATASTORE_VERIFY},
	};
	char path[sizeof("/datastore/") + DATASTORE_NAME_MAX];
	size_t i, len = strcspn(u->worker_id, ":");

	if (len == 0 || len > DATASTORE_NAME_MAX)
		return false;
	snprintf(path, sizeof(path), "/datastore/%.*s", (int)len, u->worker_id);
	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		if (strcmp(jobs[i].type, u->type) == 0)
			return (grant_privs(&c->grant, path) & jobs[i].privs) !=
			    0;
	return false;
}

static void
task_fini(struct call *c)
{
	struct task_call *t = c->state;
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->nrunning; i++)
		free(t->running[i]);
	free(t->running);
	free(t);
}

/* --- TASK_LIST --- */

static void
list_add(void *arg, const char *upid, int64_t endtime, const char *status)
{
	struct call *c = arg;
	struct rec_TASK rec = {.endtime = endtime};

	snprintf(rec.upid, sizeof(rec.upid), "%s", upid);
	snprintf(rec.status, sizeof(rec.status), "%s", status);
	record_file_put_TASK(c->records, &rec);
}

static int
list_run(struct call *c, struct err *e)
{
	struct task_call *t = c->state;
	struct task_filter f = {
	    .start = c->m.n0,
	    .limit = c->m.n1,
	    .flags = c->m.flags,
	    .store = c->m.store,
	    .user = c->m.name,
	    .type = c->m.id,
	    .since = (int64_t)c->m.n2,
	    .until = (int64_t)c->m.n3,
	    .auth_id = sees_all(c, PRIV_SYS_AUDIT) ? NULL : c->grant.auth_id,
	};

	return task_list(tasks_dirfd(c->v->tasks),
	    (const char *const *)t->running, t->nrunning, &f, list_add, c,
	    &c->n[0], e);
}

static void
list_begin(struct call *c)
{
	struct task_call *t = xcalloc(1, sizeof(*t));
	const char **running = tasks_running(c->v->tasks, &t->nrunning);
	size_t i;

	t->running = xcalloc(t->nrunning + 1, sizeof(*t->running));
	for (i = 0; i < t->nrunning; i++)
		t->running[i] = xstrdup(running[i]);
	free(running);
	c->state = t;
	call_submit(c, list_run, call_end);
}

/* --- one task --- */

static int
task_get(struct call *c, uint32_t privs, struct err *e)
{
	struct task_call *t = xcalloc(1, sizeof(*t));

	c->state = t;
	if (upid_parse(&t->upid, c->m.name, e) == -1)
		return -1;
	if (!task_is_visible(&t->upid, c->grant.auth_id) &&
	    !sees_all(c, privs) && !sees_job(c, &t->upid))
		return err_set(e, ERR_INVALID, "task access not allowed");
	t->active = tasks_find(c->v->tasks, c->m.name) != NULL;
	return 0;
}

static int
status_run(struct call *c, struct err *e)
{
	struct task_call *t = c->state;
	struct rec_TASK rec = {0};

	snprintf(rec.upid, sizeof(rec.upid), "%s", c->m.name);
	if (!t->active &&
	    task_log_status(tasks_dirfd(c->v->tasks), &t->upid, rec.status,
		sizeof(rec.status), &rec.endtime, e) == -1)
		return -1;
	record_file_put_TASK(c->records, &rec);
	return 0;
}

static int
log_add(void *arg, uint64_t n, const char *text, size_t len)
{
	struct call *c = arg;
	struct rec_LINE rec = {
	    .n = n,
	    .text = (const uint8_t *)text,
	    .text_len = (uint32_t)len,
	};

	if (n > TASK_LINES_MAX)
		return -1;
	record_file_put_LINE(c->records, &rec);
	return 0;
}

/* Whether it is active was found before the log is read: "not active" then
 * means that the last line is there. */
static int
log_run(struct call *c, struct err *e)
{
	struct task_call *t = c->state;

	if (task_log_read(tasks_dirfd(c->v->tasks), &t->upid, c->m.n0, c->m.n1,
		log_add, c, &c->n[0], e) == -1)
		return -1;
	c->n[1] = t->active;
	return 0;
}

static void
status_begin(struct call *c)
{
	struct err e;

	if (task_get(c, PRIV_SYS_AUDIT, &e) == -1)
		call_fail(c, &e);
	else
		call_submit(c,
		    c->row->op == CALL_TASK_LOG ? log_run : status_run,
		    call_end);
}

/* Exactly the auth id in the UPID, or Sys.Modify (7.2).  A task that ended is
 * success. */
static void
stop_begin(struct call *c)
{
	struct upid u;
	struct err e;

	if (upid_parse(&u, c->m.name, &e) == -1) {
		call_fail(c, &e);
		return;
	}
	if (!task_is_own(&u, c->grant.auth_id) &&
	    !sees_all(c, PRIV_SYS_MODIFY)) {
		err_set(&e, ERR_INVALID,
		    "missing permissions 'Sys.Modify' on '%s'", TASKS_PATH);
		call_fail(c, &e);
		return;
	}
	if (tasks_stop(c->v->tasks, c->m.name, &e) == -1 &&
	    e.code != ERR_NOT_FOUND) {
		call_fail(c, &e);
		return;
	}
	c->rv = 0;
	call_end(c);
}

const struct call_row call_task_rows[] = {
    {.op = CALL_TASK_LIST,
	.flags = CALL_F_RECORDS,
	.begin = list_begin,
	.fini = task_fini},
    {.op = CALL_TASK_STATUS,
	.flags = CALL_F_RECORDS,
	.begin = status_begin,
	.fini = task_fini},
    {.op = CALL_TASK_LOG,
	.flags = CALL_F_RECORDS,
	.begin = status_begin,
	.fini = task_fini},
    {.op = CALL_TASK_STOP, .begin = stop_begin},
    {0},
};
