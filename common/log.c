/*
 * Log lines of every process: to the journal with fields (log_journal.c), to
 * syslog (log_socket.c) or to a terminal, and to stderr if the one that is
 * wanted is not to be had.  Each line is one write, so lines of several
 * processes do not mix.  Nothing here reads input.
 */
#include "config.h"

#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log_journal.h"
#include "common/log_socket.h"
#include "common/proc.h"

#define LOG_LINE_MAX 2048

enum log_target {
	LOG_TARGET_STDERR,
	LOG_TARGET_JOURNAL,
	LOG_TARGET_SYSLOG,
};

static struct {
	const char *program;
	enum log_target target;
	int debug;
	int socket;     /* of the journal or syslog; -1: none, by stderr */
	int reads_zone; /* log_init() */
	char prefix[256];
} log_state = {
    .program = "holdfast",
    .target = LOG_TARGET_STDERR,
    .socket = -1,
};

static const char *const target_name[] = {
    [LOG_TARGET_STDERR] = "stderr",
    [LOG_TARGET_JOURNAL] = "journal",
    [LOG_TARGET_SYSLOG] = "syslog",
};

static const char *const target_socket[] = {
    [LOG_TARGET_JOURNAL] = LOG_JOURNAL_SOCKET,
    [LOG_TARGET_SYSLOG] = LOG_SYSLOG_SOCKET,
};

static void
log_inherit(void)
{
	const char *env = getenv(PROC_ENV_LOG);
	size_t i, n;

	for (i = 0;
	     env != NULL && i < sizeof(target_name) / sizeof(*target_name);
	     i++) {
		n = strlen(target_name[i]);
		if (strncmp(env, target_name[i], n) != 0)
			continue;
		log_state.target = (enum log_target)i;
		log_state.debug = strcmp(env + n, "+debug") == 0;
	}
}

void
log_init(const char *program, unsigned int flags)
{
	char env[32];
	time_t now = time(NULL);
	struct tm tm;

	log_state.reads_zone = 1;
	localtime_r(&now, &tm);
	log_state.reads_zone = 0;
	log_state.program = program;
	log_state.debug = (flags & LOG_F_DEBUG) != 0;
	if (flags & LOG_F_STDERR)
		log_state.target = LOG_TARGET_STDERR;
	else if (getenv("JOURNAL_STREAM") != NULL)
		log_state.target = LOG_TARGET_JOURNAL;
	else
		log_state.target = LOG_TARGET_SYSLOG;
	if (flags & LOG_F_INHERIT)
		log_inherit();
	snprintf(env, sizeof(env), "%s%s", target_name[log_state.target],
	    log_state.debug ? "+debug" : "");
	setenv(PROC_ENV_LOG, env, 1);
	if (log_state.target != LOG_TARGET_STDERR && log_state.socket == -1)
		log_state.socket =
		    log_socket_open(target_socket[log_state.target]);
}

int
log_keeps_fd(void)
{
	return log_state.socket;
}

void
log_set_field(const char *name, const char *value)
{
	log_journal_field(name, value);
}

void
log_set_debug(int on)
{
	log_state.debug = on;
}

int
log_debug_on(void)
{
	return log_state.debug;
}

void
log_set_prefix(const char *fmt, ...)
{
	va_list ap;

	log_state.prefix[0] = '\0';
	if (fmt == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(log_state.prefix, sizeof(log_state.prefix) - 2, fmt, ap);
	va_end(ap);
	strcat(log_state.prefix, ": ");
}

void
log_local_time(time_t t, struct tm *out)
{
	if (log_state.reads_zone)
		*out = (struct tm){.tm_mday = 1, .tm_year = 70};
	else
		localtime_r(&t, out);
}

static void
log_to_stderr(int priority, const char *text)
{
	char line[LOG_LINE_MAX + 128], when[32];
	struct timespec ts;
	struct tm tm;
	ssize_t n;
	int len;

	if (log_state.target == LOG_TARGET_JOURNAL) {
		len = snprintf(line, sizeof(line), "<%d>%s\n", priority, text);
	} else {
		clock_gettime(CLOCK_REALTIME, &ts);
		log_local_time(ts.tv_sec, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
		len = snprintf(line, sizeof(line), "%s.%03ld %s[%d] %s\n", when,
		    ts.tv_nsec / 1000000, log_state.program, (int)getpid(),
		    text);
	}
	do
		n = write(STDERR_FILENO, line, (size_t)len);
	while (n == -1 && errno == EINTR);
}

static int
log_to_socket(int priority, const char *text, size_t start, const char *fmt,
    va_list ap)
{
	int fd = log_state.socket;

	if (fd == -1)
		return -1;
	if (log_state.target == LOG_TARGET_SYSLOG)
		return log_syslog_send(fd, LOG_SYSLOG_SOCKET, log_state.program,
		    priority, text);
	return log_journal_send(fd, log_state.program, priority, text, start,
	    fmt, ap);
}

/* "subsystem: prefix: message: reason"; a long message loses its tail. */
static void
log_v(int priority, const char *sub, const char *reason, const char *fmt,
    va_list ap)
{
	char text[LOG_LINE_MAX];
	size_t len, end;
	char *p;
	int saved = errno;
	va_list copy;

	va_copy(copy, ap);
	snprintf(text, sizeof(text), "%s: %s", sub, log_state.prefix);
	len = strlen(text);
	vsnprintf(text + len, sizeof(text) - len, fmt, ap);
	end = strlen(text);
	if (reason != NULL)
		snprintf(text + end, sizeof(text) - end, ": %s", reason);
	for (p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	if (log_to_socket(priority, text, len, fmt, copy) == -1)
		log_to_stderr(priority, text);
	va_end(copy);
	errno = saved;
}

#define LOG_PLAIN(name, priority, wanted)                \
	void name(const char *sub, const char *fmt, ...) \
	{                                                \
		va_list ap;                              \
		if (!(wanted))                           \
			return;                          \
		va_start(ap, fmt);                       \
		log_v(priority, sub, NULL, fmt, ap);     \
		va_end(ap);                              \
	}
#define LOG_WITH_ERR(name, priority, wanted)                                  \
	void name(const char *sub, const struct err *e, const char *fmt, ...) \
	{                                                                     \
		va_list ap;                                                   \
		if (!(wanted))                                                \
			return;                                               \
		va_start(ap, fmt);                                            \
		log_v(priority, sub, e->msg, fmt, ap);                        \
		va_end(ap);                                                   \
	}
#define LOG_WITH_ERRNO(name, priority)                   \
	void name(const char *sub, const char *fmt, ...) \
	{                                                \
		va_list ap;                              \
		const char *reason = strerror(errno);    \
		va_start(ap, fmt);                       \
		log_v(priority, sub, reason, fmt, ap);   \
		va_end(ap);                              \
	}
LOG_PLAIN(log_err, LOG_ERR, 1)
LOG_PLAIN(log_warn, LOG_WARNING, 1)
LOG_PLAIN(log_info, LOG_INFO, 1)
LOG_PLAIN(log_debug, LOG_DEBUG, log_state.debug)
LOG_WITH_ERR(log_err_e, LOG_ERR, 1)
LOG_WITH_ERR(log_warn_e, LOG_WARNING, 1)
LOG_WITH_ERR(log_debug_e, LOG_DEBUG, log_state.debug)
LOG_WITH_ERRNO(log_err_sys, LOG_ERR)
LOG_WITH_ERRNO(log_warn_sys, LOG_WARNING)

void
fatal(const char *sub, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_CRIT, sub, NULL, fmt, ap);
	va_end(ap);
	_exit(PROC_EXIT_FATAL);
}

void
fatal_e(const char *sub, const struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_CRIT, sub, e->msg, fmt, ap);
	va_end(ap);
	_exit(PROC_EXIT_FATAL);
}

void
fatal_sys(const char *sub, const char *fmt, ...)
{
	const char *reason = strerror(errno);
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_CRIT, sub, reason, fmt, ap);
	va_end(ap);
	_exit(PROC_EXIT_FATAL);
}
