#ifndef COMMON_IPC_H
#define COMMON_IPC_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

struct event_base;
struct ipc;
struct ipc_listener;

/*
 * Messages between processes: one packet each on a SOCK_SEQPACKET Unix
 * socket, with up to IPC_FDS_MAX descriptors.  Header, little-endian:
 *
 *   magic u32, version u16, type u16, length u32, flags u32,
 *   session u64, seq u64                                        = 32 bytes
 *
 * A peer may be hostile.  Each packet is checked in this order before its
 * handler sees it: size, magic, version, type, direction, length, state,
 * descriptors; after the handler: whole body consumed.  Any failure closes
 * the endpoint with a reason.  One thread (the loop's) uses an endpoint.
 */
#define IPC_MAGIC 0x43504648 /* "HFPC" */
#define IPC_HDR_LEN 32
#define IPC_BODY_MAX 65536
#define IPC_FDS_MAX 16

/* A received message.  Everything in it is lent until the handler (or the
 * next blocking call on the endpoint) returns. */
struct ipc_msg {
	uint16_t version;
	uint16_t type;
	uint32_t flags;
	uint64_t session;
	uint64_t seq;
	struct wire_r body; /* read all of it, or the peer is closed */
	/* Take a descriptor by setting its place to -1; the rest are closed
	 * when the handler returns.  Unused places are -1. */
	int fds[IPC_FDS_MAX];
	int nfds;
	struct ipc *ipc;
	struct err err; /* the handler's reason for returning -1 */
};

/*
 * One row of a message table.  to: the roles that may receive it; states: the
 * receiver's states in which it is allowed (each a bit, of the table owner's
 * choice).  handler may be NULL in rows that this role cannot receive, or
 * that it only waits for with ipc_call().  It returns 0, or -1 to close the
 * peer (m->err says why).  It may call ipc_send(), ipc_free() and
 * ipc_set_state() on its own endpoint.
 */
struct ipc_row {
	uint16_t id; /* not 0 */
	const char *name;
	uint32_t min; /* body length */
	uint32_t max; /* at most IPC_BODY_MAX */
	uint16_t to;
	uint32_t states;
	uint8_t fds_min;
	uint8_t fds_max; /* at most IPC_FDS_MAX */
	int (*handler)(void *ctx, struct ipc_msg *m);
};

struct ipc_proto {
	const char *name; /* for logs: "validator" */
	const struct ipc_row *rows;
	size_t nrows;
	uint16_t version;     /* sent, and the newest accepted */
	uint16_t version_min; /* the oldest accepted */
};

/* The row of a type, or NULL. */
const struct ipc_row *ipc_row_get(const struct ipc_proto *proto, uint16_t id);

struct ipc_cfg {
	struct event_base *base; /* NULL: only the blocking calls are used */
	const struct ipc_proto *proto;
	uint16_t role;  /* one bit: what we are */
	uint32_t state; /* one bit: the first state */
	void *ctx;      /* for handlers and the callbacks below */
	/*
	 * The endpoint closed itself: the peer went away (ERR_ABORTED), broke
	 * the protocol (ERR_PROTO), or does not read (ERR_LIMIT).  Called
	 * once, from the loop, never from inside ipc_send(); not called after
	 * ipc_free().  Call ipc_free() here or later.
	 */
	void (*closed)(void *ctx, const struct err *why);
	/* The send queue fell to backlog_low after ipc_is_full(); or NULL. */
	void (*drained)(void *ctx);
	size_t backlog_low; /* bytes; all 0: the defaults below */
	size_t backlog_high;
	size_t backlog_max;    /* a peer that lets us queue more is closed */
	unsigned int per_turn; /* packets handled per loop turn; 0: 32 */
};
#define IPC_BACKLOG_LOW (256 * 1024)
#define IPC_BACKLOG_HIGH (1024 * 1024)
#define IPC_BACKLOG_MAX (16 * 1024 * 1024)

/*
 * Takes fd, also on failure (NULL), makes it non-blocking and starts to
 * receive.  cfg is copied.  The peer's credentials are read here.
 */
struct ipc *ipc_new(int fd, const struct ipc_cfg *cfg, struct err *e);
/* Closes and makes the caller's pointer NULL; NULL inside is accepted.  Safe
 * in the endpoint's own handler and callbacks: the memory goes when they
 * have returned.  What is still queued is lost. */
void ipc_free(struct ipc **c);
/* Ends the endpoint, but gives its socket to the caller, for another process to
 * go on with; -1 if it is closed.  What is queued is lost (ipc_backlog()). */
int ipc_detach(struct ipc **c);
/* Closes, and calls closed() with this reason from the loop.  For use outside
 * of handlers (a time limit, say). */
void ipc_fail(struct ipc *c, const struct err *why);

/*
 * Sends or queues one message; never blocks.  Descriptors stay the caller's
 * (they are duplicated if the message is queued).  -1: ERR_ABORTED if the
 * endpoint is closed or just failed, ERR_LIMIT above backlog_max (the
 * endpoint then closes from the loop), ERR_INVALID for a message that the
 * table does not allow to send.
 */
int ipc_send(struct ipc *c, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, size_t len, struct err *e);
int ipc_send_fds(struct ipc *c, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, size_t len, const int *fds, int nfds, struct err *e);
size_t ipc_backlog(const struct ipc *c); /* bytes not yet sent */
/* At or above backlog_high: stop what fills the queue until drained(). */
int ipc_is_full(const struct ipc *c);

/* Stops and restarts receiving (back-pressure); sending goes on.  A peer that
 * goes away is noticed only after ipc_resume(). */
void ipc_pause(struct ipc *c);
void ipc_resume(struct ipc *c);

void ipc_set_state(struct ipc *c, uint32_t state); /* one bit */
uint32_t ipc_state(const struct ipc *c);
int ipc_is_open(const struct ipc *c);
/* Whose connections a listener takes, by the kernel's word on the peer. */
struct ipc_admitted {
	uid_t uids[3];
	size_t nuids;
	gid_t gid; /* or members of this group; -1: none */
};
/* 1 or 0; the peer's uid in any case, -1 if the kernel does not say. */
int ipc_fd_admitted(int fd, const struct ipc_admitted *who, uid_t *uid_out);

/* From the kernel, fixed at connect time (socketpair: the creator's). */
pid_t ipc_peer_pid(const struct ipc *c);
uid_t ipc_peer_uid(const struct ipc *c);
gid_t ipc_peer_gid(const struct ipc *c);

/*
 * Blocking, for a command or a step that cannot wait in the loop.  Not to be
 * called from a handler of the same endpoint.
 *
 * ipc_recv() waits for one packet and checks it as above, but calls no
 * handler; m is lent until the next receive on c, and descriptors in it are
 * the caller's (ipc_msg_close()).  ERR_TIMEOUT, ERR_ABORTED, ERR_PROTO; after
 * one of the latter two the endpoint is closed.
 *
 * ipc_call() sends a request, then waits for the packet with the same seq.
 * Any other packet meanwhile is ERR_PROTO.  The caller looks at m->type.
 */
int ipc_recv(struct ipc *c, int timeout_ms, struct ipc_msg *m, struct err *e);
int ipc_call(struct ipc *c, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, size_t len, const int *fds, int nfds, int timeout_ms,
    struct ipc_msg *m, struct err *e);
/* Sends what is queued; ERR_TIMEOUT. */
int ipc_flush(struct ipc *c, int timeout_ms, struct err *e);
void ipc_msg_close(struct ipc_msg *m); /* closes what nobody took */

/* A connected pair. */
int ipc_pair(int fds_out[2], struct err *e);
/*
 * A listening socket at path, of this mode whatever the umask; a socket file
 * that is there is replaced.  Long paths are fine where /proc is there.
 */
int ipc_listen(const char *path, mode_t mode, struct err *e);
/*
 * Connects without waiting.  ERR_UNAVAILABLE if nobody listens now or the
 * queue is full (ENOENT, ECONNREFUSED, EAGAIN): try again with back-off.
 */
int ipc_connect(const char *path, struct err *e);

/*
 * Accepts on a listening socket (from ipc_listen() or inherited); takes fd,
 * also on failure.  accepted() gets the new descriptor, which is the
 * callee's.  When descriptors run out, accepting pauses for 100 ms.
 */
struct ipc_listener *ipc_listener_new(struct event_base *base, int fd,
    void (*accepted)(void *ctx, int fd), void *ctx, struct err *e);
/* Closes the socket; not from within accepted(). */
void ipc_listener_free(struct ipc_listener **l);

#endif
