#ifndef COMMON_LOG_SOCKET_H
#define COMMON_LOG_SOCKET_H

/*
 * For log.c: the socket of whoever keeps the log, and lines to it as syslog(3)
 * would write them.  That function holds a descriptor which nobody can name, so
 * a child that closes what it does not know would close it, too, and the next
 * socket with its number would get the lines.
 */
#define LOG_SYSLOG_SOCKET "/dev/log"

/* Connected, or -1 if nobody listens there. */
int log_socket_open(const char *path);
/* One line. If another syslogd has taken the place, that one gets it, as far as
 * this process may still connect. -1 if nobody does; never blocks. */
int log_syslog_send(int fd, const char *path, const char *program, int priority,
    const char *text);

#endif
