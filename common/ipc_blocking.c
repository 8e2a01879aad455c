/*
 * Waiting for one answer: the commands, which have no loop, and the one step
 * of a worker that cannot wait in its loop, the signature of a handshake.
 */
#include "config.h"

#include "common/ipc_int.h"

#include <errno.h>
#include <poll.h>

#include "common/io.h"

#define RETRY_MS 20

/* Waits for poll events until deadline_ms (monotonic). */
static int
wait_until(const struct ipc *c, short events, uint64_t deadline_ms,
    struct err *e)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	uint64_t now = io_monotonic_ms();
	int n;

	if (c->fd == -1)
		return err_set(e, ERR_ABORTED, "connection is closed");
	if (now >= deadline_ms)
		return err_set(e, ERR_TIMEOUT, "no answer in time");
	n = poll(&p, 1, (int)(deadline_ms - now));
	if (n == -1 && errno != EINTR)
		return err_errno(e, errno, "poll");
	return 0;
}

int
ipc_recv(struct ipc *c, int timeout_ms, struct ipc_msg *m, struct err *e)
{
	uint64_t deadline = io_monotonic_ms() + (uint64_t)timeout_ms;
	const struct ipc_row *row;
	int rv;

	for (;;) {
		if (c->fd == -1)
			return err_set(e, ERR_ABORTED, "connection is closed");
		rv = ipc_next(c, m, &row);
		if (rv == 1)
			return 0;
		if (rv == -1) {
			if (e != NULL)
				*e = c->why;
			return -1;
		}
		if (wait_until(c, POLLIN, deadline, e) == -1)
			return -1;
	}
}

int
ipc_flush(struct ipc *c, int timeout_ms, struct err *e)
{
	uint64_t deadline = io_monotonic_ms() + (uint64_t)timeout_ms;
	int rv;

	for (;;) {
		if (c->fd == -1)
			return err_set(e, ERR_ABORTED, "connection is closed");
		rv = ipc_send_queued(c);
		if (rv == IPC_SENT)
			return 0;
		if (rv == -1) {
			if (e != NULL)
				*e = c->why;
			return -1;
		}
		if (rv == IPC_LATER)
			poll(NULL, 0, RETRY_MS);
		if (wait_until(c, POLLOUT, deadline, e) == -1)
			return -1;
	}
}

int
ipc_call(struct ipc *c, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, size_t len, const int *fds, int nfds, int timeout_ms,
    struct ipc_msg *m, struct err *e)
{
	struct err why;

	if (ipc_send_fds(c, type, session, seq, body, len, fds, nfds, e) ==
		-1 ||
	    ipc_flush(c, timeout_ms, e) == -1 ||
	    ipc_recv(c, timeout_ms, m, e) == -1)
		return -1;
	if (m->seq != seq) {
		ipc_msg_close(m);
		err_set(&why, ERR_PROTO, "answer to another request");
		ipc_fail(c, &why);
		return err_set(e, ERR_PROTO, "%s", why.msg);
	}
	return 0;
}
