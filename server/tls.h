#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct event_base;
struct signer;
struct tls_conn;
struct tls_ctx;

/*
 * TLS on one accepted connection (wire-protocol 1.1): SSL_read() straight
 * from the event into a large buffer, and a write queue of our own.  Nothing
 * blocks, except for the one signature of the handshake (server/signer.h).
 */
#define TLS_HANDSHAKE_MS 10000
#define TLS_READ_MAX (256u << 10)    /* most that one data() brings */
#define TLS_WRITE_HIGH (1024u << 10) /* tls_conn_is_full() from here on */
#define TLS_WRITE_LOW (256u << 10)   /* drained() at or below */
#define TLS_KEEPALIVE_S 120

/* Call once, before the sandbox.  chain_pem: the leaf first; client_ca_pem:
 * NULL, or clients need a certificate of these authorities. */
struct tls_ctx *tls_ctx_new(const char *chain_pem, size_t chain_len,
    const char *client_ca_pem, size_t client_ca_len, struct signer *signer,
    struct err *e);
/* For the connections to come: clients need no certificate after all. */
void tls_ctx_waive_certificates(struct tls_ctx *ctx);
void tls_ctx_free(struct tls_ctx *ctx);
/* A whole handshake with ourselves in memory, so that everything which
 * OpenSSL loads late is there before the sandbox closes. */
int tls_ctx_warm_up(struct err *e);

/*
 * All callbacks come from the loop, never from inside a tls_conn function.
 * They may use any of those, tls_conn_free() too.
 */
struct tls_events {
	/* The handshake is done, or the first byte was not TLS
	 * (tls_conn_is_plain()): then everything travels unencrypted. */
	void (*ready)(void *arg);
	/* Bytes of the client, lent.  All of them are the callee's. */
	void (*data)(void *arg, const uint8_t *p, size_t len);
	/* Of what was written, at most TLS_WRITE_LOW still waits: time to
	 * write more.  May be NULL. */
	void (*drained)(void *arg);
	/* Once, and the last.  why is NULL if the client ended the
	 * connection (with or without TLS's goodbye) or tls_conn_finish() is
	 * done.  The callee frees the connection here or later. */
	void (*closed)(void *arg, const struct err *why);
};

/* Takes fd, also on failure (NULL).  ctx must outlive the connection. */
struct tls_conn *tls_conn_new(struct event_base *base, struct tls_ctx *ctx,
    int fd, unsigned int handshake_ms, const struct tls_events *ev, void *arg,
    struct err *e);
/* Closes at once; what is queued is lost.  NULL is accepted. */
void tls_conn_free(struct tls_conn *c);
/* Gives the connection to another owner (after an upgrade): its callbacks are
 * used from now on, and bytes not yet delivered are the new owner's. */
void tls_conn_set_events(struct tls_conn *c, const struct tls_events *ev,
    void *arg);

/* Queues a copy; sent from the loop, small pieces together.  Ignored once the
 * connection is closed. */
void tls_conn_write(struct tls_conn *c, const void *p, size_t len);
/* At or above TLS_WRITE_HIGH: stop writing until drained(). */
int tls_conn_is_full(const struct tls_conn *c);
size_t tls_conn_backlog(const struct tls_conn *c);
/* Sends what is queued, says goodbye, then closed(). No more data(). */
void tls_conn_finish(struct tls_conn *c);

/* Back-pressure towards the client; what arrived already may still come. */
void tls_conn_pause(struct tls_conn *c);
void tls_conn_resume(struct tls_conn *c);

int tls_conn_is_plain(const struct tls_conn *c);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", for logs; lent. */
const char *tls_conn_describe(struct tls_conn *c);

#endif
