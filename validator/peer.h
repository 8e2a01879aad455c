#ifndef VALIDATOR_PEER_H
#define VALIDATOR_PEER_H

#include <sys/types.h>

#include <stdint.h>

#include "common/ipc.h"
#include "common/msg.h"

/*
 * Workers' connections (channel WV).  A worker is hostile: whoever breaks a
 * rule is closed with a log line "BUG:", and that ends its session as the
 * worker's death would.  All of it belongs to the loop.
 *
 * A worker has one, and another while it answers a call that reads a file or
 * asks for our health: no process may have more than PROC_WORKER_CONNS_MAX.
 */
#define PEERS_MAX (2 * PROC_WORKERS_MAX)
#define PEER_HELLO_MS 10000
#define PEER_CALLS_MAX 64 /* calls of one worker that are not answered yet */

struct call;
struct event_base;
struct peer;
struct peers;
struct session;
struct validator;

/* Takes the listening socket fd, also on failure. */
struct peers *peers_new(struct validator *v, int fd, struct err *e);
/* Closes all; sessions stay as they are, for the next process. */
void peers_free(struct peers **p);
unsigned int peers_count(const struct peers *p);

struct validator *peer_validator(const struct peer *p);
pid_t peer_pid(const struct peer *p);
struct session *peer_session(const struct peer *p);
/* A session takes this peer's SESSION_OPEN or SESSION_RESUME; until
 * peer_attach() the peer is not yet in state SESSION. */
void peer_reserve(struct peer *p, struct session *s);
void peer_attach(struct peer *p);
/* The session lets go: the peer is READY again. */
void peer_detach(struct peer *p);
/* Calls that are on their way; each has its peer until it is answered or the
 * peer is gone (call_peer_gone()). */
void peer_add_call(struct peer *p, struct call *c);
void peer_remove_call(struct peer *p, struct call *c);
unsigned int peer_ncalls(const struct peer *p);

/* Sends; a failure closes the peer later, from the loop, so that nobody needs
 * to look.  fd is lent, -1: none. */
void peer_send(struct peer *p, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, ssize_t len, int fd);
void peer_send_fail(struct peer *p, uint64_t session, uint64_t seq,
    const struct err *why);
void peer_send_done(struct peer *p, uint64_t session, uint64_t seq);
/* PEER_SEND(peer, APPENDED, session id, seq, &msg, fd) */
#define PEER_SEND(p, NAME, sid, seq, m, fd)                       \
	do {                                                      \
		uint8_t buf_[MSG_MAX_##NAME + 1];                 \
		struct wire_w w_;                                 \
                                                                  \
		wire_w_init(&w_, buf_, sizeof(buf_));             \
		msg_put_##NAME(&w_, (m));                         \
		peer_send((p), MSG_ID_##NAME, (sid), (seq), buf_, \
		    wire_w_len(&w_), (fd));                       \
	} while (0)

/* For handlers: reads a message into dst or sets m->err. */
#define PEER_GET(m, NAME, dst)                  \
	(msg_get_##NAME(&(m)->body, (dst)) == 0 \
		? 0                             \
		: err_set(&(m)->err, ERR_PROTO, "malformed " #NAME))
/* The peer's session if that is the one the message names, else NULL and
 * m->err set. */
struct session *peer_session_of(struct peer *p, struct ipc_msg *m);

/* The handlers, one for each row of ipc_msgs.def; ctx is the struct peer. */
#define PEER_HANDLER(name) int val_on_##name(void *ctx, struct ipc_msg *m)
PEER_HANDLER(hello);          /* peer.c */
PEER_HANDLER(session_open);   /* session_open.c */
PEER_HANDLER(session_resume); /* session_resume.c */
PEER_HANDLER(session_log);    /* session.c */
PEER_HANDLER(session_close);  /* session.c */
PEER_HANDLER(file_open);      /* session_files.c */
PEER_HANDLER(index_create);   /* session_index.c */
PEER_HANDLER(index_close);    /* session_index.c */
PEER_HANDLER(append);         /* session_append.c */
PEER_HANDLER(deposit);        /* deposit.c */
PEER_HANDLER(blob_put);       /* blob.c */
PEER_HANDLER(chunk_open);     /* session_reader.c */
PEER_HANDLER(finish);         /* finish.c */
PEER_HANDLER(call);           /* call.c */
PEER_HANDLER(call_data);      /* call.c */

/* The table itself, for tests. */
extern const struct ipc_proto peer_proto;

#endif
