#ifndef TESTS_SERVER_TLS_PEER_H
#define TESTS_SERVER_TLS_PEER_H

/*
 * For tests: a server's TLS context with a key of its own, and a client at
 * the other end of a socket, driven by the same loop as the server.
 */

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct tls_ctx;
struct tls_peer;

struct tls_test {
	int client_ca; /* set before: clients need the server's own cert */
	struct tls_ctx *ctx;
	unsigned int signatures; /* that the handshakes asked for */
	uint16_t scheme;         /* of the last one */
	int refuse;              /* the next one */
};

/* type: "EC", "RSA" or "ED25519".  Fails the test if anything fails. */
void tls_test_init(struct tls_test *t, const char *type);
void tls_test_fini(struct tls_test *t);

/* The client's end; the server's goes to *server_fd_out.  max_version: 12 or
 * 13. */
struct tls_peer *tls_peer_new(struct event_base *base, int max_version,
    int *server_fd_out);
void tls_peer_free(struct tls_peer *p);
/* Before the handshake: shows that certificate. */
void tls_peer_use_cert(struct tls_peer *p);
/* Turns the loop until the handshake is done: 0, or -1 if it failed. */
int tls_peer_handshake(struct tls_peer *p);
/* Sends all of it, turning the loop. */
void tls_peer_send(struct tls_peer *p, const void *data, size_t len);
/* What has arrived so far, NUL-terminated; lent until the next call. */
const char *tls_peer_text(struct tls_peer *p);
size_t tls_peer_len(const struct tls_peer *p);
/* Turns the loop at least once, until the text holds needle (1), or the server
 * closed or 20 seconds went by (0). */
int tls_peer_wait(struct tls_peer *p, const char *needle);
/* Likewise until the server closed. */
int tls_peer_wait_closed(struct tls_peer *p);
/* Likewise until this is not 0. */
int tls_peer_wait_flag(struct tls_peer *p, const int *flag);
/* Raw bytes instead of TLS. */
int tls_peer_fd(const struct tls_peer *p);

#endif
