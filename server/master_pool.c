/*
 * The pool of spare workers.  Runs in the master, which believes a worker
 * only this: that it is ready, and what it says of itself for the log.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "server/master_int.h"

#define POOL_FILL_MS 50

static void
worker_set_state(struct master_worker *w, enum master_worker_state state)
{
	w->master->pool.count[w->state]--;
	w->state = state;
	w->master->pool.count[state]++;
}

/* It goes by itself when it sees this, or when its connection ends. */
static void
worker_say_drain(struct master_worker *w)
{
	struct err e = {0};

	if (w->ipc != NULL && ipc_state(w->ipc) == IPC_S_READY &&
	    ipc_send(w->ipc, MSG_ID_DRAIN, 0, 0, NULL, 0, &e) == -1)
		log_debug_e("master", &e, "cannot drain pid=%d", (int)w->pid);
}

/* A worker without a connection is not wanted any more. */
static void
worker_dismiss(struct master_worker *w)
{
	if (w->state == MASTER_WORKER_STARTING)
		kill(w->pid, SIGTERM);
	else
		worker_say_drain(w);
	worker_set_state(w, MASTER_WORKER_LEAVING);
}

/* --- what workers say ---------------------------------------------------- */

static int
mst_on_wrk_ready(void *ctx, struct ipc_msg *msg)
{
	struct master_worker *w = ctx;
	struct master *m = w->master;
	struct msg_WRK_READY ready;

	if (msg_get_WRK_READY(&msg->body, &ready) == -1)
		return err_set(&msg->err, ERR_PROTO, "bad message");
	ipc_set_state(w->ipc, IPC_S_READY);
	event_del(w->start_limit);
	if (w->state != MASTER_WORKER_STARTING) {
		worker_say_drain(w);
		return 0;
	}
	worker_set_state(w, MASTER_WORKER_SPARE);
	proc_backoff_reset(&m->pool.backoff);
	master_progress(m);
	listen_update(m);
	return 0;
}

static int
mst_on_wrk_state(void *ctx, struct ipc_msg *msg)
{
	struct master_worker *w = ctx;
	struct msg_WRK_STATE s;

	if (msg_get_WRK_STATE(&msg->body, &s) == -1)
		return err_set(&msg->err, ERR_PROTO, "bad message");
	memcpy(w->auth_id, s.auth_id, sizeof(w->auth_id));
	log_debug("master", "worker pid=%d state=%u peer=%s user=%s",
	    (int)w->pid, s.state, w->peer, STR_VIS(w->auth_id));
	return 0;
}

#define MST_TO_WRK(handler) NULL
#define MST_TO_MASTER(handler) mst_on_##handler
#define IPC_ROW_MW(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, MST_##dir(handler), states, fds)
static const struct ipc_row pool_rows[] = {
#include "common/msg_rows.h"
};

static const struct ipc_proto pool_proto = {
    .name = "worker",
    .rows = pool_rows,
    .nrows = sizeof(pool_rows) / sizeof(pool_rows[0]),
    .version = 1,
    .version_min = 1,
};

static void
worker_on_closed(void *ctx, const struct err *why)
{
	struct master_worker *w = ctx;

	if (why->code != ERR_ABORTED) {
		log_err_e("master", why, "BUG: worker pid=%d", (int)w->pid);
		kill(w->pid, SIGKILL);
	}
	ipc_free(&w->ipc);
	if (w->state == MASTER_WORKER_SPARE)
		worker_set_state(w, MASTER_WORKER_LEAVING);
	listen_update(w->master);
}

static void
worker_on_start_limit(evutil_socket_t fd, short what, void *arg)
{
	struct master_worker *w = arg;

	(void)fd;
	(void)what;
	log_err("master", "worker did not get ready in time pid=%d",
	    (int)w->pid);
	kill(w->pid, SIGKILL);
}

/* --- starting ------------------------------------------------------------ */

static int
worker_exec(struct master *m, int sock, uint32_t generation, pid_t *pid_out,
    struct err *e)
{
	char *path = xasprintf("%s/holdfast-worker", m->conf.libexec_dir);
	char *argv[] = {(char *)"holdfast-worker", (char *)"-c",
	    (char *)m->conf_path, NULL};
	const int fds[] = {-1, -1, sock};
	const struct proc_spawn s = {
	    .path = path,
	    .argv = argv,
	    .fds = fds,
	    .nfds = 3,
	    .generation = generation,
	};

	*pid_out = proc_spawn(&s, e);
	free(path);
	return *pid_out == -1 ? -1 : 0;
}

static int
pool_start_one(struct master *m, struct err *e)
{
	static const struct timeval limit = {PROC_START_MS / 1000, 0};
	struct master_worker *w = xcalloc(1, sizeof(*w));
	const struct ipc_cfg cfg = {
	    .base = m->base,
	    .proto = &pool_proto,
	    .role = IPC_D_TO_MASTER,
	    .state = IPC_S_NEW,
	    .ctx = w,
	    .closed = worker_on_closed,
	};
	int pair[2] = {-1, -1}, rv = -1;

	w->master = m;
	w->generation = m->generation;
	if (ipc_pair(pair, e) == -1 ||
	    worker_exec(m, pair[1], w->generation, &w->pid, e) == -1)
		goto out;
	w->start_limit = evtimer_new(m->base, worker_on_start_limit, w);
	w->ipc = ipc_new(pair[0], &cfg, e);
	pair[0] = -1;
	if (w->start_limit == NULL || w->ipc == NULL)
		fatal("master", "cannot watch a worker");
	evtimer_add(w->start_limit, &limit);
	w->state = MASTER_WORKER_STARTING;
	m->pool.count[w->state]++;
	TAILQ_INSERT_TAIL(&m->pool.workers, w, link);
	w = NULL;
	rv = 0;
out:
	io_close(&pair[0]);
	io_close(&pair[1]);
	free(w);
	return rv;
}

static void
pool_delay(struct master *m)
{
	uint32_t ms = proc_backoff_next(&m->pool.backoff);
	struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	evtimer_add(m->pool.fill, &tv);
}

static void
pool_on_fill(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;
	struct err e = {0};

	(void)fd;
	(void)what;
	if (m->draining || !m->auth.ready ||
	    m->pool.count[MASTER_WORKER_STARTING] +
		    m->pool.count[MASTER_WORKER_SPARE] >=
		m->conf.spare_workers)
		return;
	if (pool_start_one(m, &e) == -1) {
		log_err_e("master", &e, "cannot start a worker");
		pool_delay(m);
		return;
	}
	pool_fill(m);
}

/* Starting a worker takes more of the processor than serving a handshake: as
 * long as there are spare ones it waits until that is done. */
void
pool_fill(struct master *m)
{
	static const struct timeval later = {0, POOL_FILL_MS * 1000};

	if (evtimer_pending(m->pool.fill, NULL) &&
	    (pool_has_spare(m) || m->pool.backoff.faults > 0))
		return;
	evtimer_del(m->pool.fill);
	if (pool_has_spare(m))
		evtimer_add(m->pool.fill, &later);
	else
		event_active(m->pool.fill, EV_TIMEOUT, 0);
}

/* --- use ----------------------------------------------------------------- */

static struct master_worker *
pool_spare(const struct master *m)
{
	struct master_worker *w;

	TAILQ_FOREACH(w, &m->pool.workers, link) {
		if (w->state == MASTER_WORKER_SPARE)
			return w;
	}
	return NULL;
}

int
pool_has_spare(const struct master *m)
{
	return m->pool.count[MASTER_WORKER_SPARE] > 0;
}

unsigned int
pool_busy(const struct master *m)
{
	return m->pool.count[MASTER_WORKER_BUSY];
}

unsigned int
pool_refusing(const struct master *m)
{
	return m->pool.count[MASTER_WORKER_REFUSING];
}

static int
worker_give(struct master_worker *w, const struct master_conn *c)
{
	struct msg_CONN conn = {.certificate = (uint8_t)c->certificate};
	uint8_t buf[MSG_MAX_CONN];
	struct wire_w out;
	struct err e = {0};

	snprintf(conn.peer, sizeof(conn.peer), "%s", c->peer);
	snprintf(conn.refusal, sizeof(conn.refusal), "%s",
	    c->refusal != NULL ? c->refusal : "");
	wire_w_init(&out, buf, sizeof(buf));
	if (msg_put_CONN(&out, &conn) == 0 &&
	    ipc_send_fds(w->ipc, MSG_ID_CONN, 0, 0, buf,
		(size_t)wire_w_len(&out), &c->fd, 1, &e) == 0)
		return 0;
	log_warn_e("master", &e, "worker took no connection pid=%d",
	    (int)w->pid);
	return -1;
}

int
pool_assign(struct master *m, struct master_conn *c)
{
	struct master_worker *w;

	while ((w = pool_spare(m)) != NULL) {
		if (worker_give(w, c) == -1) {
			worker_set_state(w, MASTER_WORKER_LEAVING);
			continue;
		}
		w->counted = c->refusal == NULL;
		worker_set_state(w,
		    w->counted ? MASTER_WORKER_BUSY : MASTER_WORKER_REFUSING);
		w->addr = c->addr;
		snprintf(w->peer, sizeof(w->peer), "%s", c->peer);
		io_close(&c->fd);
		break;
	}
	pool_fill(m);
	return w != NULL;
}

void
pool_renew(struct master *m)
{
	struct master_worker *w;

	TAILQ_FOREACH(w, &m->pool.workers, link) {
		if (w->state == MASTER_WORKER_STARTING ||
		    w->state == MASTER_WORKER_SPARE)
			worker_dismiss(w);
	}
	pool_fill(m);
	listen_update(m);
}

void
pool_drain(struct master *m)
{
	struct master_worker *w;

	TAILQ_FOREACH(w, &m->pool.workers, link) {
		if (w->state == MASTER_WORKER_BUSY)
			worker_say_drain(w);
		else if (w->state != MASTER_WORKER_LEAVING)
			worker_dismiss(w);
	}
}

void
pool_kill(struct master *m, int signo)
{
	struct master_worker *w;

	TAILQ_FOREACH(w, &m->pool.workers, link)
		kill(w->pid, signo);
}

unsigned int
pool_total(const struct master *m)
{
	unsigned int i, n = 0;

	for (i = 0; i <= MASTER_WORKER_LEAVING; i++)
		n += m->pool.count[i];
	return n;
}

static void
worker_free(struct master_worker *w)
{
	struct master *m = w->master;

	m->pool.count[w->state]--;
	TAILQ_REMOVE(&m->pool.workers, w, link);
	if (w->counted)
		address_count_remove(m->addresses, &w->addr);
	ipc_free(&w->ipc);
	event_free(w->start_limit);
	free(w);
}

int
pool_reap(struct master *m, pid_t pid, int wait_status)
{
	struct master_worker *w;
	char text[128];

	TAILQ_FOREACH(w, &m->pool.workers, link) {
		if (w->pid == pid)
			break;
	}
	if (w == NULL)
		return 0;
	if (wait_status != 0 && !m->draining)
		log_warn("master", "worker ended: %s pid=%d peer=%s user=%s",
		    proc_exit_str(wait_status, text, sizeof(text)), (int)pid,
		    w->peer[0] != '\0' ? w->peer : "none",
		    w->auth_id[0] != '\0' ? STR_VIS(w->auth_id) : "none");
	/* One that died before it had work will probably not be the last. */
	if (w->state == MASTER_WORKER_STARTING ||
	    (w->state != MASTER_WORKER_BUSY && wait_status != 0 &&
		w->generation == m->generation))
		pool_delay(m);
	worker_free(w);
	pool_fill(m);
	listen_update(m);
	return 1;
}

void
pool_init(struct master *m)
{
	TAILQ_INIT(&m->pool.workers);
	m->pool.backoff.min_ms = PROC_BACKOFF_MIN_MS;
	m->pool.backoff.max_ms = PROC_BACKOFF_MAX_MS;
	m->pool.fill = evtimer_new(m->base, pool_on_fill, m);
	if (m->pool.fill == NULL)
		fatal("master", "cannot make a timer");
}

void
pool_fini(struct master *m)
{
	while (!TAILQ_EMPTY(&m->pool.workers))
		worker_free(TAILQ_FIRST(&m->pool.workers));
	event_free(m->pool.fill);
}
