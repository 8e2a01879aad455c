/*
 * What every kind of job uses in its own process (job.h): arguments, log,
 * progress, requests, stop.  Runs in holdfast-job, sealed; it believes the
 * validator.
 */
#include "config.h"

#include "validator/jobs/job_int.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/str.h"

#define ANSWER_MS 60000
#define PROGRESS_MS 250

struct job {
	struct ipc *ipc;
	uint64_t seq;
	char store[IPC_STORE_MAX + 1];
	char upid[IPC_UPID_MAX + 1];
	char *args;
	size_t args_len;
	const struct job_kind *kind;
	char what[33];
	uint64_t told_ms; /* when progress was sent */
};

const struct job_kind job_kinds[] = {
#define JOB_KIND(NAME, name, type, busy) {#name, job_run_##name},
#include "validator/jobs/job_kinds.def"
#undef JOB_KIND
    {NULL, NULL},
};

#define JOB_TO_JOB(handler) NULL
#define JOB_TO_VAL(handler) NULL
#define IPC_ROW_VJ(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, JOB_##dir(handler), states, fds)
static const struct ipc_row rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto proto = {
    .name = "validator",
    .rows = rows,
    .nrows = sizeof(rows) / sizeof(rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

/* --- stop --- */

/* Set by SIGTERM, or when the validator is gone. */
static volatile sig_atomic_t stopped;

static void
on_term(int signo)
{
	(void)signo;
	stopped = 1;
}

bool
job_is_stopped(const struct job *j)
{
	(void)j;
	return stopped != 0;
}

int
job_check_stop(const struct job *j, struct err *e)
{
	return job_is_stopped(j) ? err_set(e, ERR_ABORTED, "task aborted") : 0;
}

/* --- start and end --- */

static int
job_parse_start(struct job *j, struct ipc_msg *m, struct err *e)
{
	struct msg_JOB_START msg;
	const struct job_kind *k;

	if (m->type != MSG_ID_JOB_START ||
	    msg_get_JOB_START(&m->body, &msg) == -1 ||
	    (msg.args_len > 0 && msg.args[msg.args_len - 1] != '\0'))
		return err_set(e, ERR_PROTO, "malformed JOB_START");
	for (k = job_kinds; k->name != NULL; k++)
		if (strcmp(k->name, msg.kind) == 0)
			break;
	if (k->name == NULL)
		return err_set(e, ERR_PROTO, "no such kind of job");
	j->kind = k;
	memcpy(j->store, msg.store, sizeof(j->store));
	memcpy(j->upid, msg.upid, sizeof(j->upid));
	if (msg.args_len > 0)
		j->args = xmemdup((const char *)msg.args, msg.args_len);
	j->args_len = msg.args_len;
	return 0;
}

struct job *
job_new(struct err *e)
{
	struct job *j = xcalloc(1, sizeof(*j));
	struct sigaction sa = {.sa_handler = on_term};
	struct ipc_cfg cfg = {
	    .proto = &proto,
	    .role = IPC_D_TO_JOB,
	    .state = IPC_S_NEW,
	    .ctx = j,
	};
	struct ipc_msg m;

	sigaction(SIGTERM, &sa, NULL);
	if ((j->ipc = ipc_new(PROC_FD_MAIN, &cfg, e)) == NULL ||
	    ipc_recv(j->ipc, PROC_START_MS, &m, e) == -1 ||
	    job_parse_start(j, &m, e) == -1) {
		job_free(&j);
		return NULL;
	}
	ipc_set_state(j->ipc, IPC_S_READY);
	return j;
}

void
job_free(struct job **jp)
{
	struct job *j = *jp;

	*jp = NULL;
	if (j == NULL)
		return;
	ipc_free(&j->ipc);
	free(j->args);
	free(j);
}

static void
job_tell(struct job *j, uint16_t type, const void *body, ssize_t len)
{
	struct err e;

	if (len < 0 ||
	    ipc_send(j->ipc, type, 0, ++j->seq, body, (size_t)len, &e) == -1 ||
	    ipc_flush(j->ipc, ANSWER_MS, &e) == -1)
		stopped = 1;
}

int
job_run(struct job *j)
{
	uint8_t buf[MSG_MAX_JOB_END];
	struct msg_JOB_END m = {.code = ERR_OK};
	struct wire_w w;
	struct err e;

	err_set(&e, ERR_INTERNAL, "job failed without a reason");
	if (j->kind->run(j, &e) == -1) {
		m.code = (uint16_t)(e.code != ERR_OK ? e.code : ERR_INTERNAL);
		snprintf(m.text, sizeof(m.text), "%s", e.msg);
	}
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_JOB_END(&w, &m);
	job_tell(j, MSG_ID_JOB_END, buf, wire_w_len(&w));
	return PROC_EXIT_OK;
}

/* --- what it is about --- */

const char *
job_store(const struct job *j)
{
	return j->store;
}

const char *
job_upid(const struct job *j)
{
	return j->upid;
}

int
job_root_fd(const struct job *j)
{
	(void)j;
	return PROC_FD_EXTRA;
}

int
job_chunks_fd(const struct job *j)
{
	(void)j;
	return PROC_FD_CHUNKS;
}

const char *
job_arg(const struct job *j, const char *key)
{
	size_t i, n = strlen(key);

	for (i = 0; i < j->args_len; i += strlen(j->args + i) + 1)
		if (strncmp(j->args + i, key, n) == 0 && j->args[i + n] == '=')
			return j->args + i + n + 1;
	return NULL;
}

int
job_arg_u64(const struct job *j, const char *key, uint64_t def, uint64_t *out,
    struct err *e)
{
	const char *v = job_arg(j, key);

	*out = def;
	if (v != NULL && str_to_u64(v, 0, UINT64_MAX, out) == -1)
		return err_set(e, ERR_PARAM, "argument '%s' is no number", key);
	return 0;
}

/* --- what it says --- */

static void
job_vlog(struct job *j, uint8_t warning, const char *fmt, va_list ap)
{
	uint8_t buf[MSG_MAX_JOB_LOG];
	struct msg_JOB_LOG m = {.warning = warning};
	struct wire_w w;

	vsnprintf(m.text, sizeof(m.text), fmt, ap);
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_JOB_LOG(&w, &m);
	job_tell(j, MSG_ID_JOB_LOG, buf, wire_w_len(&w));
}

void
job_log(struct job *j, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	job_vlog(j, 0, fmt, ap);
	va_end(ap);
}

void
job_warn(struct job *j, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	job_vlog(j, 1, fmt, ap);
	va_end(ap);
}

void
job_progress(struct job *j, const char *what, uint64_t done, uint64_t total)
{
	uint8_t buf[MSG_MAX_JOB_PROGRESS];
	struct msg_JOB_PROGRESS m = {.done = done, .total = total};
	uint64_t now = io_monotonic_ms();
	struct wire_w w;

	if (strcmp(j->what, what) == 0 && now - j->told_ms < PROGRESS_MS)
		return;
	snprintf(j->what, sizeof(j->what), "%s", what);
	j->told_ms = now;
	snprintf(m.what, sizeof(m.what), "%s", what);
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_JOB_PROGRESS(&w, &m);
	job_tell(j, MSG_ID_JOB_PROGRESS, buf, wire_w_len(&w));
}

/* --- requests --- */

int
job_send(struct job *j, uint16_t type, const void *body, ssize_t len,
    uint64_t *seq_out, struct err *e)
{
	if (len < 0)
		return err_set(e, ERR_INTERNAL, "request is too long");
	if (ipc_send(j->ipc, type, 0, ++j->seq, body, (size_t)len, e) == -1 ||
	    ipc_flush(j->ipc, ANSWER_MS, e) == -1) {
		stopped = 1;
		return err_wrap(e, "cannot ask the validator");
	}
	if (seq_out != NULL)
		*seq_out = j->seq;
	return 0;
}

/* However long it takes: the validator answers, or its socket ends. */
int
job_recv(struct job *j, struct ipc_msg *m, struct err *e)
{
	while (ipc_recv(j->ipc, ANSWER_MS, m, e) == -1) {
		if (e->code == ERR_TIMEOUT)
			continue;
		stopped = 1;
		return err_wrap(e, "no answer of the validator");
	}
	return 0;
}

int
job_reply_check(const struct msg_JOB_REPLY *r, struct err *e)
{
	if (r->code == ERR_OK)
		return 0;
	return err_set(e, err_code_from_wire(r->code), "%s", r->text);
}

int
job_call(struct job *j, uint16_t type, const void *body, ssize_t len,
    struct msg_JOB_REPLY *out, struct err *e)
{
	struct ipc_msg m;
	uint64_t seq;

	if (job_send(j, type, body, len, &seq, e) == -1 ||
	    job_recv(j, &m, e) == -1)
		return -1;
	if (m.type != MSG_ID_JOB_REPLY || m.seq != seq ||
	    msg_get_JOB_REPLY(&m.body, out) == -1) {
		ipc_msg_close(&m);
		return err_set(e, ERR_PROTO, "wrong answer of the validator");
	}
	return job_reply_check(out, e);
}
