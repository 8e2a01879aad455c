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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/ipc_int.h"
#include "common/log.h"
#include "common/mem.h"

#define IPC_PER_TURN 32
#define IPC_RETRY_US 20000

static void ipc_on_read(int fd, short what, void *arg);
static void ipc_on_write(int fd, short what, void *arg);
static void ipc_on_closed(int fd, short what, void *arg);

static void
out_free(struct ipc_out *o)
{
	int i;

	for (i = 0; i < o->nfds; i++)
		io_close(&o->fds[i]);
	/* It may have been a password. */
	mem_wipe_free(o, sizeof(*o) + o->len);
}

static void
ipc_release(struct ipc *c)
{
	struct ipc_out *o;

	if (c->ev_read != NULL)
		event_free(c->ev_read);
	if (c->ev_write != NULL)
		event_free(c->ev_write);
	if (c->ev_retry != NULL)
		event_free(c->ev_retry);
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
	c->ev_retry = event_new(base, -1, 0, ipc_on_write, c);
	c->ev_closed = event_new(base, -1, 0, ipc_on_closed, c);
	if (c->ev_read == NULL || c->ev_write == NULL || c->ev_retry == NULL ||
	    c->ev_closed == NULL)
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

static void
ipc_stop_events(struct ipc *c)
{
	if (c->ev_read == NULL)
		return;
	event_del(c->ev_read);
	event_del(c->ev_write);
	event_del(c->ev_retry);
}

/* Ends all traffic; the endpoint itself stays. */
static void
ipc_stop(struct ipc *c)
{
	ipc_stop_events(c);
	io_close(&c->fd);
}

int
ipc_detach(struct ipc **cp)
{
	struct ipc *c = *cp;
	int fd = c->fd;

	ipc_stop_events(c);
	c->fd = -1;
	ipc_free(cp);
	return fd;
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
	ipc_stop(c);
	if (c->ev_closed != NULL)
		event_del(c->ev_closed);
}

void
ipc_fail(struct ipc *c, const struct err *why)
{
	if (c->fd == -1)
		return;
	c->why = *why;
	ipc_stop(c);
	if (c->ev_closed != NULL)
		event_active(c->ev_closed, EV_TIMEOUT, 0);
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

/* The one place that sees all traffic. */
static void
ipc_trace(const struct ipc *c, const char *what, const char *name,
    uint64_t session, uint64_t seq, size_t len)
{
	if (log_debug_on())
		log_debug("ipc",
		    "%s %s %s peer=%d session=%llu seq=%llu len=%zu",
		    c->cfg.proto->name, what, name, (int)c->cred.pid,
		    (unsigned long long)session, (unsigned long long)seq, len);
}

int
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
	else if (rv == 1)
		ipc_trace(c, "got", (*row)->name, m->session, m->seq,
		    len - IPC_HDR_LEN);
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

int
ipc_send_queued(struct ipc *c)
{
	struct ipc_out *o;
	struct err e = {0};
	int rv;

	while ((o = TAILQ_FIRST(&c->out)) != NULL) {
		rv = ipc_packet_send(c->fd, o->data, o->data + IPC_HDR_LEN,
		    o->len - IPC_HDR_LEN, o->fds, o->nfds, &e);
		if (rv == -1)
			ipc_fail(c, &e);
		if (rv != IPC_SENT)
			return rv;
		TAILQ_REMOVE(&c->out, o, entry);
		c->backlog -= o->len;
		out_free(o);
	}
	return IPC_SENT;
}

/* Tries again when the socket has room; when it has, but the kernel does not
 * want more descriptors, only time helps. */
static void
ipc_want_write(struct ipc *c, int rv)
{
	struct timeval retry = {.tv_usec = IPC_RETRY_US};

	if (c->ev_write == NULL)
		return;
	if (rv == IPC_LATER)
		event_add(c->ev_retry, &retry);
	else
		event_add(c->ev_write, NULL);
}

static void
ipc_on_write(int fd, short what, void *arg)
{
	struct ipc *c = arg;
	int rv;

	(void)fd;
	(void)what;
	ipc_enter(c);
	rv = ipc_send_queued(c);
	if (rv == IPC_FULL || rv == IPC_LATER)
		ipc_want_write(c, rv);
	if (rv != -1 && c->was_full && c->backlog <= c->cfg.backlog_low) {
		c->was_full = 0;
		if (c->cfg.drained != NULL)
			c->cfg.drained(c->cfg.ctx);
	}
	ipc_leave(c);
}

static int
ipc_queue(struct ipc *c, const uint8_t *hdr, const void *body, size_t body_len,
    const int *fds, int nfds, struct err *e)
{
	size_t len = IPC_HDR_LEN + body_len;
	struct ipc_out *o;
	struct err full;

	if (c->backlog + len > c->cfg.backlog_max) {
		err_set(&full, ERR_LIMIT, "peer does not read");
		ipc_fail(c, &full);
		return err_set(e, ERR_LIMIT, "%s", full.msg);
	}
	o = xmalloc(sizeof(*o) + len);
	o->len = len;
	memcpy(o->data, hdr, IPC_HDR_LEN);
	if (body_len > 0)
		memcpy(o->data + IPC_HDR_LEN, body, body_len);
	for (o->nfds = 0; o->nfds < nfds; o->nfds++) {
		o->fds[o->nfds] = fcntl(fds[o->nfds], F_DUPFD_CLOEXEC, 0);
		if (o->fds[o->nfds] == -1) {
			err_errno(e, errno, "keep a descriptor");
			out_free(o);
			return -1;
		}
	}
	TAILQ_INSERT_TAIL(&c->out, o, entry);
	c->backlog += len;
	if (c->backlog >= c->cfg.backlog_high)
		c->was_full = 1;
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
	uint8_t hdr[IPC_HDR_LEN];
	struct err why = {0};
	int rv = IPC_FULL;

	if (send_allowed(c, type, len, nfds, e) == -1)
		return -1;
	ipc_packet_header(hdr, c->cfg.proto, type, (uint32_t)len, session, seq);
	ipc_trace(c, "put", ipc_row_get(c->cfg.proto, type)->name, session, seq,
	    len);
	if (TAILQ_EMPTY(&c->out))
		rv = ipc_packet_send(c->fd, hdr, body, len, fds, nfds, &why);
	if (rv == IPC_SENT)
		return 0;
	if (rv == -1) {
		ipc_fail(c, &why);
		return err_set(e, ERR_ABORTED, "%s", why.msg);
	}
	if (ipc_queue(c, hdr, body, len, fds, nfds, e) == -1)
		return -1;
	ipc_want_write(c, rv);
	return 0;
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
