/*
 * Single packets on SOCK_SEQPACKET sockets: what recvmsg() and the header
 * say, before any handler.  The sender may be a captured process.
 */
#include "config.h"

#include "common/ipc_int.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

/* Room for more descriptors than allowed, to see and close a surplus. */
#define FDS_ROOM 16

/* Takes all descriptors out of the control data.  More than IPC_FDS_MAX, or
 * anything else in there, is a breach; then all are closed. */
static int
take_fds(struct msghdr *mh, int fds[IPC_FDS_MAX], int *nfds_out, struct err *e)
{
	struct cmsghdr *c;
	size_t i, n, total = 0;
	int fd, bad = (mh->msg_flags & MSG_CTRUNC) != 0;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			bad = 1;
			continue;
		}
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (total < IPC_FDS_MAX)
				fds[total] = fd;
			else
				close(fd);
			total++;
		}
	}
	if (bad || total > IPC_FDS_MAX) {
		for (i = 0; i < IPC_FDS_MAX; i++)
			io_close(&fds[i]);
		return err_set(e, ERR_PROTO, "surplus or lost descriptors");
	}
	*nfds_out = (int)total;
	return 0;
}

int
ipc_packet_recv(int fd, uint8_t *buf, size_t *len_out, int fds[IPC_FDS_MAX],
    int *nfds_out, struct err *e)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_ROOM * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = buf, .iov_len = IPC_PACKET_MAX};
	struct msghdr mh = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.buf,
	    .msg_controllen = sizeof(control.buf),
	};
	ssize_t n;
	size_t i;

	for (i = 0; i < IPC_FDS_MAX; i++)
		fds[i] = -1;
	*nfds_out = 0;
	do
		n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n == -1 && errno == ECONNRESET)
		return err_set(e, ERR_ABORTED, "connection reset by peer");
	if (n == -1)
		return err_errno(e, errno, "receive");
	if (take_fds(&mh, fds, nfds_out, e) == -1)
		return -1;
	if (mh.msg_flags & MSG_TRUNC) {
		for (i = 0; i < IPC_FDS_MAX; i++)
			io_close(&fds[i]);
		return err_set(e, ERR_PROTO, "packet is too long");
	}
	/* A packet of length 0 cannot be told from the end; none is legal. */
	if (n == 0) {
		for (i = 0; i < IPC_FDS_MAX; i++)
			io_close(&fds[i]);
		return err_set(e, ERR_ABORTED, "connection closed by peer");
	}
	*len_out = (size_t)n;
	return 1;
}

int
ipc_packet_send(int fd, const uint8_t *hdr, const void *body, size_t body_len,
    const int *fds, int nfds, struct err *e)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(IPC_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov[2] = {
	    {.iov_base = (void *)(uintptr_t)hdr, .iov_len = IPC_HDR_LEN},
	    {.iov_base = (void *)(uintptr_t)body, .iov_len = body_len},
	};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	struct cmsghdr *c;
	ssize_t n;

	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)nfds * sizeof(int));
	}
	do
		n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	if (n != -1)
		return IPC_SENT;
	if (errno == EAGAIN)
		return IPC_FULL;
	if (errno == ENOBUFS || errno == ETOOMANYREFS)
		return IPC_LATER;
	if (errno == EPIPE || errno == ECONNRESET)
		return err_set(e, ERR_ABORTED, "connection closed by peer");
	return err_errno(e, errno, "send");
}

const struct ipc_row *
ipc_row_get(const struct ipc_proto *proto, uint16_t id)
{
	size_t i;

	for (i = 0; i < proto->nrows; i++)
		if (proto->rows[i].id == id)
			return &proto->rows[i];
	return NULL;
}

void
ipc_packet_header(uint8_t *hdr, const struct ipc_proto *proto, uint16_t type,
    uint32_t body_len, uint64_t session, uint64_t seq)
{
	/* In the order of ipc.h; flags are 0. */
	uint64_t words[IPC_HDR_LEN / 8] = {
	    htole64((uint64_t)type << 48 | (uint64_t)proto->version << 32 |
		IPC_MAGIC),
	    htole64(body_len),
	    htole64(session),
	    htole64(seq),
	};

	memcpy(hdr, words, IPC_HDR_LEN);
}

int
ipc_packet_check(const struct ipc_proto *proto, uint16_t role, uint32_t state,
    const uint8_t *buf, size_t len, int nfds, struct ipc_msg *m,
    const struct ipc_row **row_out, struct err *e)
{
	const struct ipc_row *row;
	struct wire_r r;
	uint32_t magic, body_len;

	if (len < IPC_HDR_LEN)
		return err_set(e, ERR_PROTO, "packet of %zu bytes is too short",
		    len);
	wire_r_init(&r, buf, len);
	magic = wire_r_u32(&r);
	m->version = wire_r_u16(&r);
	m->type = wire_r_u16(&r);
	body_len = wire_r_u32(&r);
	m->flags = wire_r_u32(&r);
	m->session = wire_r_u64(&r);
	m->seq = wire_r_u64(&r);
	m->body = r;
	if (magic != IPC_MAGIC)
		return err_set(e, ERR_PROTO, "wrong magic");
	if (m->version < proto->version_min || m->version > proto->version)
		return err_set(e, ERR_PROTO, "version %u is not spoken here",
		    m->version);
	row = ipc_row_get(proto, m->type);
	if (row == NULL)
		return err_set(e, ERR_PROTO, "unknown type %u", m->type);
	if (!(row->to & role))
		return err_set(e, ERR_PROTO, "%s in the wrong direction",
		    row->name);
	if (body_len != len - IPC_HDR_LEN || body_len < row->min ||
	    body_len > row->max)
		return err_set(e, ERR_PROTO, "%s with length %u (of %zu)",
		    row->name, body_len, len - IPC_HDR_LEN);
	if (!(row->states & state))
		return err_set(e, ERR_PROTO, "%s in the wrong state",
		    row->name);
	if (nfds < row->fds_min || nfds > row->fds_max)
		return err_set(e, ERR_PROTO, "%s with %d descriptors",
		    row->name, nfds);
	*row_out = row;
	return 0;
}
