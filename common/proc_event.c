/*
 * Signals and the parent's death as events of the one loop, and systemd's
 * side of a service.  Runs in every process with a loop.
 */
#include "config.h"

#include "common/proc.h"

#include <sys/socket.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <systemd/sd-daemon.h>

#include "common/err.h"

/* A process has one parent. */
static struct {
	void (*gone)(void *ctx);
	void *ctx;
} parent_watch;

static void
on_dead_pipe(int fd, short what, void *arg)
{
	struct event *ev = event_base_get_running_event(arg);
	char buf[16];
	ssize_t n;

	(void)what;
	n = read(fd, buf, sizeof(buf));
	/* Nobody writes into it; what comes all the same means nothing. */
	if (n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR)))
		return;
	if (ev != NULL)
		event_del(ev);
	parent_watch.gone(parent_watch.ctx);
}

struct event *
proc_watch_parent(struct event_base *base, int fd, void (*gone)(void *ctx),
    void *ctx, struct err *e)
{
	struct event *ev;

	parent_watch.gone = gone;
	parent_watch.ctx = ctx;
	ev = event_new(base, fd, EV_READ | EV_PERSIST, on_dead_pipe, base);
	if (ev == NULL || event_add(ev, NULL) == -1) {
		if (ev != NULL)
			event_free(ev);
		err_set(e, ERR_SYS, "cannot watch the parent");
		return NULL;
	}
	return ev;
}

void
proc_signals_init(void)
{
	signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow, as a log that a hasher may not write to. */
	signal(SIGXFSZ, SIG_IGN);
}

struct event *
proc_signal(struct event_base *base, int signo,
    void (*cb)(int fd, short what, void *ctx), void *ctx, struct err *e)
{
	struct event *ev = evsignal_new(base, signo, cb, ctx);

	if (ev == NULL || event_add(ev, NULL) == -1) {
		if (ev != NULL)
			event_free(ev);
		err_set(e, ERR_SYS, "cannot watch signal %d", signo);
		return NULL;
	}
	return ev;
}

void
proc_notify(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sd_notify(0, text);
}

void
proc_notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	proc_notify("RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

uint64_t
proc_watchdog_ms(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec / 2000 : 0;
}

static void
on_watchdog(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	proc_notify("WATCHDOG=1");
}

int
proc_watchdog(struct event_base *base, struct event **out, struct err *e)
{
	uint64_t ms = proc_watchdog_ms();
	struct timeval tv = {(time_t)(ms / 1000),
	    (suseconds_t)(ms % 1000 * 1000)};
	struct event *ev;

	*out = NULL;
	if (ms == 0)
		return 0;
	ev = event_new(base, -1, EV_PERSIST, on_watchdog, NULL);
	if (ev == NULL || event_add(ev, &tv) == -1) {
		if (ev != NULL)
			event_free(ev);
		return err_set(e, ERR_SYS, "cannot make the watchdog's timer");
	}
	*out = ev;
	return 0;
}

int
proc_listen_fd(const char *name, int index)
{
	char **names = NULL;
	int fd = -1, i, n;

	n = sd_listen_fds_with_names(0, &names);
	for (i = 0; i < n; i++) {
		if (fd == -1 && strcmp(names[i], name) == 0 &&
		    sd_is_socket(SD_LISTEN_FDS_START + i, AF_UNSPEC, 0, 1) >
			0 &&
		    index-- == 0)
			fd = SD_LISTEN_FDS_START + i;
		free(names[i]);
	}
	free(names);
	return fd;
}
