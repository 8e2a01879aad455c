#ifndef CLIENT_TLS_H
#define CLIENT_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/*
 * The TLS connection to the server.  tls_connect() accepts any certificate:
 * trust.c decides before the first byte of ours goes out.  The socket never
 * blocks; tls_wait() does.
 */
struct tls;

#define TLS_FINGERPRINT_LEN (32 * 3 - 1)
#define TLS_AGAIN (-2)

/* Tries every address of the host; blocks for timeout_ms at most per
 * address.  ERR_UNAVAILABLE if nobody answers. */
struct tls *tls_connect(const char *host, uint16_t port, int timeout_ms,
    struct err *e);
/* Just drops the connection, as all clients do.  NULL is fine. */
void tls_free(struct tls *t);

/* Whether the system's authorities vouch for the certificate and the host
 * name; if not, why (lent). */
int tls_is_trusted(const struct tls *t, const char **why_out);
/* SHA-256 of the server's certificate, lower-case pairs with colons. */
void tls_fingerprint(const struct tls *t, char out[TLS_FINGERPRINT_LEN + 1]);

/* Bytes moved; 0: the server closed the connection (read only); TLS_AGAIN;
 * -1. */
ssize_t tls_read(struct tls *t, void *buf, size_t len, struct err *e);
ssize_t tls_write(struct tls *t, const void *buf, size_t len, struct err *e);
/* For poll(): the descriptor, and what the last TLS_AGAIN waits for. */
int tls_fd(const struct tls *t);
short tls_events(const struct tls *t);
/* Waits for that.  ERR_TIMEOUT; timeout_ms -1: for ever. */
int tls_wait(struct tls *t, int timeout_ms, struct err *e);

#endif
