#ifndef SERVER_ACLIENT_H
#define SERVER_ACLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct err;
struct event_base;

/*
 * A worker's connection to holdfast-auth.  It connects again by itself when
 * auth was restarted, and sends once more what was not answered (and who the
 * client is, since auth keeps that per connection).  While auth is away,
 * requests wait PROC_CALL_WAIT_MS and fail with ERR_UNAVAILABLE.
 *
 * Callbacks run from the event loop, exactly once, and not after
 * aclient_cancel().  Only the functions that say so block.
 */
struct aclient;
struct aclient_req; /* gone after its callback */

/* Lent until the callback returns. */
struct aclient_reply {
	unsigned int type; /* MSG_ID_... */
	union {
		struct msg_LOGGED_IN logged_in;
		struct msg_VERIFIED verified;
		struct msg_GRANT grant;
		struct msg_ACCESS_REPLY access_reply;
	};
	int fd; /* of access_reply: a memory file; else -1 */
};

/* r is NULL if the request failed (e says why), else e is NULL. */
typedef void aclient_done_fn(void *arg, const struct aclient_reply *r,
    const struct err *e);

/* changed: auth came back with other certificates than those of the start; a
 * worker without a client should make room for a new one.  May be NULL. */
struct aclient *aclient_new(struct event_base *base, const char *path,
    void (*changed)(void *arg), void *arg);
void aclient_free(struct aclient *a);
/* Where the socket is from now on (after chroot). */
void aclient_set_path(struct aclient *a, const char *path);

/* First connection and the certificates; blocks up to timeout_ms. */
int aclient_start(struct aclient *a, int timeout_ms, struct err *e);
/* PEM as auth gave it; client_ca is empty if clients need no certificate. */
const char *aclient_chain(const struct aclient *a, size_t *len_out);
const char *aclient_client_ca(const struct aclient *a, size_t *len_out);

/* The one signature of the handshake; a signer_fn with arg a.  Blocks up to
 * PROC_SIGN_MS. */
int aclient_sign(void *arg, uint16_t scheme, const uint8_t *tbs, size_t tbs_len,
    uint8_t *sig, size_t *len_out, struct err *e);

struct aclient_req *aclient_login(struct aclient *a, const struct msg_LOGIN *m,
    aclient_done_fn *done, void *arg);
struct aclient_req *aclient_verify(struct aclient *a,
    const struct msg_VERIFY *m, aclient_done_fn *done, void *arg);
/* For the identity of the last successful aclient_verify(). */
struct aclient_req *aclient_grant_get(struct aclient *a,
    const struct msg_GRANT_GET *m, aclient_done_fn *done, void *arg);
struct aclient_req *aclient_access_call(struct aclient *a,
    const struct msg_ACCESS_CALL *m, aclient_done_fn *done, void *arg);
/* In a callback of a request that failed: how long auth wants the client's
 * answer to wait, longer for who guesses on. */
uint32_t aclient_fail_delay_ms(const struct aclient *a);
/* NULL is accepted. */
void aclient_cancel(struct aclient_req *req);

#endif
