/*
 * Processes that are connected to us.  Runs in the loop of auth and of the
 * validator; the peers are workers, which may be captured.  A pid alone is no
 * name, since it is used again: what is kept beyond the last connection is
 * kept until a pidfd says that the process has ended.
 */
#include "config.h"

#include "common/peer_process.h"

#include <sys/queue.h>
#include <sys/syscall.h>

#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"

/* The kernel counts pids up: they spread by themselves. */
#define BUCKETS 1024

struct peer_process {
	LIST_ENTRY(peer_process) entry;
	struct peer_processes *all;
	pid_t pid;
	unsigned int connections;
	int used; /* peer_process_once() */
	int pidfd;
	struct event *ends; /* with pidfd; NULL: not kept */
};

struct peer_processes {
	struct event_base *base;
	LIST_HEAD(, peer_process) buckets[BUCKETS];
};

struct peer_processes *
peer_processes_new(struct event_base *base)
{
	struct peer_processes *ps = xcalloc(1, sizeof(*ps));

	ps->base = base;
	return ps;
}

static void
process_forget(struct peer_process *p)
{
	if (p->ends != NULL)
		event_free(p->ends);
	p->ends = NULL;
	io_close(&p->pidfd);
}

static void
process_free_unused(struct peer_process *p)
{
	if (p->connections > 0 || p->ends != NULL)
		return;
	LIST_REMOVE(p, entry);
	free(p);
}

void
peer_processes_free(struct peer_processes **pp)
{
	struct peer_processes *ps = *pp;
	struct peer_process *p;
	size_t i;

	*pp = NULL;
	if (ps == NULL)
		return;
	for (i = 0; i < BUCKETS; i++) {
		while ((p = LIST_FIRST(&ps->buckets[i])) != NULL) {
			if (p->connections > 0)
				fatal("peer", "a process has not left");
			process_forget(p);
			process_free_unused(p);
		}
	}
	free(ps);
}

struct peer_process *
peer_process_enter(struct peer_processes *ps, pid_t pid, unsigned int max)
{
	struct peer_process *p;

	LIST_FOREACH(p, &ps->buckets[(unsigned int)pid % BUCKETS], entry) {
		if (p->pid == pid)
			break;
	}
	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->all = ps;
		p->pid = pid;
		p->pidfd = -1;
		LIST_INSERT_HEAD(&ps->buckets[(unsigned int)pid % BUCKETS], p,
		    entry);
	}
	if (p->connections >= max)
		return NULL;
	p->connections++;
	return p;
}

static void
process_ended(evutil_socket_t fd, short what, void *arg)
{
	struct peer_process *p = arg;

	(void)fd;
	(void)what;
	/* Whoever has come under its number meanwhile is another one. */
	p->used = 0;
	process_forget(p);
	process_free_unused(p);
}

/* Only who goes on without a connection takes a descriptor: a worker that ends
 * is gone by now, or at once. */
static void
process_keep(struct peer_process *p)
{
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd == -1)
		return;
	p->ends = event_new(p->all->base, p->pidfd, EV_READ, process_ended, p);
	if (p->ends == NULL || event_add(p->ends, NULL) == -1)
		fatal("peer", "no event");
}

void
peer_process_leave(struct peer_process **pp)
{
	struct peer_process *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	p->connections--;
	if (p->connections == 0 && p->used && p->ends == NULL)
		process_keep(p);
	process_free_unused(p);
}

int
peer_process_once(struct peer_process *p, struct err *e)
{
	if (p->used)
		return err_set(e, ERR_PROTO, "asks for it a second time");
	p->used = 1;
	return 0;
}
