/*
 * Endpoints: queues, the event loop, and the life of a connection between two
 * processes.  Whatever comes in was checked by ipc_packet.c; a peer that
 * breaks a rule is closed with a reason, never argued with.
 */
#include "config.h"

#include "common/ipc.h"

#include <event2/event.h>

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/ipc_int.h"
#include "common/mem.h"

#define IPC_PER_TURN 32

static void ipc_on_read(int fd, short what, void *arg);
static void ipc_on_write(int fd, short what, void *arg);
static void ipc_on_closed(int fd, short what, void *arg);

static void
out_free(struct ipc_out *o)
{
	int i;

	for (i = 0; i < o->nfds; i++)
		io_close(&o->fds[i]);
	free(o);
}

static void
ipc_release(struct ipc *c)
{
	struct ipc_out *o;

	if (c->ev_read != NULL)
		event_free(c->ev_read);
	if (c->ev_write != NULL)
		event_free(c->ev_write);
	if (c->ev_closed != NULL)
		event_free(c->ev_closed);
	io_close(&c->fd);
	while ((o = TAILQ_FIRST(&c->out)) != NULL) {
		TAILQ_REMOVE(&c->out, o, entry);
		out_free(o);
	}
	mem_wipe_free(c->buf, IPC_PACKET_MAX);
	free(c);
}

static void
ipc_enter(struct ipc *c)
{
	c->busy++;
}

/* -1: the endpoint was freed meanwhile and is gone now. */
static int
ipc_leave(struct ipc *c)
{
	if (--c->busy > 0 || !c->freed)
		return 0;
	ipc_release(c);
	return -1;
}

static int
ipc_make_events(struct ipc *c)
{
	struct event_base *base = c->cfg.base;

	if (base == NULL)
		return 0;
	c->ev_read =
	    event_new(base, c->fd, EV_READ | EV_PERSIST, ipc_on_read, c);
	c->ev_write = event_new(base, c->fd, EV_WRITE, ipc_on_write, c);
	c->ev_closed = event_new(base, -1, 0, ipc_on_closed, c);
	if (c->ev_read == NULL || c->ev_write == NULL || c->ev_closed == NULL)
		return -1;
	return event_add(c->ev_read, NULL);
}

struct ipc *
ipc_new(int fd, const struct ipc_cfg *cfg, struct err *e)
{
	struct ipc *c = xcalloc(1, sizeof(*c));
	socklen_t len = sizeof(c->cred);

	c->fd = fd;
	c->cfg = *cfg;
	c->state = cfg->state;
	c->buf = xmalloc(IPC_PACKET_MAX);
	TAILQ_INIT(&c->out);
	if (c->cfg.backlog_low == 0)
		c->cfg.backlog_low = IPC_BACKLOG_LOW;
	if (c->cfg.backlog_high == 0)
		c->cfg.backlog_high = IPC_BACKLOG_HIGH;
	if (c->cfg.backlog_max == 0)
		c->cfg.backlog_max = IPC_BACKLOG_MAX;
	if (c->cfg.per_turn == 0)
		c->cfg.per_turn = IPC_PER_TURN;
	if (io_set_nonblock(fd, e) == -1)
		goto fail;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->cred, &len) == -1) {
		err_errno(e, errno, "credentials of the peer");
		goto fail;
	}
	if (ipc_make_events(c) == -1) {
		err_set(e, ERR_NOMEM, "cannot make an event");
		goto fail;
	}
	return c;
fail:
	ipc_release(c);
	return NULL;
}

void
ipc_free(struct ipc **cp)
{
	struct ipc *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	if (c->busy == 0) {
		ipc_release(c);
		return;
	}
	c->freed = 1;
	if (c->ev_read != NULL)
		event_del(c->ev_read);
	if (c->ev_write != NULL)
		event_del(c->ev_write);
	if (c->ev_closed != NULL)
		event_del(c->ev_closed);
	io_close(&c->fd);
}

void
ipc_fail(struct ipc *c, const struct err *why)
{
	if (c->fd == -1)
		return;
	c->why = *why;
	if (c->ev_read != NULL) {
		event_del(c->ev_read);
		event_del(c->ev_write);
		event_active(c->ev_closed, EV_TIMEOUT, 0);
	}
	io_close(&c->fd);
}

static void
ipc_on_closed(int fd, short what, void *arg)
{
	struct ipc *c = arg;

	(void)fd;
	(void)what;
	ipc_enter(c);
	if (c->cfg.closed != NULL)
		c->cfg.closed(c->cfg.ctx, &c->why);
	ipc_leave(c);
}

void
ipc_msg_close(struct ipc_msg *m)
{
	int i;

	for (i = 0; i < IPC_FDS_MAX; i++)
		io_close(&m->fds[i]);
}

/* One packet from the socket, checked: 1, 0 none now, -1 with c->why. */
static int
ipc_next(struct ipc *c, struct ipc_msg *m, const struct ipc_row **row)
{
	struct err e = {0};
	size_t len = 0;
	int rv;

	*m = (struct ipc_msg){.ipc = c};
	rv = ipc_packet_recv(c->fd, c->buf, &len, m->fds, &m->nfds, &e);
	if (rv == 1 &&
	    ipc_packet_check(c->cfg.proto, c->cfg.role, c->state, c->buf, len,
		m->nfds, m, row, &e) == -1) {
		ipc_msg_close(m);
		rv = -1;
	}
	if (rv == -1)
		ipc_fail(c, &e);
	return rv;
}

static void
ipc_handle(struct ipc *c, struct ipc_msg *m, const struct ipc_row *row)
{
	struct err e = {0};
	int rv;

	if (row->handler == NULL) {
		err_set(&e, ERR_PROTO, "%s was not asked for", row->name);
		ipc_msg_close(m);
		ipc_fail(c, &e);
		return;
	}
	err_set(&m->err, ERR_PROTO, "%s was refused", row->name);
	rv = row->handler(c->cfg.ctx, m);
	ipc_msg_close(m);
	if (c->freed || c->fd == -1)
		return;
	if (rv == -1) {
		ipc_fail(c, &m->err);
	} else if (wire_r_end(&m->body) == -1) {
		err_set(&e, ERR_PROTO, "%s with trailing or bad bytes",
		    row->name);
		ipc_fail(c, &e);
	}
}

static void
ipc_on_read(int fd, short what, void *arg)
{
	struct ipc *c = arg;
	const struct ipc_row *row;
	struct ipc_msg m;
	unsigned int i;

	(void)fd;
	(void)what;
	ipc_enter(c);
	for (i = 0; i < c->cfg.per_turn && c->fd != -1 && !c->freed &&
	     event_pending(c->ev_read, EV_READ, NULL);
	     i++) {
		if (ipc_next(c, &m, &row) != 1)
			break;
		ipc_handle(c, &m, row);
	}
	ipc_leave(c);
}

/* Sends what is queued until the socket is full; -1: c failed. */
static int
ipc_send_queued(struct ipc *c)
{
	struct ipc_out *o;
	struct err e = {0};
	int rv;

	while ((o = TAILQ_FIRST(&c->out)) != NULL) {
		rv = ipc_packet_send(c->fd, o->data, o->len, o->fds, o->nfds,
		    &e);
		if (rv == 0)
			return 0;
		if (rv == -1) {
			ipc_fail(c, &e);
			return -1;
		}
		TAILQ_REMOVE(&c->out, o, entry);
		c->backlog -= o->len;
		out_free(o);
	}
	return 0;
}

static void
ipc_on_write(int fd, short what, void *arg)
{
	struct ipc *c = arg;

	(void)fd;
	(void)what;
	ipc_enter(c);
	if (ipc_send_queued(c) == 0) {
		if (!TAILQ_EMPTY(&c->out))
			event_add(c->ev_write, NULL);
		if (c->was_full && c->backlog <= c->cfg.backlog_low) {
			c->was_full = 0;
			if (c->cfg.drained != NULL)
				c->cfg.drained(c->cfg.ctx);
		}
	}
	ipc_leave(c);
}

static int
ipc_queue(struct ipc *c, const uint8_t *data, size_t len, const int *fds,
    int nfds, struct err *e)
{
	struct ipc_out *o;
	struct err full;
	int i;

	if (c->backlog + len > c->cfg.backlog_max) {
		err_set(&full, ERR_LIMIT, "peer does not read");
		ipc_fail(c, &full);
		return err_set(e, ERR_LIMIT, "%s", full.msg);
	}
	o = xmalloc(sizeof(*o) + len);
	o->len = len;
	o->nfds = 0;
	memcpy(o->data, data, len);
	for (i = 0; i < nfds; i++) {
		o->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (o->fds[i] == -1) {
			err_errno(e, errno, "keep a descriptor");
			out_free(o);
			return -1;
		}
		o->nfds++;
	}
	TAILQ_INSERT_TAIL(&c->out, o, entry);
	c->backlog += len;
	if (c->backlog >= c->cfg.backlog_high)
		c->was_full = 1;
	if (c->ev_write != NULL)
		event_add(c->ev_write, NULL);
	return 0;
}

static int
send_allowed(const struct ipc *c, uint16_t type, size_t len, int nfds,
    struct err *e)
{
	const struct ipc_row *row = ipc_row_get(c->cfg.proto, type);

	if (c->fd == -1)
		return err_set(e, ERR_ABORTED, "connection is closed");
	if (row == NULL || (row->to & c->cfg.role) || len < row->min ||
	    len > row->max || nfds < row->fds_min || nfds > row->fds_max)
		return err_set(e, ERR_INVALID,
		    "message %u of %zu bytes and %d descriptors cannot be sent",
		    type, len, nfds);
	return 0;
}

int
ipc_send_fds(struct ipc *c, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, size_t len, const int *fds, int nfds, struct err *e)
{
	uint8_t packet[IPC_PACKET_MAX];
	struct err why = {0};
	int rv;

	if (send_allowed(c, type, len, nfds, e) == -1)
		return -1;
	ipc_packet_header(packet, c->cfg.proto, type, (uint32_t)len, session,
	    seq);
	if (len > 0)
		memcpy(packet + IPC_HDR_LEN, body, len);
	len += IPC_HDR_LEN;
	rv = TAILQ_EMPTY(&c->out)
	    ? ipc_packet_send(c->fd, packet, len, fds, nfds, &why)
	    : 0;
	if (rv == 0)
		rv = ipc_queue(c, packet, len, fds, nfds, e);
	else if (rv == -1) {
		ipc_fail(c, &why);
		err_set(e, ERR_ABORTED, "%s", why.msg);
	}
	return rv == -1 ? -1 : 0;
}

int
ipc_send(struct ipc *c, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, size_t len, struct err *e)
{
	return ipc_send_fds(c, type, session, seq, body, len, NULL, 0, e);
}

size_t
ipc_backlog(const struct ipc *c)
{
	return c->backlog;
}

int
ipc_is_full(const struct ipc *c)
{
	return c->was_full;
}

void
ipc_pause(struct ipc *c)
{
	if (c->fd != -1 && c->ev_read != NULL)
		event_del(c->ev_read);
}

void
ipc_resume(struct ipc *c)
{
	if (c->fd != -1 && c->ev_read != NULL && !c->freed)
		event_add(c->ev_read, NULL);
}

void
ipc_set_state(struct ipc *c, uint32_t state)
{
	c->state = state;
}

uint32_t
ipc_state(const struct ipc *c)
{
	return c->state;
}

int
ipc_is_open(const struct ipc *c)
{
	return c->fd != -1;
}

pid_t
ipc_peer_pid(const struct ipc *c)
{
	return c->cred.pid;
}

uid_t
ipc_peer_uid(const struct ipc *c)
{
	return c->cred.uid;
}

gid_t
ipc_peer_gid(const struct ipc *c)
{
	return c->cred.gid;
}

/* Waits for poll events until deadline_ms (monotonic). */
static int
wait_until(const struct ipc *c, short events, uint64_t deadline_ms,
    struct err *e)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	uint64_t now = io_monotonic_ms();
	int n;

	if (c->fd == -1)
		return err_set(e, ERR_ABORTED, "connection is closed");
	if (now >= deadline_ms)
		return err_set(e, ERR_TIMEOUT, "no answer in time");
	n = poll(&p, 1, (int)(deadline_ms - now));
	if (n == -1 && errno != EINTR)
		return err_errno(e, errno, "poll");
	return 0;
}

int
ipc_recv(struct ipc *c, int timeout_ms, struct ipc_msg *m, struct err *e)
{
	uint64_t deadline = io_monotonic_ms() + (uint64_t)timeout_ms;
	const struct ipc_row *row;
	int rv;

	for (;;) {
		if (c->fd == -1)
			return err_set(e, ERR_ABORTED, "connection is closed");
		rv = ipc_next(c, m, &row);
		if (rv == 1)
			return 0;
		if (rv == -1) {
			if (e != NULL)
				*e = c->why;
			return -1;
		}
		if (wait_until(c, POLLIN, deadline, e) == -1)
			return -1;
	}
}

int
ipc_flush(struct ipc *c, int timeout_ms, struct err *e)
{
	uint64_t deadline = io_monotonic_ms() + (uint64_t)timeout_ms;

	while (!TAILQ_EMPTY(&c->out)) {
		if (c->fd == -1 || ipc_send_queued(c) == -1) {
			if (e != NULL)
				*e = c->why;
			return -1;
		}
		if (!TAILQ_EMPTY(&c->out) &&
		    wait_until(c, POLLOUT, deadline, e) == -1)
			return -1;
	}
	return 0;
}

int
ipc_call(struct ipc *c, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, size_t len, const int *fds, int nfds, int timeout_ms,
    struct ipc_msg *m, struct err *e)
{
	struct err why;

	if (ipc_send_fds(c, type, session, seq, body, len, fds, nfds, e) ==
		-1 ||
	    ipc_flush(c, timeout_ms, e) == -1 ||
	    ipc_recv(c, timeout_ms, m, e) == -1)
		return -1;
	if (m->seq != seq) {
		ipc_msg_close(m);
		err_set(&why, ERR_PROTO, "answer to another request");
		ipc_fail(c, &why);
		return err_set(e, ERR_PROTO, "%s", why.msg);
	}
	return 0;
}
