/*
 * Jobs: starting their processes, what every kind says, and their end
 * (jobs.h).  Runs in the validator's loop.  A job reads what clients made, so
 * its messages are checked like a stranger's: what it may ask for depends on
 * its kind, and its text is escaped.
 */
#include "config.h"

#include "validator/jobs/jobs_int.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include <event2/event.h>

#include "common/audit.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/str.h"
#include "validator/store/layout.h"
#include "validator/store/lockdb.h"
#include "validator/task.h"
#include "validator/validator.h"

static const struct job_row {
	const char *name;
	const char *type;
	const char *busy;
} job_rows_by_kind[JOB_KIND_COUNT] = {
    [JOB_KIND_NONE] = {"none", "none", "no such kind of job"},
#define JOB_KIND(NAME, name, type, busy) \
	[JOB_KIND_##NAME] = {#name, (type), (busy)},
#include "validator/jobs/job_kinds.def"
#undef JOB_KIND
};

struct running_job {
	TAILQ_ENTRY(running_job) entry;
	struct jobs *jobs;
	enum job_kind_id kind;
	const struct job_row *row;
	struct vstore *vs;
	struct task *task;
	char upid[IPC_UPID_MAX + 1];
	uint64_t holder;
	int64_t started;
	pid_t pid; /* 0 once collected */
	int wait_status;
	struct ipc *ipc; /* NULL once all of it was read */
	struct event *kill_timer;
	unsigned int holds;
	struct job_step step;
	bool stopping;
	bool has_result; /* why it ended: what it said, or what it broke */
	struct err result;

	char what[33]; /* of JOB_PROGRESS, since when, and done_n then */
	uint64_t what_since_ms;
	uint64_t what_first;
	uint64_t done_n;
	uint64_t total;

	void *state;
	void (*state_free)(void *state);
	void (*done)(void *arg, const struct err *why);
	void *arg;
};

struct jobs {
	struct validator *v;
	char *program;
	uint32_t generation;
	bool stopped;
	TAILQ_HEAD(, running_job) list;
};

/* --- end --- */

static void
job_unlock(struct running_job *r)
{
	struct lockdb_txn *t;
	struct err e;

	if (lockdb_begin(r->jobs->v->locks, true, &t, &e) == 0) {
		lockdb_unlock_all(t, r->holder, NULL);
		if (lockdb_commit(&t, &e) == 0)
			return;
	}
	log_err_e("job", &e, "cannot free locks holder=%016" PRIx64, r->holder);
}

static void
job_free(struct running_job *r)
{
	ipc_free(&r->ipc);
	if (r->kill_timer != NULL)
		event_free(r->kill_timer);
	job_step_fini(&r->step);
	if (r->state_free != NULL)
		r->state_free(r->state);
	vstore_unhold(r->vs);
	free(r);
}

static void
job_set_result(struct running_job *r, const struct err *result)
{
	if (r->has_result)
		return;
	r->has_result = true;
	r->result = *result;
}

/* It ended without a word. */
static void
job_result_from_exit(struct running_job *r)
{
	char text[64];
	struct err why;

	if (r->stopping)
		err_set(&why, ERR_ABORTED, "task aborted");
	else
		err_set(&why, ERR_ABORTED, "job process ended: %s",
		    proc_exit_str(r->wait_status, text, sizeof(text)));
	job_set_result(r, &why);
}

static void
job_remove(struct running_job *r)
{
	const struct err *why = r->result.code == ERR_OK ? NULL : &r->result;

	TAILQ_REMOVE(&r->jobs->list, r, entry);
	job_unlock(r);
	log_info("job", "ended: %s kind=%s store=%s upid=%s",
	    why == NULL ? "ok" : STR_VIS(why->msg), r->row->name,
	    r->vs->conf->title, r->upid);
	audit_add(running_job_validator(r)->audit, "job", "outcome",
	    why == NULL ? "ok" : "refused", "reason",
	    why == NULL ? NULL : why->msg, "kind", r->row->name, "store",
	    r->vs->conf->title, "upid", r->upid, NULL);
	task_end(&r->task, why);
	if (r->done != NULL)
		r->done(r->arg, why);
	job_free(r);
}

/* Its process is collected, its messages are read, nothing works for it. */
static void
job_remove_if_over(struct running_job *r)
{
	if (r->pid != 0 || r->ipc != NULL || r->holds > 0)
		return;
	job_result_from_exit(r);
	job_remove(r);
}

static void
job_kill(struct running_job *r, int signo)
{
	if (r->pid > 0)
		kill(r->pid, signo);
}

static void
job_closed(void *ctx, const struct err *why)
{
	struct running_job *r = ctx;

	if (why->code != ERR_ABORTED) {
		log_err_e("job", why, "BUG: job broke the rules upid=%s",
		    r->upid);
		job_set_result(r, why);
	}
	ipc_free(&r->ipc);
	/* What has said that it is done may still free its memory. */
	if (!r->has_result || r->result.code != ERR_OK)
		job_kill(r, SIGKILL);
	job_remove_if_over(r);
}

static void
job_takes_too_long(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	job_kill(ctx, SIGKILL);
}

/* TASK_STOP. */
static void
job_stop(void *arg)
{
	struct running_job *r = arg;
	struct timeval tv = {PROC_STOP_MS / 1000, 0};

	r->stopping = true;
	job_kill(r, SIGTERM);
	event_add(r->kill_timer, &tv);
}

void
jobs_reap(struct jobs *js)
{
	struct running_job *r, *next;

	for (r = TAILQ_FIRST(&js->list); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (r->pid <= 0 ||
		    waitpid(r->pid, &r->wait_status, WNOHANG) != r->pid)
			continue;
		r->pid = 0;
		event_del(r->kill_timer);
		job_remove_if_over(r);
	}
}

/* --- what every kind says --- */

/* A job escapes what is not its own; task.c replaces control characters. */
static const char *
job_text(char *text)
{
	return str_is_utf8(text, strlen(text)) ? text : "(unreadable text)";
}

JOB_HANDLER(log)
{
	struct running_job *r = ctx;
	struct msg_JOB_LOG msg;

	if (msg_get_JOB_LOG(&m->body, &msg) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_LOG");
	if (msg.warning)
		task_warn(r->task, "%s", job_text(msg.text));
	else
		task_log(r->task, "%s", job_text(msg.text));
	return 0;
}

JOB_HANDLER(progress)
{
	struct running_job *r = ctx;
	struct msg_JOB_PROGRESS msg;

	if (msg_get_JOB_PROGRESS(&m->body, &msg) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_PROGRESS");
	if (strcmp(r->what, msg.what) != 0) {
		snprintf(r->what, sizeof(r->what), "%s", msg.what);
		r->what_since_ms = io_monotonic_ms();
		r->what_first = msg.done;
	}
	r->done_n = msg.done;
	r->total = msg.total;
	return 0;
}

JOB_HANDLER(end)
{
	struct running_job *r = ctx;
	struct msg_JOB_END msg;
	struct err result;

	if (msg_get_JOB_END(&m->body, &msg) == -1 || msg.code >= ERR_CODE_COUNT)
		return err_set(&m->err, ERR_PROTO, "malformed JOB_END");
	err_set(&result, (enum err_code)msg.code, "%s", job_text(msg.text));
	job_set_result(r, &result);
	return 0;
}

#define VJ_TO_VAL(handler) job_on_##handler
#define VJ_TO_JOB(handler) NULL
#define IPC_ROW_VJ(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, VJ_##dir(handler), states, fds)
static const struct ipc_row job_rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto job_proto = {
    .name = "job",
    .rows = job_rows,
    .nrows = sizeof(job_rows) / sizeof(job_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

/* --- for the kinds' handlers --- */

bool
running_job_is_open(const struct running_job *r)
{
	return r->ipc != NULL;
}

struct validator *
running_job_validator(const struct running_job *r)
{
	return r->jobs->v;
}

struct vstore *
running_job_store(const struct running_job *r)
{
	return r->vs;
}

struct task *
running_job_task(const struct running_job *r)
{
	return r->task;
}

uint64_t
running_job_holder(const struct running_job *r)
{
	return r->holder;
}

const char *
running_job_upid(const struct running_job *r)
{
	return r->upid;
}

void *
running_job_state(struct running_job *r, enum job_kind_id kind,
    struct ipc_msg *m)
{
	if (r->kind == kind)
		return r->state;
	err_set(&m->err, ERR_PROTO, "not for a job of kind %s", r->row->name);
	return NULL;
}

struct job_step *
running_job_step_of(struct running_job *r)
{
	return &r->step;
}

void
running_job_hold(struct running_job *r)
{
	r->holds++;
}

void
running_job_unhold(struct running_job *r)
{
	r->holds--;
	job_remove_if_over(r);
}

void
running_job_send(struct running_job *r, uint16_t type, uint64_t seq,
    const void *body, ssize_t len, const int *fds, int nfds)
{
	/* A failure is also told to job_closed(). */
	if (r->ipc != NULL && len >= 0)
		ipc_send_fds(r->ipc, type, 0, seq, body, (size_t)len, fds, nfds,
		    NULL);
}

void
running_job_reply(struct running_job *r, uint64_t seq,
    const struct msg_JOB_REPLY *m)
{
	uint8_t buf[MSG_MAX_JOB_REPLY];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	msg_put_JOB_REPLY(&w, m);
	running_job_send(r, MSG_ID_JOB_REPLY, seq, buf, wire_w_len(&w), NULL,
	    0);
}

void
running_job_reply_err(struct running_job *r, uint64_t seq,
    const struct err *why)
{
	struct msg_JOB_REPLY m = {.code = (uint16_t)why->code};

	snprintf(m.text, sizeof(m.text), "%s", why->msg);
	running_job_reply(r, seq, &m);
}

/* --- start --- */

static int
job_exec(struct running_job *r, int sock, struct err *e)
{
	const struct store *s = r->vs->store;
	char *argv[] = {r->jobs->program, NULL};
	int fds[] = {-1, -1, sock, s->root_fd, s->chunks_fd};
	struct proc_spawn sp = {
	    .path = r->jobs->program,
	    .argv = argv,
	    .fds = fds,
	    .nfds = sizeof(fds) / sizeof(fds[0]),
	    .generation = ++r->jobs->generation,
	    .death_signal = SIGKILL,
	};

	r->pid = proc_spawn(&sp, e);
	return r->pid == -1 ? -1 : 0;
}

static int
job_connect(struct running_job *r, struct err *e)
{
	struct ipc_cfg cfg = {
	    .base = r->jobs->v->base,
	    .proto = &job_proto,
	    .role = IPC_D_TO_VAL,
	    .state = IPC_S_READY,
	    .ctx = r,
	    .closed = job_closed,
	};
	int pair[2] = {-1, -1}, rv = -1;

	if (ipc_pair(pair, e) == -1)
		return -1;
	r->ipc = ipc_new(pair[0], &cfg, e); /* takes it in any case */
	if (r->ipc != NULL)
		rv = job_exec(r, pair[1], e);
	io_close(&pair[1]);
	return rv;
}

static int
job_send_start(struct running_job *r, const struct job_spec *spec,
    struct err *e)
{
	struct msg_JOB_START m = {
	    .args = (const uint8_t *)spec->args,
	    .args_len = (uint32_t)spec->args_len,
	};
	uint8_t *buf = xmalloc(MSG_MAX_JOB_START);
	struct wire_w w;
	int rv = -1;

	snprintf(m.kind, sizeof(m.kind), "%s", r->row->name);
	snprintf(m.store, sizeof(m.store), "%s", r->vs->conf->title);
	snprintf(m.upid, sizeof(m.upid), "%s", r->upid);
	wire_w_init(&w, buf, MSG_MAX_JOB_START);
	if (msg_put_JOB_START(&w, &m) == -1)
		err_set(e, ERR_LIMIT, "arguments of a job are too long");
	else
		rv = ipc_send(r->ipc, MSG_ID_JOB_START, 0, 0, buf,
		    (size_t)wire_w_len(&w), e);
	free(buf);
	return rv;
}

static int
job_check(const struct jobs *js, const struct job_spec *spec, struct err *e)
{
	if (js->stopped)
		return err_set(e, ERR_UNAVAILABLE, "validator ends");
	if (jobs_is_running(js, spec->kind, spec->vs))
		return err_set(e, ERR_LOCKED, "%s",
		    job_rows_by_kind[spec->kind].busy);
	return 0;
}

int
jobs_start(struct jobs *js, const struct job_spec *spec,
    char upid_out[IPC_UPID_MAX + 1], struct err *e)
{
	const struct job_row *row = &job_rows_by_kind[spec->kind];
	struct running_job *r = xcalloc(1, sizeof(*r));

	r->jobs = js;
	r->kind = spec->kind;
	r->row = row;
	r->vs = spec->vs;
	vstore_hold(r->vs);
	r->started = io_realtime_s();
	r->holder = lockdb_new_id();
	r->state = spec->state;
	r->state_free = spec->state_free;
	r->arg = spec->arg;
	if ((r->kill_timer = evtimer_new(js->v->base, job_takes_too_long, r)) ==
	    NULL)
		fatal("job", "no event");
	if (job_check(js, spec, e) == -1)
		goto fail;
	r->task = task_start(js->v->tasks,
	    spec->type != NULL ? spec->type : row->type, spec->worker_id,
	    spec->auth_id, e);
	if (r->task == NULL)
		goto fail;
	snprintf(r->upid, sizeof(r->upid), "%s", task_upid(r->task));
	if (job_connect(r, e) == -1 || job_send_start(r, spec, e) == -1) {
		task_end(&r->task, e);
		goto fail;
	}
	r->done = spec->done;
	TAILQ_INSERT_TAIL(&js->list, r, entry);
	task_on_stop(r->task, job_stop, r);
	if (upid_out != NULL)
		memcpy(upid_out, r->upid, sizeof(r->upid));
	log_info("job", "started kind=%s store=%s pid=%d upid=%s", row->name,
	    spec->vs->conf->title, (int)r->pid, r->upid);
	return 0;
fail:
	job_kill(r, SIGKILL);
	job_free(r);
	return -1;
}

/* --- the table --- */

bool
jobs_is_running(const struct jobs *js, enum job_kind_id kind,
    const struct vstore *vs)
{
	const struct running_job *r;

	TAILQ_FOREACH(r, &js->list, entry)
		if (r->kind == kind && r->vs == vs)
			return true;
	return false;
}

static int64_t
time_left(const struct running_job *r)
{
	uint64_t ms = io_monotonic_ms() - r->what_since_ms;
	uint64_t n = r->done_n - r->what_first;

	if (r->total == 0 || r->done_n > r->total || n == 0)
		return -1;
	return (int64_t)((double)ms / 1000 / (double)n *
	    (double)(r->total - r->done_n));
}

void
jobs_each(struct jobs *js, int (*fn)(void *arg, const struct job_info *info),
    void *arg)
{
	const struct running_job *r;
	struct job_info i;

	TAILQ_FOREACH(r, &js->list, entry) {
		i = (struct job_info){
		    .kind = r->kind,
		    .name = r->row->name,
		    .store = r->vs->conf->title,
		    .upid = r->upid,
		    .started = r->started,
		    .what = r->what,
		    .done = r->done_n,
		    .total = r->total,
		    .left_s = time_left(r),
		};
		if (fn(arg, &i) != 0)
			break;
	}
}

struct jobs *
jobs_new(struct validator *v)
{
	struct jobs *js = xcalloc(1, sizeof(*js));

	js->v = v;
	js->program = xasprintf("%s/holdfast-job", v->conf.libexec_dir);
	TAILQ_INIT(&js->list);
	return js;
}

/* A job changes nothing by itself, so it may be killed at any time. */
void
jobs_stop_all(struct jobs *js)
{
	struct running_job *r, *next;
	struct err why;

	js->stopped = true;
	err_set(&why, ERR_UNAVAILABLE, "the server ended");
	for (r = TAILQ_FIRST(&js->list); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		job_set_result(r, &why);
		job_kill(r, SIGKILL);
		r->pid = 0; /* init collects it */
		ipc_free(&r->ipc);
		job_remove_if_over(r);
	}
}

void
jobs_free(struct jobs **jsp)
{
	struct jobs *js = *jsp;
	struct running_job *r;

	*jsp = NULL;
	if (js == NULL)
		return;
	while ((r = TAILQ_FIRST(&js->list)) != NULL)
		job_remove(r);
	free(js->program);
	free(js);
}
