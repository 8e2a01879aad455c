#ifndef SERVER_SESSION_HTTP_H
#define SERVER_SESSION_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct event_base;
struct route;
struct session;
struct session_http;
struct tls_conn;

/*
 * A session and the HTTP/2 connection that drives it, from the 101 to the
 * end.  Takes s and conn; rest are bytes that came behind the upgrade
 * request, lent.  ended is called once, from the loop, when the client is
 * gone and the validator knows.
 */
struct session_http *session_http_new(struct event_base *base,
    struct session *s, struct tls_conn *conn, const uint8_t *rest,
    size_t rest_len, void (*ended)(void *arg), void *arg);
/* Drops everything at once.  NULL is accepted. */
void session_http_free(struct session_http *h);

/* The calls of such a session: h2_routes.def as a table. */
const struct route *session_routes(enum session_kind kind, size_t *count_out);

#endif
