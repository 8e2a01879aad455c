/*
 * Log lines to syslog, and the socket for that (log_socket.h).  Runs in every
 * process; the text is what log.c made, which has no control characters.
 */
#include "config.h"

#include "common/log_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define LINE_MAX_LEN 4096

static int
connect_to(int fd, const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(sa.sun_path))
		return -1;
	strcpy(sa.sun_path, path);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa));
}

int
log_socket_open(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd != -1 && connect_to(fd, path) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
send_line(int fd, const char *line, size_t len)
{
	return send(fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 ? -1 : 0;
}

int
log_syslog_send(int fd, const char *path, const char *program, int priority,
    const char *text)
{
	char line[LINE_MAX_LEN], when[32];
	time_t now = time(NULL);
	struct tm tm;
	size_t len;

	log_local_time(now, &tm);
	strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
	snprintf(line, sizeof(line), "<%d>%s %s[%d]: %s", LOG_DAEMON | priority,
	    when, program, (int)getpid(), text);
	len = strlen(line);
	if (send_line(fd, line, len) == 0)
		return 0;
	return connect_to(fd, path) == 0 ? send_line(fd, line, len) : -1;
}
