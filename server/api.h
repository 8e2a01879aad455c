#ifndef SERVER_API_H
#define SERVER_API_H

#include <stddef.h>
#include <stdint.h>

struct aclient;
struct event_base;
struct request;
struct session;
struct tls_conn;
struct vclient;

/*
 * The REST calls of wire-protocol 2, 3 and 7 and the two upgrades: what the
 * requests of HTTP/1.1 are for ("app").  One per worker.
 */
struct api {
	struct event_base *base;
	struct aclient *auth;
	struct vclient *validator;
	const char *validator_path; /* for a session beside that one */
	const char *peer;        /* the client's address, for auth and logs */
	uint64_t health_next_ms; /* no answer of the health call before */
	/* Somebody proved who he is; for the log and the master. */
	void (*identified)(struct api *api, const char *auth_id);
	/* A session is open and 101 is said: all of it is the callee's, rest
	 * only lent. */
	void (*upgraded)(struct api *api, struct session *s,
	    struct tls_conn *conn, const uint8_t *rest, size_t rest_len);
	void *arg;
};

/* For http1_cfg: route and identity, then the handler. */
void api_dispatch(struct request *req);

#endif
