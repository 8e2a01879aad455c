/*
 * One client's connection.  Runs in a worker, in its sandbox: the first place
 * where bytes of the network arrive.  All reading and writing happens in the
 * callbacks of events, so that no function of the interface calls back.
 */
#include "config.h"

#include "server/tls.h"

#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/err_ssl.h"
#include "server/signer.h"
#include "server/tls_int.h"

#define TLS_RECORD_HANDSHAKE 0x16
#define TLS_FINISH_MS 60000 /* for the client to take our last bytes */
#define TLS_LINGER_MS 2000

enum tls_state {
	TLS_STATE_FIRST_BYTE,
	TLS_STATE_HANDSHAKE,
	TLS_STATE_OPEN,
	TLS_STATE_FINISHING, /* queue goes out, then goodbye */
	TLS_STATE_LINGERING, /* so that no reset overtakes our last bytes */
	TLS_STATE_CLOSED,
};

struct tls_conn {
	struct tls_ctx *ctx;
	struct event_base *base;
	int fd;
	SSL *ssl; /* NULL while unknown and for a plain connection */
	enum tls_state state;
	struct event *readable;
	struct event *writable;
	struct event *deadline;
	const struct tls_events *ev;
	void *arg;

	uint8_t *rbuf; /* TLS_READ_MAX */
	uint8_t *wbuf; /* wlen bytes from wbuf + woff wait */
	size_t woff;
	size_t wlen;
	size_t wcap;
	int written; /* since drained() was last called */

	int paused;
	int plain;
	int busy; /* callbacks of ours on the stack */
	int dead; /* freed when they return */
	char description[96];
};

static void
tls_release(struct tls_conn *c)
{
	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	if (c->deadline != NULL)
		event_free(c->deadline);
	SSL_free(c->ssl);
	ERR_clear_error();
	io_close(&c->fd);
	c->readable = c->writable = c->deadline = NULL;
	c->ssl = NULL;
	c->state = TLS_STATE_CLOSED;
}

static void
tls_leave(struct tls_conn *c)
{
	if (--c->busy > 0 || !c->dead)
		return;
	free(c->rbuf);
	mem_wipe_free(c->wbuf, c->wcap);
	free(c);
}

void
tls_conn_free(struct tls_conn *c)
{
	if (c == NULL)
		return;
	c->busy++;
	tls_release(c);
	c->dead = 1;
	tls_leave(c);
}

/* From an event: the connection is over. */
static void
tls_close(struct tls_conn *c, const struct err *why)
{
	if (c->state == TLS_STATE_CLOSED)
		return;
	tls_release(c);
	c->ev->closed(c->arg, why);
}

static void
tls_fail(struct tls_conn *c, const char *what)
{
	struct err e = {0};

	if (c->ctx->signer != NULL &&
	    signer_last_error(c->ctx->signer)->code != ERR_OK) {
		e = *signer_last_error(c->ctx->signer);
		err_wrap(&e, "%s", what);
	} else
		err_ssl(&e, "%s", what);
	tls_close(c, &e);
}

/* --- reading and writing, encrypted or not ------------------------------- */

enum tls_io {
	TLS_IO_OK,
	TLS_IO_WANT_READ,
	TLS_IO_WANT_WRITE,
	TLS_IO_END,
	TLS_IO_ERROR,
};

static enum tls_io
tls_io_result(struct tls_conn *c, int ok)
{
	int sys = errno;

	if (ok)
		return TLS_IO_OK;
	if (c->ssl == NULL)
		return sys == EAGAIN || sys == EINTR ? TLS_IO_WANT_READ
						     : TLS_IO_ERROR;
	switch (SSL_get_error(c->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
		return TLS_IO_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_IO_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_IO_END;
	case SSL_ERROR_SYSCALL:
		/* A client that resets the connection has just gone. */
		return sys == ECONNRESET || sys == EPIPE || sys == 0
		    ? TLS_IO_END
		    : TLS_IO_ERROR;
	default:
		return TLS_IO_ERROR;
	}
}

static enum tls_io
tls_recv(struct tls_conn *c, void *buf, size_t len, size_t *n_out)
{
	ssize_t n;

	errno = 0;
	if (c->ssl != NULL)
		return tls_io_result(c,
		    SSL_read_ex(c->ssl, buf, len, n_out) == 1);
	n = recv(c->fd, buf, len, 0);
	*n_out = n > 0 ? (size_t)n : 0;
	if (n == 0 || (n == -1 && errno == ECONNRESET))
		return TLS_IO_END;
	return tls_io_result(c, n > 0);
}

static enum tls_io
tls_send(struct tls_conn *c, const void *buf, size_t len, size_t *n_out)
{
	enum tls_io r;
	ssize_t n;

	errno = 0;
	if (c->ssl != NULL)
		return tls_io_result(c,
		    SSL_write_ex(c->ssl, buf, len, n_out) == 1);
	n = send(c->fd, buf, len, MSG_NOSIGNAL);
	*n_out = n > 0 ? (size_t)n : 0;
	r = tls_io_result(c, n > 0);
	if (r == TLS_IO_WANT_READ)
		return TLS_IO_WANT_WRITE;
	return r == TLS_IO_ERROR && (errno == EPIPE || errno == ECONNRESET)
	    ? TLS_IO_END
	    : r;
}

/* --- the end ------------------------------------------------------------- */

static void
tls_set_deadline(struct tls_conn *c, unsigned int ms)
{
	struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	evtimer_add(c->deadline, &tv);
}

static void
tls_goodbye(struct tls_conn *c)
{
	if (c->ssl != NULL)
		SSL_shutdown(c->ssl);
	ERR_clear_error();
	shutdown(c->fd, SHUT_WR);
	c->state = TLS_STATE_LINGERING;
	tls_set_deadline(c, TLS_LINGER_MS);
	event_add(c->readable, NULL);
}

static void
tls_linger(struct tls_conn *c)
{
	ssize_t n = recv(c->fd, c->rbuf, TLS_READ_MAX, 0);

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		tls_close(c, NULL);
}

/* --- writing ------------------------------------------------------------- */

static void
tls_flush(struct tls_conn *c)
{
	enum tls_io r = TLS_IO_OK;
	size_t n;

	while (c->wlen > 0 && r == TLS_IO_OK) {
		r = tls_send(c, c->wbuf + c->woff, c->wlen, &n);
		if (r == TLS_IO_OK) {
			c->woff += n;
			c->wlen -= n;
		}
	}
	if (r == TLS_IO_END) {
		tls_close(c, NULL);
		return;
	}
	if (r == TLS_IO_ERROR) {
		tls_fail(c, "cannot send");
		return;
	}
	if (r == TLS_IO_WANT_WRITE)
		event_add(c->writable, NULL);
	if (c->wlen == 0 && c->state == TLS_STATE_FINISHING) {
		tls_goodbye(c);
		return;
	}
	if (c->written && c->wlen <= TLS_WRITE_LOW &&
	    c->state == TLS_STATE_OPEN) {
		c->written = 0;
		if (c->ev->drained != NULL)
			c->ev->drained(c->arg);
	}
}

void
tls_conn_write(struct tls_conn *c, const void *p, size_t len)
{
	size_t cap;
	uint8_t *grown;

	if (c->state != TLS_STATE_OPEN || len == 0)
		return;
	if (c->wlen == 0)
		c->woff = 0;
	if (c->woff + c->wlen + len > c->wcap) {
		cap = c->wcap == 0 ? 16 * 1024 : c->wcap;
		while (cap < c->wlen + len)
			cap *= 2;
		grown = cap == c->wcap ? c->wbuf : xmalloc(cap);
		if (c->wlen > 0)
			memmove(grown, c->wbuf + c->woff, c->wlen);
		if (grown != c->wbuf)
			mem_wipe_free(c->wbuf, c->wcap);
		c->wbuf = grown;
		c->wcap = cap;
		c->woff = 0;
	}
	memcpy(c->wbuf + c->woff + c->wlen, p, len);
	c->wlen += len;
	c->written = 1;
	event_active(c->writable, EV_WRITE, 0);
}

int
tls_conn_is_full(const struct tls_conn *c)
{
	return c->wlen >= TLS_WRITE_HIGH;
}

size_t
tls_conn_backlog(const struct tls_conn *c)
{
	return c->wlen;
}

void
tls_conn_finish(struct tls_conn *c)
{
	if (c->state != TLS_STATE_OPEN)
		return;
	c->state = TLS_STATE_FINISHING;
	tls_set_deadline(c, TLS_FINISH_MS);
	event_del(c->readable);
	event_active(c->writable, EV_WRITE, 0);
}

/* --- reading ------------------------------------------------------------- */

static void
tls_read(struct tls_conn *c)
{
	enum tls_io r = TLS_IO_OK;
	size_t len = 0, n;

	while (len < TLS_READ_MAX && r == TLS_IO_OK) {
		r = tls_recv(c, c->rbuf + len, TLS_READ_MAX - len, &n);
		if (r == TLS_IO_OK)
			len += n;
	}
	if (len > 0)
		c->ev->data(c->arg, c->rbuf, len);
	/* Paused: the end will be found again after tls_conn_resume(). */
	if (c->dead || c->state != TLS_STATE_OPEN || c->paused)
		return;
	if (r == TLS_IO_END)
		tls_close(c, NULL);
	else if (r == TLS_IO_ERROR)
		tls_fail(c, "cannot receive");
	else if (r == TLS_IO_WANT_WRITE)
		event_add(c->writable, NULL);
	else if (r == TLS_IO_OK)
		event_active(c->readable, EV_READ, 0);
}

void
tls_conn_pause(struct tls_conn *c)
{
	c->paused = 1;
	if (c->state == TLS_STATE_OPEN)
		event_del(c->readable);
}

void
tls_conn_resume(struct tls_conn *c)
{
	if (!c->paused)
		return;
	c->paused = 0;
	if (c->state != TLS_STATE_OPEN)
		return;
	event_add(c->readable, NULL);
	/* libssl may hold bytes that the socket will not announce again. */
	event_active(c->readable, EV_READ, 0);
}

/* --- the beginning ------------------------------------------------------- */

static void
tls_opened(struct tls_conn *c)
{
	c->state = TLS_STATE_OPEN;
	event_del(c->deadline);
	c->ev->ready(c->arg);
	if (c->dead || c->state != TLS_STATE_OPEN || c->paused)
		return;
	/* The request may have come along with the end of the handshake. */
	event_active(c->readable, EV_READ, 0);
}

static void
tls_handshake(struct tls_conn *c)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(c->ssl);
	if (r == 1) {
		tls_opened(c);
		return;
	}
	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		break;
	case SSL_ERROR_WANT_WRITE:
		event_add(c->writable, NULL);
		break;
	case SSL_ERROR_ZERO_RETURN:
		tls_close(c, NULL);
		break;
	case SSL_ERROR_SYSCALL:
		if (ERR_peek_error() == 0) {
			tls_close(c, NULL);
			break;
		}
		/* FALLTHROUGH */
	default:
		tls_fail(c, "TLS handshake failed");
		break;
	}
}

/* Looks at the first byte without taking it. */
static void
tls_first_byte(struct tls_conn *c)
{
	struct err e = {0};
	uint8_t b;
	ssize_t n = recv(c->fd, &b, 1, MSG_PEEK);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != 1) {
		tls_close(c, NULL);
		return;
	}
	if (b >= 'A' && b <= 'Z') {
		c->plain = 1;
		tls_opened(c);
		return;
	}
	c->ssl = SSL_new(c->ctx->ssl);
	if (b != TLS_RECORD_HANDSHAKE) {
		err_set(&e, ERR_PROTO, "neither TLS nor HTTP");
		tls_close(c, &e);
	} else if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
		tls_fail(c, "cannot start TLS");
	} else {
		SSL_set_accept_state(c->ssl);
		c->state = TLS_STATE_HANDSHAKE;
		tls_handshake(c);
	}
}

/* --- events -------------------------------------------------------------- */

static void
tls_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct tls_conn *c = arg;

	(void)fd;
	c->busy++;
	switch (c->state) {
	case TLS_STATE_FIRST_BYTE:
		tls_first_byte(c);
		break;
	case TLS_STATE_HANDSHAKE:
		tls_handshake(c);
		break;
	case TLS_STATE_OPEN:
		/* Either direction may have waited for the other one. */
		if (c->wlen > 0 || (what & EV_WRITE) != 0)
			tls_flush(c);
		if (!c->dead && c->state == TLS_STATE_OPEN && !c->paused &&
		    ((what & EV_READ) != 0 || c->ssl != NULL))
			tls_read(c);
		break;
	case TLS_STATE_FINISHING:
		tls_flush(c);
		break;
	case TLS_STATE_LINGERING:
		if ((what & EV_READ) != 0)
			tls_linger(c);
		break;
	case TLS_STATE_CLOSED:
		break;
	}
	tls_leave(c);
}

static void
tls_on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct tls_conn *c = arg;
	struct err e = {0};

	(void)fd;
	(void)what;
	c->busy++;
	if (c->state == TLS_STATE_LINGERING ||
	    c->state == TLS_STATE_FINISHING) {
		tls_close(c, NULL);
	} else {
		err_set(&e, ERR_TIMEOUT, "no TLS handshake in time");
		tls_close(c, &e);
	}
	tls_leave(c);
}

/* Not possible on the sockets of tests, and not vital. */
static void
tls_socket_options(int fd)
{
	static const int on = 1, idle = TLS_KEEPALIVE_S;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

struct tls_conn *
tls_conn_new(struct event_base *base, struct tls_ctx *ctx, int fd,
    unsigned int handshake_ms, const struct tls_events *ev, void *arg,
    struct err *e)
{
	struct tls_conn *c;

	if (io_set_nonblock(fd, e) == -1) {
		close(fd);
		return NULL;
	}
	tls_socket_options(fd);
	c = xcalloc(1, sizeof(*c));
	c->ctx = ctx;
	c->base = base;
	c->fd = fd;
	c->ev = ev;
	c->arg = arg;
	c->rbuf = xmalloc(TLS_READ_MAX);
	c->readable =
	    event_new(base, fd, EV_READ | EV_PERSIST, tls_on_event, c);
	c->writable = event_new(base, fd, EV_WRITE, tls_on_event, c);
	c->deadline = evtimer_new(base, tls_on_deadline, c);
	if (c->readable == NULL || c->writable == NULL || c->deadline == NULL ||
	    event_add(c->readable, NULL) == -1) {
		err_set(e, ERR_NOMEM, "cannot watch the connection");
		tls_conn_free(c);
		return NULL;
	}
	tls_set_deadline(c, handshake_ms);
	return c;
}

void
tls_conn_set_events(struct tls_conn *c, const struct tls_events *ev, void *arg)
{
	c->ev = ev;
	c->arg = arg;
}

int
tls_conn_is_plain(const struct tls_conn *c)
{
	return c->plain;
}

const char *
tls_conn_describe(struct tls_conn *c)
{
	if (c->description[0] != '\0')
		return c->description;
	if (c->ssl == NULL)
		return "plain";
	snprintf(c->description, sizeof(c->description), "%s %s",
	    SSL_get_version(c->ssl), SSL_get_cipher_name(c->ssl));
	return c->description;
}
