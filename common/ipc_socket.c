/*
 * Making the sockets that messages travel on: pairs for children, listeners
 * and connections by path.
 */
#include "config.h"

#include <event2/event.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"

#define GROUPS_MAX 256
#define LISTEN_BACKLOG 4096
#define ACCEPT_PER_TURN 16
#define ACCEPT_PAUSE_US 100000

int
ipc_pair(int fds_out[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds_out) ==
	    -1) {
		fds_out[0] = fds_out[1] = -1;
		return err_errno(e, errno, "socket pair");
	}
	return 0;
}

/*
 * A path that is too long for sun_path is reached through a descriptor of its
 * folder, which the caller closes (-1: none was needed).
 */
static int
socket_address(const char *path, struct sockaddr_un *sa, int *dir_out,
    struct err *e)
{
	char copy[PATH_MAX];
	const char *name = strrchr(path, '/');
	int n;

	*dir_out = -1;
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (strlen(path) < sizeof(sa->sun_path)) {
		memcpy(sa->sun_path, path, strlen(path) + 1);
		return 0;
	}
	if (name == NULL || strlen(path) >= sizeof(copy))
		return err_set(e, ERR_INVALID, "socket path is too long: %s",
		    path);
	memcpy(copy, path, strlen(path) + 1);
	*dir_out =
	    io_openat(AT_FDCWD, dirname(copy), O_PATH | O_DIRECTORY, 0, e);
	if (*dir_out == -1)
		return -1;
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d%s",
	    *dir_out, name);
	if (n < 0 || (size_t)n >= sizeof(sa->sun_path)) {
		io_close(dir_out);
		return err_set(e, ERR_INVALID, "socket name is too long: %s",
		    path);
	}
	return 0;
}

int
ipc_listen(const char *path, mode_t mode, struct err *e)
{
	struct sockaddr_un sa;
	struct stat st;
	mode_t old;
	int fd = -1, dir = -1, rv = -1, bound;

	if (socket_address(path, &sa, &dir, e) == -1)
		return -1;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		err_errno(e, errno, "socket");
		goto out;
	}
	old = umask(0777 & ~mode);
	bound = bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	umask(old);
	if (bound == -1) {
		err_errno(e, errno, "bind %s", path);
		goto out;
	}
	if (listen(fd, LISTEN_BACKLOG) == -1) {
		err_errno(e, errno, "listen on %s", path);
		goto out;
	}
	rv = fd;
	fd = -1;
out:
	io_close(&fd);
	io_close(&dir);
	return rv;
}

int
ipc_connect(const char *path, struct err *e)
{
	struct sockaddr_un sa;
	int fd = -1, dir = -1, rv = -1;

	if (socket_address(path, &sa, &dir, e) == -1) {
		/* Its folder is not there: as below. */
		if (e != NULL && e->code == ERR_NOT_FOUND)
			e->code = ERR_UNAVAILABLE;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		err_errno(e, errno, "socket");
		goto out;
	}
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == -1) {
		err_errno(e, errno, "connect to %s", path);
		if (e != NULL &&
		    (e->sys == ENOENT || e->sys == ECONNREFUSED ||
			e->sys == EAGAIN))
			e->code = ERR_UNAVAILABLE;
		goto out;
	}
	rv = fd;
	fd = -1;
out:
	io_close(&fd);
	io_close(&dir);
	return rv;
}

struct ipc_listener {
	int fd;
	struct event *ev_read;
	struct event *ev_resume;
	void (*accepted)(void *ctx, int fd);
	void *ctx;
};

static void
listener_on_read(int fd, short what, void *arg)
{
	struct ipc_listener *l = arg;
	struct timeval pause = {.tv_usec = ACCEPT_PAUSE_US};
	int i, conn;

	(void)what;
	for (i = 0; i < ACCEPT_PER_TURN; i++) {
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn != -1) {
			l->accepted(l->ctx, conn);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			log_warn_sys("ipc", "accept paused");
			event_del(l->ev_read);
			event_add(l->ev_resume, &pause);
		}
		return;
	}
}

static void
listener_on_resume(int fd, short what, void *arg)
{
	struct ipc_listener *l = arg;

	(void)fd;
	(void)what;
	event_add(l->ev_read, NULL);
}

struct ipc_listener *
ipc_listener_new(struct event_base *base, int fd,
    void (*accepted)(void *ctx, int fd), void *ctx, struct err *e)
{
	struct ipc_listener *l = xcalloc(1, sizeof(*l));

	l->fd = fd;
	l->accepted = accepted;
	l->ctx = ctx;
	if (io_set_nonblock(fd, e) == -1)
		goto fail;
	l->ev_read =
	    event_new(base, fd, EV_READ | EV_PERSIST, listener_on_read, l);
	l->ev_resume = event_new(base, -1, 0, listener_on_resume, l);
	if (l->ev_read == NULL || l->ev_resume == NULL ||
	    event_add(l->ev_read, NULL) == -1) {
		err_set(e, ERR_NOMEM, "cannot make an event");
		goto fail;
	}
	return l;
fail:
	ipc_listener_free(&l);
	return NULL;
}

void
ipc_listener_free(struct ipc_listener **lp)
{
	struct ipc_listener *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	if (l->ev_read != NULL)
		event_free(l->ev_read);
	if (l->ev_resume != NULL)
		event_free(l->ev_resume);
	io_close(&l->fd);
	free(l);
}

static int
peer_in_group(int fd, gid_t primary, gid_t wanted)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);
	size_t i;

	if (wanted == (gid_t)-1)
		return 0;
	if (primary == wanted)
		return 1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return 0;
	for (i = 0; i < len / sizeof(groups[0]); i++) {
		if (groups[i] == wanted)
			return 1;
	}
	return 0;
}

int
ipc_fd_admitted(int fd, const struct ipc_admitted *who, uid_t *uid_out)
{
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);
	size_t i;

	*uid_out = (uid_t)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return 0;
	*uid_out = cred.uid;
	for (i = 0; i < who->nuids; i++) {
		if (who->uids[i] == cred.uid)
			return 1;
	}
	return peer_in_group(fd, cred.gid, who->gid);
}
