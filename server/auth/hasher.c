/*
 * The pool of hashers.  Runs in auth, as holdfast-auth.  A hasher handles
 * hostile passwords, so its answer is believed for the one job it was given
 * and nothing else.
 */
#include "config.h"

#include "server/auth/hasher.h"

#include <sys/queue.h>

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/proc.h"

#define SUB "hasher"

struct hasher {
	struct hasher_pool *pool;
	pid_t pid;              /* -1: not running */
	struct ipc *ipc;        /* NULL: not running, or just failed */
	struct hasher_job *job; /* running here */
	struct event *respawn;
	struct proc_backoff backoff;
};

struct hasher_job {
	TAILQ_ENTRY(hasher_job) entry; /* in queue, unless running */
	struct hasher_pool *pool;
	struct hasher *hasher; /* NULL while in the queue */
	struct event *deadline;
	uint64_t seq;
	uint8_t *password;
	size_t len;
	char hash[IPC_HASH_MAX + 1]; /* of a check */
	int is_check;
	char peer[IPC_PEER_MAX + 1];
	hasher_done_fn *done;
	void *arg;
};

TAILQ_HEAD(hasher_queue, hasher_job);

struct hasher_pool {
	struct event_base *base;
	char *program;
	struct hasher hashers[HASHER_COUNT];
	struct hasher_queue queue;
	size_t queued;
	uint64_t seq;
};

static int pool_on_hashed(void *ctx, struct ipc_msg *m);
static void hasher_fault(struct hasher *h);
static void pool_run(struct hasher_pool *p);

#define POOL_TO_AUTH(handler) pool_on_##handler
#define POOL_TO_HASHER(handler) NULL
#define IPC_ROW_AH(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, POOL_##dir(handler), states, fds)
static const struct ipc_row pool_rows[] = {
#include "common/msg_rows.h"
};

static const struct ipc_proto pool_proto = {
    .name = "hasher",
    .rows = pool_rows,
    .nrows = sizeof(pool_rows) / sizeof(pool_rows[0]),
    .version = HASHER_PROTO_VERSION,
    .version_min = HASHER_PROTO_VERSION,
};

/* --- jobs ---------------------------------------------------------------- */

static void
job_free(struct hasher_job *job)
{
	if (job->hasher != NULL) {
		job->hasher->job = NULL;
	} else {
		TAILQ_REMOVE(&job->pool->queue, job, entry);
		job->pool->queued--;
	}
	event_free(job->deadline);
	mem_wipe_free(job->password, job->len);
	mem_wipe_free(job, sizeof(*job));
}

static void
job_done(struct hasher_job *job, int match, const char *hash,
    const struct err *why)
{
	hasher_done_fn *done = job->done;
	void *arg = job->arg;

	job_free(job);
	if (done != NULL)
		done(arg, match, hash, why);
}

static void
job_timed_out(int fd, short what, void *arg)
{
	struct hasher_job *job = arg;
	struct hasher *h = job->hasher;
	struct err why;

	(void)fd;
	(void)what;
	err_set(&why, ERR_UNAVAILABLE, "too many logins at a time, try again");
	job_done(job, 0, NULL, &why);
	if (h != NULL) {
		log_warn(SUB, "hasher does not answer pid=%d", (int)h->pid);
		hasher_fault(h);
	}
}

static size_t
queued_of_peer(const struct hasher_pool *p, const char *peer)
{
	const struct hasher_job *job;
	size_t n = 0;

	TAILQ_FOREACH(job, &p->queue, entry)
		n += strcmp(job->peer, peer) == 0;
	return n;
}

static struct hasher_job *
job_new(struct hasher_pool *p, const char *peer, const void *password,
    size_t len, const char *hash, hasher_done_fn *done, void *arg,
    struct err *e)
{
	struct timeval tv = {HASHER_JOB_MS / 1000, 0};
	struct hasher_job *job;

	if (len > IPC_PASSWORD_MAX) {
		err_set(e, ERR_PARAM, "password: too long");
		return NULL;
	}
	if (p->queued >= HASHER_QUEUE_MAX ||
	    queued_of_peer(p, peer) >= HASHER_QUEUE_PEER_MAX) {
		err_set(e, ERR_UNAVAILABLE,
		    "too many logins at a time, try again");
		return NULL;
	}
	job = xcalloc(1, sizeof(*job));
	job->pool = p;
	job->seq = ++p->seq;
	job->password = xmemdup(password, len);
	job->len = len;
	job->is_check = hash != NULL;
	strncat(job->hash, hash == NULL ? "" : hash, IPC_HASH_MAX);
	strncat(job->peer, peer, IPC_PEER_MAX);
	job->done = done;
	job->arg = arg;
	job->deadline = evtimer_new(p->base, job_timed_out, job);
	if (job->deadline == NULL || evtimer_add(job->deadline, &tv) == -1)
		fatal(SUB, "cannot make a timer");
	TAILQ_INSERT_TAIL(&p->queue, job, entry);
	p->queued++;
	pool_run(p);
	return job;
}

struct hasher_job *
hasher_check(struct hasher_pool *p, const char *peer, const void *password,
    size_t len, const char *hash, hasher_done_fn *done, void *arg,
    struct err *e)
{
	return job_new(p, peer, password, len, hash, done, arg, e);
}

struct hasher_job *
hasher_make(struct hasher_pool *p, const char *peer, const void *password,
    size_t len, hasher_done_fn *done, void *arg, struct err *e)
{
	return job_new(p, peer, password, len, NULL, done, arg, e);
}

/* A job that runs keeps its hasher busy until the answer comes, else a client
 * that comes and goes could pile up work there. */
void
hasher_cancel(struct hasher_job **job)
{
	if (*job != NULL && (*job)->hasher == NULL)
		job_free(*job);
	else if (*job != NULL)
		(*job)->done = NULL;
	*job = NULL;
}

static int
job_send(struct hasher *h, struct hasher_job *job, struct err *e)
{
	uint8_t buf[MSG_MAX_HASH_CHECK];
	struct msg_HASH_CHECK check = {0};
	struct msg_HASH_MAKE make = {0};
	struct wire_w w;
	int rv;

	wire_w_init(&w, buf, sizeof(buf));
	if (job->is_check) {
		check.password = job->password;
		check.password_len = (uint32_t)job->len;
		memcpy(check.hash, job->hash, sizeof(check.hash));
		rv = msg_put_HASH_CHECK(&w, &check);
	} else {
		make.password = job->password;
		make.password_len = (uint32_t)job->len;
		rv = msg_put_HASH_MAKE(&w, &make);
	}
	if (rv == 0)
		rv = ipc_send(h->ipc,
		    job->is_check ? MSG_ID_HASH_CHECK : MSG_ID_HASH_MAKE, 0,
		    job->seq, buf, (size_t)wire_w_len(&w), e);
	else
		err_set(e, ERR_INTERNAL, "password does not fit");
	mem_wipe(buf, sizeof(buf));
	return rv;
}

/* Gives waiting jobs to idle hashers. */
static void
pool_run(struct hasher_pool *p)
{
	struct hasher_job *job;
	struct err e;
	size_t i;

	for (i = 0; i < HASHER_COUNT; i++) {
		struct hasher *h = &p->hashers[i];

		job = TAILQ_FIRST(&p->queue);
		if (job == NULL)
			return;
		if (h->ipc == NULL || h->job != NULL)
			continue;
		if (job_send(h, job, &e) == -1) {
			log_warn_e(SUB, &e, "cannot ask a hasher");
			hasher_fault(h);
			continue;
		}
		TAILQ_REMOVE(&p->queue, job, entry);
		p->queued--;
		job->hasher = h;
		h->job = job;
	}
}

static int
pool_on_hashed(void *ctx, struct ipc_msg *m)
{
	struct hasher *h = ctx;
	struct hasher_job *job = h->job;
	struct msg_HASHED reply;
	struct err why;

	if (msg_get_HASHED(&m->body, &reply) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed HASHED");
	proc_backoff_reset(&h->backoff);
	if (job != NULL && job->seq == m->seq) {
		if (!job->is_check && reply.hash[0] == '\0') {
			err_set(&why, ERR_CRYPTO, "cannot hash the password");
			job_done(job, 0, NULL, &why);
		} else {
			job_done(job, reply.match == 1, reply.hash, NULL);
		}
	}
	pool_run(h->pool);
	return 0;
}

/* --- hashers ------------------------------------------------------------- */

static void
hasher_closed(void *ctx, const struct err *why)
{
	struct hasher *h = ctx;

	log_warn_e(SUB, why, "lost a hasher pid=%d", (int)h->pid);
	hasher_fault(h);
}

static void
hasher_spawn(struct hasher *h)
{
	char *argv[] = {(char *)HASHER_PROGRAM, NULL};
	struct ipc_cfg cfg = {
	    .base = h->pool->base,
	    .proto = &pool_proto,
	    .role = IPC_D_TO_AUTH,
	    .state = IPC_S_READY,
	    .ctx = h,
	    .closed = hasher_closed,
	};
	int pair[2] = {-1, -1}, fds[3] = {-1, -1, -1};
	struct proc_spawn spawn = {
	    .path = h->pool->program,
	    .argv = argv,
	    .fds = fds,
	    .nfds = 3,
	    .death_signal = SIGKILL,
	};
	struct err e;

	if (ipc_pair(pair, &e) == -1)
		goto fail;
	fds[2] = pair[1];
	h->pid = proc_spawn(&spawn, &e);
	io_close(&pair[1]);
	if (h->pid == -1)
		goto fail;
	h->ipc = ipc_new(pair[0], &cfg, &e);
	pair[0] = -1;
	if (h->ipc == NULL)
		goto fail;
	pool_run(h->pool);
	return;
fail:
	log_err_e(SUB, &e, "cannot start %s", h->pool->program);
	io_close(&pair[0]);
	hasher_fault(h);
}

static void
hasher_respawn(int fd, short what, void *arg)
{
	struct hasher *h = arg;

	(void)fd;
	(void)what;
	if (h->pid == -1)
		hasher_spawn(h);
}

static void
hasher_schedule(struct hasher *h)
{
	uint32_t ms = proc_backoff_next(&h->backoff);
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	evtimer_add(h->respawn, &tv);
}

/* Kills it; started again once it was reaped.  What it worked on fails, since
 * that may be what killed it. */
static void
hasher_fault(struct hasher *h)
{
	struct err why;

	ipc_free(&h->ipc);
	if (h->job != NULL) {
		err_set(&why, ERR_UNAVAILABLE,
		    "the password could not be checked, try again");
		job_done(h->job, 0, NULL, &why);
	}
	if (h->pid != -1)
		kill(h->pid, SIGKILL);
	else
		hasher_schedule(h);
}

int
hasher_pool_reaped(struct hasher_pool *p, pid_t pid, int wait_status)
{
	char text[64];
	size_t i;

	for (i = 0; i < HASHER_COUNT; i++) {
		struct hasher *h = &p->hashers[i];

		if (h->pid != pid)
			continue;
		log_warn(SUB, "hasher ended: %s pid=%d",
		    proc_exit_str(wait_status, text, sizeof(text)), (int)pid);
		h->pid = -1;
		hasher_fault(h);
		return 1;
	}
	return 0;
}

struct hasher_pool *
hasher_pool_new(struct event_base *base, const char *program)
{
	struct hasher_pool *p = xcalloc(1, sizeof(*p));
	struct timeval now = {0, 0};
	size_t i;

	p->base = base;
	p->program = xstrdup(program);
	TAILQ_INIT(&p->queue);
	for (i = 0; i < HASHER_COUNT; i++) {
		struct hasher *h = &p->hashers[i];

		h->pool = p;
		h->pid = -1;
		h->backoff.min_ms = PROC_BACKOFF_MIN_MS;
		h->backoff.max_ms = PROC_BACKOFF_MAX_MS;
		h->respawn = evtimer_new(base, hasher_respawn, h);
		if (h->respawn == NULL || evtimer_add(h->respawn, &now) == -1)
			fatal(SUB, "cannot make a timer");
	}
	return p;
}

void
hasher_pool_free(struct hasher_pool **p)
{
	struct hasher_job *job;
	size_t i;

	if (*p == NULL)
		return;
	for (i = 0; i < HASHER_COUNT; i++) {
		struct hasher *h = &(*p)->hashers[i];

		if (h->job != NULL)
			job_free(h->job);
		event_free(h->respawn);
		ipc_free(&h->ipc);
		if (h->pid != -1)
			kill(h->pid, SIGKILL);
	}
	while ((job = TAILQ_FIRST(&(*p)->queue)) != NULL)
		job_free(job);
	free((*p)->program);
	free(*p);
	*p = NULL;
}
