#ifndef COMMON_IPC_INT_H
#define COMMON_IPC_INT_H

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "common/ipc.h"

struct event;

/* For ipc.c, ipc_blocking.c, ipc_packet.c and their tests only. */

#define IPC_PACKET_MAX (IPC_HDR_LEN + IPC_BODY_MAX)

/* A packet that the socket did not take yet. */
struct ipc_out {
	TAILQ_ENTRY(ipc_out) entry;
	size_t len;
	int fds[IPC_FDS_MAX]; /* owned */
	int nfds;
	uint8_t data[];
};
TAILQ_HEAD(ipc_out_list, ipc_out);

struct ipc {
	int fd; /* -1 once closed */
	struct ipc_cfg cfg;
	uint32_t state;
	struct ucred cred;
	struct event *ev_read;
	struct event *ev_write;
	struct event *ev_retry;  /* tries to write after a while */
	struct event *ev_closed; /* calls closed() from the loop */
	struct ipc_out_list out;
	size_t backlog;
	int was_full;
	int busy;  /* inside a handler or callback: do not free yet */
	int freed; /* ipc_free() while busy */
	struct err why;
	uint8_t *buf; /* IPC_PACKET_MAX */
};

/*
 * One packet from fd into buf.  1 received; 0 nothing there now; -1 end of
 * file (ERR_ABORTED), truncated or too many descriptors (ERR_PROTO), system
 * error.  On -1 no descriptor stays open.
 */
int ipc_packet_recv(int fd, uint8_t *buf, size_t *len_out, int fds[IPC_FDS_MAX],
    int *nfds_out, struct err *e);
/* One packet to fd: IPC_SENT, or -1, or nothing went out: IPC_FULL until the
 * socket has room, IPC_LATER until descriptors in flight were received. */
#define IPC_FULL 0
#define IPC_SENT 1
#define IPC_LATER 2
int ipc_packet_send(int fd, const uint8_t *hdr, const void *body,
    size_t body_len, const int *fds, int nfds, struct err *e);

/*
 * Header and row checks in the order that ipc.h promises.  Fills m but for
 * the descriptors; *row_out is the row.  0, or -1 with ERR_PROTO.
 */
int ipc_packet_check(const struct ipc_proto *proto, uint16_t role,
    uint32_t state, const uint8_t *buf, size_t len, int nfds, struct ipc_msg *m,
    const struct ipc_row **row_out, struct err *e);
/* hdr: IPC_HDR_LEN bytes. */
void ipc_packet_header(uint8_t *hdr, const struct ipc_proto *proto,
    uint16_t type, uint32_t body_len, uint64_t session, uint64_t seq);

/* One packet from the endpoint's socket, checked: 1, 0 none now, -1 and the
 * endpoint is closed with c->why. */
int ipc_next(struct ipc *c, struct ipc_msg *m, const struct ipc_row **row);
/* Sends from the queue: IPC_SENT all of it, IPC_FULL, IPC_LATER, -1 closed. */
int ipc_send_queued(struct ipc *c);

#endif
