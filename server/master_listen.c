/*
 * Listening sockets of the master.  It accepts only while a spare worker
 * waits, so a burst queues in the kernel, and it reads no byte of what it
 * accepts.
 */
#include "config.h"

#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "server/master_int.h"

#define LISTEN_BACKLOG 512
#define LISTEN_PER_TURN 16
#define LISTEN_RETRY_MS 100
#define LISTEN_UNIT "holdfast-server.socket" /* FileDescriptorName */

/* --- accepting ----------------------------------------------------------- */

static void
listen_complain(struct master *m, const char *peer, const char *why)
{
	if (token_bucket_take(&m->listeners.log_rate, 1, io_monotonic_ms()))
		log_warn("master", "connection refused: %s peer=%s", why, peer);
}

/* Counts the connection, or says why there may be no more. */
static const char *
listen_admit(struct master *m, const struct address_key *addr)
{
	if (pool_busy(m) >= m->conf.max_workers)
		return "too many connections (max-workers)";
	if (address_count_add(m->addresses, addr,
		(unsigned int)m->conf.max_per_address) == 0)
		return "too many connections of this address "
		       "(max-connections-per-address)";
	return NULL;
}

static void
listen_take(struct master_listener *l, int fd, const struct sockaddr *sa)
{
	struct master *m = l->master;
	struct master_conn c = {.fd = fd, .certificate = l->certificate};

	address_text(c.peer, sa);
	address_key_set(&c.addr, sa);
	c.refusal = listen_admit(m, &c.addr);
	if (c.refusal == NULL) {
		if (!pool_assign(m, &c))
			m->listeners.waiting = c;
		return;
	}
	listen_complain(m, c.peer, c.refusal);
	if (pool_refusing(m) >= MASTER_REFUSING_MAX || !pool_assign(m, &c))
		io_close(&c.fd);
}

static int
listen_can_accept(const struct master *m)
{
	return m->listeners.waiting.fd == -1 && pool_has_spare(m);
}

/* The one that waits comes before those that the kernel keeps. */
static void
listen_serve_waiting(struct master *m)
{
	struct master_listeners *l = &m->listeners;

	if (l->waiting.fd != -1 && pool_has_spare(m))
		pool_assign(m, &l->waiting);
}

/* Accepting the rest would fail as well: wait until something was closed. */
static void
listen_pause(struct master *m)
{
	static const struct timeval tv = {0, LISTEN_RETRY_MS * 1000};
	size_t i;

	for (i = 0; i < m->listeners.n; i++)
		event_del(m->listeners.v[i].accept);
	evtimer_add(m->listeners.retry, &tv);
}

static void
listen_on_accept(evutil_socket_t lfd, short what, void *arg)
{
	struct master_listener *l = arg;
	struct master *m = l->master;
	struct sockaddr_storage ss;
	socklen_t len;
	int i, fd;

	(void)what;
	for (i = 0; i < LISTEN_PER_TURN && listen_can_accept(m); i++) {
		len = sizeof(ss);
		fd = accept4(lfd, (struct sockaddr *)&ss, &len,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd != -1) {
			listen_take(l, fd, (struct sockaddr *)&ss);
			continue;
		}
		if (errno == EAGAIN)
			break;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			listen_complain(m, "?", strerror(errno));
			listen_pause(m);
			return;
		}
		/* The rest is the client's network (accept(2)). */
	}
	listen_update(m);
}

void
listen_update(struct master *m)
{
	size_t i;
	int on;

	listen_serve_waiting(m);
	on = m->listeners.wanted && listen_can_accept(m);
	if (evtimer_pending(m->listeners.retry, NULL))
		return;
	for (i = 0; i < m->listeners.n; i++) {
		if (on)
			event_add(m->listeners.v[i].accept, NULL);
		else
			event_del(m->listeners.v[i].accept);
	}
}

static void
listen_on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	listen_update(arg);
}

/* --- opening ------------------------------------------------------------- */

static void
listen_add(struct master *m, int fd, const struct sockaddr *sa)
{
	struct master_listeners *l = &m->listeners;
	struct master_listener *one;

	l->v = xreallocarray(l->v, l->n + 1, sizeof(*l->v));
	one = &l->v[l->n++];
	*one = (struct master_listener){.master = m, .fd = fd};
	address_text(one->name, sa);
}

static int
listen_open(const struct sockaddr_storage *ss, struct err *e)
{
	static const int on = 1, off = 0;
	int family = ss->ss_family, fd;
	socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in)
					  : sizeof(struct sockaddr_in6);

	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_errno(e, errno, "socket");
	/* "[::]" serves IPv4 too, whatever the system's default is. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    (family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ==
		    -1) ||
	    bind(fd, (const struct sockaddr *)ss, len) == -1 ||
	    listen(fd, LISTEN_BACKLOG) == -1) {
		err_errno(e, errno, "bind");
		close(fd);
		return -1;
	}
	return fd;
}

/* Where the kernel has no IPv6, "[::]" is "0.0.0.0". */
static int
listen_any(const struct sockaddr_storage *ss, struct err *e)
{
	struct sockaddr_storage any = {.ss_family = AF_INET};
	struct sockaddr_in6 in6;
	int fd = listen_open(ss, e);

	if (fd != -1 || ss->ss_family != AF_INET6 || e->sys != EAFNOSUPPORT)
		return fd;
	memcpy(&in6, ss, sizeof(in6));
	if (!IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr))
		return -1;
	((struct sockaddr_in *)&any)->sin_port = in6.sin6_port;
	return listen_open(&any, e);
}

/* systemd's sockets, which stay open over our restarts and upgrades. */
static void
listen_inherit(struct master *m)
{
	struct sockaddr_storage ss;
	struct err e = {0};
	socklen_t len;
	int fd, i;

	for (i = 0; (fd = proc_listen_fd(LISTEN_UNIT, i)) != -1; i++) {
		len = sizeof(ss);
		if (io_set_nonblock(fd, &e) == -1)
			fatal_e("master", &e, "cannot use an inherited socket");
		if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
			fatal_sys("master", "cannot use an inherited socket");
		listen_add(m, fd, (struct sockaddr *)&ss);
	}
	if (i > 0)
		log_info("master", "using the sockets of " LISTEN_UNIT " n=%d",
		    i);
}

static void
listen_configured(struct master *m)
{
	struct sockaddr_storage ss;
	struct err e = {0};
	size_t i;
	int fd;

	for (i = 0; i < m->conf.listen.n; i++) {
		fd = -1;
		if (address_parse(&ss, m->conf.listen.v[i], &e) == 0)
			fd = listen_any(&ss, &e);
		if (fd == -1)
			fatal_e("master", &e, "cannot listen address=%s",
			    m->conf.listen.v[i]);
		log_info("master", "listening address=%s", m->conf.listen.v[i]);
		listen_add(m, fd, (struct sockaddr *)&ss);
	}
}

static int
listen_want_certificates(struct master_listeners *l, const char *text)
{
	struct sockaddr_storage ss;
	char name[ADDRESS_TEXT_MAX];
	size_t i;

	if (address_parse(&ss, text, NULL) == -1)
		return -1;
	address_text(name, (struct sockaddr *)&ss);
	for (i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].name, name) == 0) {
			l->v[i].certificate = 1;
			return 0;
		}
	}
	return -1;
}

/* A mistake here would leave a port open to everybody. */
static void
listen_certificates(struct master *m)
{
	const struct conf_list *list = &m->conf.client_ca_listen;
	struct master_listeners *l = &m->listeners;
	size_t i;

	for (i = 0; i < l->n; i++)
		l->v[i].certificate = list->n == 0;
	for (i = 0; i < list->n; i++) {
		if (listen_want_certificates(l, list->v[i]) == -1)
			fatal("master",
			    "not listened on: client-ca-listen address=%s",
			    STR_VIS(list->v[i]));
	}
}

void
listen_init(struct master *m)
{
	struct master_listeners *l = &m->listeners;
	size_t i;

	l->waiting.fd = -1;
	token_bucket_init(&l->log_rate, 1, 10, io_monotonic_ms());
	listen_inherit(m);
	if (l->n == 0)
		listen_configured(m);
	listen_certificates(m);
	l->retry = evtimer_new(m->base, listen_on_retry, m);
	for (i = 0; i < l->n; i++)
		l->v[i].accept = event_new(m->base, l->v[i].fd,
		    EV_READ | EV_PERSIST, listen_on_accept, &l->v[i]);
	l->wanted = 1;
}

void
listen_stop(struct master *m)
{
	struct master_listeners *l = &m->listeners;
	size_t i;

	l->wanted = 0;
	if (l->waiting.fd != -1)
		address_count_remove(m->addresses, &l->waiting.addr);
	io_close(&l->waiting.fd);
	for (i = 0; i < l->n; i++) {
		event_free(l->v[i].accept);
		io_close(&l->v[i].fd);
	}
	l->n = 0;
}

void
listen_fini(struct master *m)
{
	listen_stop(m);
	event_free(m->listeners.retry);
	free(m->listeners.v);
}
