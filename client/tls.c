/*
 * TLS to the server, for holdfast.  The only file of the client that knows
 * OpenSSL's connections.  Nothing of the peer is believed here; what it
 * proved is told to trust.c.
 */
#include "config.h"

#include "client/tls.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

#define KEEPALIVE_IDLE_S 120

struct tls {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	short events;
	uint8_t digest[32];
};

static int
err_tls(struct err *e, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return err_set(e, ERR_UNAVAILABLE, "%s: %s", what,
	    reason != NULL ? reason : "the connection was closed");
}

static int
finish_connect(int fd, int timeout_ms, struct err *e)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int problem = 0, n;
	socklen_t len = sizeof(problem);

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n == -1 && errno == EINTR);
	if (n == 0)
		return err_set(e, ERR_UNAVAILABLE, "no answer");
	if (n == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len) == -1)
		problem = errno;
	if (problem != 0)
		return err_set(e, ERR_UNAVAILABLE, "%s", strerror(problem));
	return 0;
}

static int
connect_address(const struct addrinfo *a, int timeout_ms, struct err *e)
{
	int one = 1, idle = KEEPALIVE_IDLE_S;
	int fd = socket(a->ai_family,
	    a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);

	if (fd == -1)
		return err_errno(e, errno, "cannot make a socket");
	if (connect(fd, a->ai_addr, a->ai_addrlen) == -1) {
		if (errno != EINPROGRESS) {
			err_set(e, ERR_UNAVAILABLE, "%s", strerror(errno));
			io_close(&fd);
			return -1;
		}
		if (finish_connect(fd, timeout_ms, e) == -1) {
			io_close(&fd);
			return -1;
		}
	}
	/* A server may be silent for hours: only TCP tells if it is gone. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	return fd;
}

static int
connect_host(const char *host, uint16_t port, int timeout_ms, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	char service[8];
	int rc, fd = -1;

	snprintf(service, sizeof(service), "%u", (unsigned int)port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0)
		return err_set(e, ERR_UNAVAILABLE, "%s", gai_strerror(rc));
	for (a = list; a != NULL && fd == -1; a = a->ai_next)
		fd = connect_address(a, timeout_ms, e);
	freeaddrinfo(list);
	return fd;
}

/* The handshake goes on whatever the certificate; trust.c judges later. */
static int
go_on(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static int
set_up(struct tls *t, const char *host, struct err *e)
{
	struct in6_addr address;

	t->ctx = SSL_CTX_new(TLS_client_method());
	if (t->ctx == NULL ||
	    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1)
		return err_tls(e, "cannot set up TLS");
	(void)SSL_CTX_set_default_verify_paths(t->ctx);
	SSL_CTX_set_options(t->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(t->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, go_on);
	t->ssl = SSL_new(t->ctx);
	if (t->ssl == NULL || SSL_set_fd(t->ssl, t->fd) != 1)
		return err_tls(e, "cannot set up TLS");
	if (inet_pton(AF_INET, host, &address) == 1 ||
	    inet_pton(AF_INET6, host, &address) == 1) {
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), host);
	} else {
		(void)SSL_set1_host(t->ssl, host);
		(void)SSL_set_tlsext_host_name(t->ssl, host);
	}
	return 0;
}

/* What poll() shall wait for after a failed call, or TLS_AGAIN's opposite. */
static int
is_again(struct tls *t, int rc)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		t->events = POLLIN;
		return 1;
	case SSL_ERROR_WANT_WRITE:
		t->events = POLLOUT;
		return 1;
	default:
		return 0;
	}
}

static int
handshake(struct tls *t, int timeout_ms, struct err *e)
{
	X509 *cert;
	unsigned int len = sizeof(t->digest);
	int rc;

	while ((rc = SSL_connect(t->ssl)) != 1) {
		if (!is_again(t, rc))
			return err_tls(e, "the TLS handshake failed");
		if (tls_wait(t, timeout_ms, e) == -1)
			return -1;
	}
	cert = SSL_get1_peer_certificate(t->ssl);
	if (cert == NULL)
		return err_set(e, ERR_CRYPTO, "the server has no certificate");
	rc = X509_digest(cert, EVP_sha256(), t->digest, &len);
	X509_free(cert);
	return rc == 1 ? 0 : err_tls(e, "cannot read the certificate");
}

struct tls *
tls_connect(const char *host, uint16_t port, int timeout_ms, struct err *e)
{
	struct tls *t = xcalloc(1, sizeof(*t));

	t->fd = connect_host(host, port, timeout_ms, e);
	if (t->fd == -1 || set_up(t, host, e) == -1 ||
	    handshake(t, timeout_ms, e) == -1) {
		err_wrap(e, "cannot connect to %s port %u", host,
		    (unsigned int)port);
		tls_free(t);
		return NULL;
	}
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	io_close(&t->fd);
	free(t);
}

int
tls_is_trusted(const struct tls *t, const char **why_out)
{
	long result = SSL_get_verify_result(t->ssl);

	*why_out = X509_verify_cert_error_string(result);
	return result == X509_V_OK;
}

void
tls_fingerprint(const struct tls *t, char out[TLS_FINGERPRINT_LEN + 1])
{
	size_t i;

	for (i = 0; i < sizeof(t->digest); i++)
		snprintf(out + 3 * i, 4,
		    i + 1 < sizeof(t->digest) ? "%02x:" : "%02x", t->digest[i]);
}

ssize_t
tls_read(struct tls *t, void *buf, size_t len, struct err *e)
{
	size_t n;
	int rc;

	ERR_clear_error();
	rc = SSL_read_ex(t->ssl, buf, len, &n);
	if (rc == 1)
		return (ssize_t)n;
	if (is_again(t, rc))
		return TLS_AGAIN;
	if (SSL_get_error(t->ssl, rc) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return err_tls(e, "cannot read from the server");
}

ssize_t
tls_write(struct tls *t, const void *buf, size_t len, struct err *e)
{
	size_t n;
	int rc;

	ERR_clear_error();
	rc = SSL_write_ex(t->ssl, buf, len, &n);
	if (rc == 1)
		return (ssize_t)n;
	if (is_again(t, rc))
		return TLS_AGAIN;
	return err_tls(e, "cannot write to the server");
}

int
tls_fd(const struct tls *t)
{
	return t->fd;
}

short
tls_events(const struct tls *t)
{
	return t->events;
}

int
tls_wait(struct tls *t, int timeout_ms, struct err *e)
{
	struct pollfd p = {.fd = t->fd, .events = t->events};
	int n;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return err_errno(e, errno, "cannot wait for the server");
	if (n == 0)
		return err_set(e, ERR_TIMEOUT, "the server does not answer");
	return 0;
}
