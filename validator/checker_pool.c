/*
 * Starting, sparing and collecting of checkers (checker.h).  Runs in the
 * validator's loop, under its uid.  A checker gets three descriptors and no
 * names.  It ends when its socket is closed, and is killed if it does not.
 */
#include "config.h"

#include "validator/checker_int.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"

#define END_POLL_MS 2
#define REFILL_MS 100 /* after the one who took a spare is served */

void
checker_kill(struct checker *c)
{
	c->killed = true;
	if (c->pid > 0)
		kill(c->pid, SIGKILL);
}

static void
checker_closed(void *ctx, const struct err *why)
{
	struct checker *c = ctx;

	c->pool->ndied += !c->released && !c->pool->stopped;
	checker_die(c, why->msg);
}

static void
checker_timed_out(evutil_socket_t fd, short what, void *ctx)
{
	struct checker *c = ctx;

	(void)fd;
	(void)what;
	if (c->released) {
		log_warn("checker", "does not end, killing it pid=%d",
		    (int)c->pid);
		checker_kill(c);
	} else {
		checker_die(c, "checker takes too long");
	}
}

static void
checker_free(struct checker *c)
{
	struct request *r;

	while ((r = TAILQ_FIRST(&c->requests)) != NULL) {
		TAILQ_REMOVE(&c->requests, r, entry);
		free(r);
	}
	ipc_free(&c->ipc);
	arena_fini(&c->out);
	if (c->timer != NULL)
		event_free(c->timer);
	free(c);
}

static int
checker_exec(struct checker_pool *p, struct checker *c, int sock, struct err *e)
{
	char *argv[] = {p->program, NULL};
	int fds[] = {p->status_pipe[1], p->dead_pipe[0], sock};
	struct proc_spawn s = {
	    .path = p->program,
	    .argv = argv,
	    .fds = fds,
	    .nfds = 3,
	    .generation = c->generation,
	};

	c->pid = proc_spawn(&s, e);
	return c->pid == -1 ? -1 : 0;
}

static struct checker *
checker_start(struct checker_pool *p, struct err *e)
{
	struct checker *c = xcalloc(1, sizeof(*c));
	struct ipc_cfg cfg = {
	    .base = p->base,
	    .proto = &checker_proto,
	    .role = IPC_D_TO_VAL,
	    .state = IPC_S_READY,
	    .ctx = c,
	    .closed = checker_closed,
	};
	int pair[2] = {-1, -1};

	c->pool = p;
	c->generation = ++p->generation;
	c->out.fd = -1;
	TAILQ_INIT(&c->requests);
	c->timer = evtimer_new(p->base, checker_timed_out, c);
	if (c->timer == NULL)
		fatal("checker", "no event");
	if (ipc_pair(pair, e) == -1 || checker_exec(p, c, pair[1], e) == -1)
		goto fail;
	io_close(&pair[1]);
	p->nstarted++;
	c->ipc = ipc_new(pair[0], &cfg, e);
	pair[0] = -1;
	if (c->ipc == NULL) {
		c->dead = true;
		checker_kill(c);
		TAILQ_INSERT_TAIL(&p->ended, c, entry);
		return NULL;
	}
	return c;
fail:
	io_close(&pair[0]);
	io_close(&pair[1]);
	checker_free(c);
	return NULL;
}

static void
pool_refill_later(struct checker_pool *p, uint32_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (!evtimer_pending(p->refill, NULL))
		event_add(p->refill, &tv);
}

/* One a turn, so that the loop is not held up by several starts. */
static void
pool_refill(evutil_socket_t fd, short what, void *ctx)
{
	struct checker_pool *p = ctx;
	struct checker *c;
	struct err e;

	(void)fd;
	(void)what;
	if (p->nspare >= p->spare_want)
		return;
	if ((c = checker_start(p, &e)) == NULL) {
		log_err_e("checker", &e, "cannot start a checker");
		pool_refill_later(p, proc_backoff_next(&p->backoff));
		return;
	}
	TAILQ_INSERT_TAIL(&p->spare, c, entry);
	p->nspare++;
	if (p->nspare < p->spare_want)
		pool_refill_later(p, 0);
}

/* A checker that gets ready ends the back-off; more is not needed, since
 * requests may wait in its socket. */
static void
pool_status(evutil_socket_t fd, short what, void *ctx)
{
	struct checker_pool *p = ctx;
	struct proc_status s;
	struct err e;
	int rv;

	(void)what;
	while ((rv = proc_status_recv(fd, &s, &e)) == 1)
		if (s.state == PROC_STATE_READY)
			proc_backoff_reset(&p->backoff);
	if (rv == -1)
		log_warn_e("checker", &e, "BUG: bad status");
}

struct checker_pool *
checker_pool_new(struct event_base *base, const char *program,
    unsigned int spare, struct err *e)
{
	struct checker_pool *p = xcalloc(1, sizeof(*p));

	p->base = base;
	p->program = xstrdup(program);
	p->spare_want = spare;
	p->status_pipe[0] = p->status_pipe[1] = -1;
	p->dead_pipe[0] = p->dead_pipe[1] = -1;
	p->backoff.min_ms = PROC_BACKOFF_MIN_MS;
	p->backoff.max_ms = PROC_BACKOFF_MAX_MS;
	TAILQ_INIT(&p->spare);
	TAILQ_INIT(&p->busy);
	TAILQ_INIT(&p->ended);
	if (io_pipe(p->status_pipe, e) == -1 ||
	    io_pipe(p->dead_pipe, e) == -1 ||
	    io_set_nonblock(p->status_pipe[0], e) == -1) {
		checker_pool_free(&p);
		return NULL;
	}
	p->status_event = event_new(base, p->status_pipe[0],
	    EV_READ | EV_PERSIST, pool_status, p);
	p->refill = evtimer_new(base, pool_refill, p);
	if (p->status_event == NULL || p->refill == NULL)
		fatal("checker", "no event");
	event_add(p->status_event, NULL);
	if (spare > 0)
		pool_refill_later(p, 0);
	return p;
}

void
checker_pool_stop(struct checker_pool *p)
{
	struct checker *c;

	p->stopped = true;
	event_del(p->refill);
	/* A callback may release any of them: start anew after each. */
	do {
		TAILQ_FOREACH(c, &p->busy, entry)
			if (!c->dead)
				break;
		if (c != NULL)
			checker_die(c, "validator ends");
	} while (c != NULL);
}

/* True if the process of c has ended. */
static bool
checker_collect(struct checker *c)
{
	char text[64];
	bool ours;
	int status;

	if (c->pid == 0)
		return true;
	if (waitpid(c->pid, &status, WNOHANG) != c->pid)
		return false;
	ours = c->killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	if (status != 0 && !ours)
		log_warn("checker", "checker ended: %s pid=%d",
		    proc_exit_str(status, text, sizeof(text)), (int)c->pid);
	c->pid = 0;
	return true;
}

/* Waits for a process that was told to end, but not beyond the time given. */
static void
checker_await(struct checker *c, uint64_t until_ms)
{
	struct timespec pause = {.tv_nsec = END_POLL_MS * 1000000};

	while (c->pid > 0 && !checker_collect(c)) {
		if (io_monotonic_ms() >= until_ms)
			checker_kill(c);
		nanosleep(&pause, NULL);
	}
}

/* All of them are told first, so that they end side by side. */
static void
pool_end_all(struct checker_pool *p)
{
	uint64_t until_ms = io_monotonic_ms() + CHECKER_END_MS;
	struct checker *c;

	TAILQ_CONCAT(&p->ended, &p->spare, entry);
	TAILQ_CONCAT(&p->ended, &p->busy, entry);
	TAILQ_FOREACH(c, &p->ended, entry)
		ipc_free(&c->ipc);
	while ((c = TAILQ_FIRST(&p->ended)) != NULL) {
		TAILQ_REMOVE(&p->ended, c, entry);
		checker_await(c, until_ms);
		checker_free(c);
	}
}

void
checker_pool_free(struct checker_pool **pp)
{
	struct checker_pool *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	pool_end_all(p);
	if (p->status_event != NULL)
		event_free(p->status_event);
	if (p->refill != NULL)
		event_free(p->refill);
	io_close(&p->status_pipe[0]);
	io_close(&p->status_pipe[1]);
	io_close(&p->dead_pipe[0]);
	io_close(&p->dead_pipe[1]);
	free(p->program);
	free(p);
}

/* Frees an ended one when neither process nor arena is needed. */
static void
checker_bury(struct checker *c)
{
	if (c->pid != 0 || c->holds > 0)
		return;
	TAILQ_REMOVE(&c->pool->ended, c, entry);
	checker_free(c);
}

void
checker_pool_reap(struct checker_pool *p)
{
	struct checker *c, *next;

	for (c = TAILQ_FIRST(&p->ended); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (checker_collect(c))
			checker_bury(c);
	}
	for (c = TAILQ_FIRST(&p->spare); c != NULL; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (checker_collect(c)) {
			TAILQ_REMOVE(&p->spare, c, entry);
			p->nspare--;
			p->ndied++;
			checker_free(c);
			pool_refill_later(p, proc_backoff_next(&p->backoff));
		}
	}
	/* A busy one's owner learns it from the socket. */
	TAILQ_FOREACH(c, &p->busy, entry)
		checker_collect(c);
}

unsigned int
checker_pool_spare(const struct checker_pool *p)
{
	return p->nspare;
}

uint64_t
checker_pool_started(const struct checker_pool *p)
{
	return p->nstarted;
}

uint64_t
checker_pool_died(const struct checker_pool *p)
{
	return p->ndied;
}

unsigned int
checker_pool_busy(const struct checker_pool *p)
{
	return p->nbusy;
}

/* --- taking and releasing --- */

static int
checker_send_arenas(struct checker *c, const struct arena *in, struct err *e)
{
	struct msg_CHK_ARENAS m = {
	    .in_blocks = in->nblocks,
	    .out_blocks = c->out.nblocks,
	};
	uint8_t buf[MSG_MAX_CHK_ARENAS];
	int fds[2] = {in->fd, c->out.fd};
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_ARENAS(&w, &m);
	return ipc_send_fds(c->ipc, MSG_ID_CHK_ARENAS, 0, 0, buf,
	    (size_t)wire_w_len(&w), fds, 2, e);
}

static int
checker_set_up(struct checker *c, const struct arena *in, struct err *e)
{
	struct arena none = {.fd = -1};
	int rv = -1;

	if (in == NULL) {
		if (arena_create(&none, "no-arena", 1, e) == -1)
			return -1;
		in = &none;
	}
	c->in_blocks = in->nblocks;
	if (arena_create(&c->out, "checker",
		in->nblocks + CHECKER_MANIFEST_BLOCKS, e) == 0)
		rv = checker_send_arenas(c, in, e);
	arena_fini(&none);
	return rv;
}

static struct checker *
pool_pop(struct checker_pool *p, struct err *e)
{
	struct checker *c;

	if (p->stopped) {
		err_set(e, ERR_UNAVAILABLE, "validator ends");
		return NULL;
	}
	while ((c = TAILQ_FIRST(&p->spare)) != NULL) {
		TAILQ_REMOVE(&p->spare, c, entry);
		p->nspare--;
		if (!c->dead)
			return c;
		TAILQ_INSERT_TAIL(&p->ended, c, entry);
	}
	return checker_start(p, e);
}

static struct checker *
pool_take(struct checker_pool *p, const struct arena *in, struct err *e)
{
	struct checker *c = pool_pop(p, e);

	pool_refill_later(p, p->nspare > 0 ? REFILL_MS : 0);
	if (c == NULL) {
		err_wrap(e, "cannot start a checker");
		return NULL;
	}
	TAILQ_INSERT_TAIL(&p->busy, c, entry);
	p->nbusy++;
	if (checker_set_up(c, in, e) == -1) {
		checker_release(&c);
		return NULL;
	}
	return c;
}

struct checker *
checker_take(struct checker_pool *p, const struct arena *in, struct err *e)
{
	struct checker *c = pool_take(p, in, e);

	if (c != NULL)
		arena_fd_close(&c->out);
	return c;
}

struct checker *
checker_lend(struct checker_pool *p, int fds_out[3], struct err *e)
{
	struct checker *c;
	struct arena in;

	if (arena_create(&in, "lent", CHECKER_LENT_BLOCKS, e) == -1)
		return NULL;
	c = pool_take(p, &in, e);
	if (c != NULL && ipc_backlog(c->ipc) > 0) {
		err_set(e, ERR_UNAVAILABLE, "the checker does not read");
		checker_release(&c);
	}
	if (c != NULL) {
		fds_out[0] = ipc_detach(&c->ipc);
		fds_out[1] = c->out.fd;
		fds_out[2] = in.fd;
		c->out.fd = in.fd = -1;
		c->dead = true; /* for us */
	}
	arena_fini(&in);
	return c;
}

/* Closing the socket ends the process when it is done with what it is at. */
void
checker_release(struct checker **cp)
{
	struct checker *c = *cp;
	struct timeval later = {CHECKER_END_MS / 1000, 0};
	struct checker_pool *p;
	struct request *r;

	*cp = NULL;
	if (c == NULL)
		return;
	p = c->pool;
	while ((r = TAILQ_FIRST(&c->requests)) != NULL) {
		TAILQ_REMOVE(&c->requests, r, entry);
		free(r);
	}
	c->dead = true;
	c->released = true;
	ipc_free(&c->ipc);
	event_add(c->timer, &later);
	TAILQ_REMOVE(&p->busy, c, entry);
	p->nbusy--;
	TAILQ_INSERT_TAIL(&p->ended, c, entry);
	checker_bury(c);
}

void
checker_hold(struct checker *c)
{
	c->holds++;
}

void
checker_unhold(struct checker *c)
{
	c->holds--;
	if (c->released)
		checker_bury(c);
}

bool
checker_is_dead(const struct checker *c)
{
	return c->dead;
}

uint32_t
checker_manifest_block(const struct checker *c)
{
	return c->in_blocks;
}

const uint8_t *
checker_at(const struct checker *c, uint32_t block, size_t len)
{
	return arena_at(&c->out, block, len);
}
