#include "config.h"

#include "common/peer_process.h"

#include <sys/wait.h>

#include <unistd.h>

#include <criterion/criterion.h>
#include <event2/event.h>

#define PID 1234
#define SAME_BUCKET (PID + 1024)

static struct event_base *base;
static struct peer_processes *ps;

static void
set_up(void)
{
	base = event_base_new();
	ps = peer_processes_new(base);
}

static void
tear_down(void)
{
	peer_processes_free(&ps);
	event_base_free(base);
}

TestSuite(peer_process, .init = set_up, .fini = tear_down);

Test(peer_process, so_many_connections_each)
{
	struct peer_process *p[3], *other;
	int i;

	for (i = 0; i < 3; i++)
		cr_assert_not_null(p[i] = peer_process_enter(ps, PID, 3));
	cr_expect_null(peer_process_enter(ps, PID, 3));
	other = peer_process_enter(ps, SAME_BUCKET, 3);
	cr_expect_not_null(other);
	peer_process_leave(&p[0]);
	cr_expect_null(p[0]);
	p[0] = peer_process_enter(ps, PID, 3);
	cr_expect_not_null(p[0]);
	cr_expect_null(peer_process_enter(ps, PID, 3));
	for (i = 0; i < 3; i++)
		peer_process_leave(&p[i]);
	peer_process_leave(&other);
	peer_process_leave(&other);
}

static pid_t
start_child(int *hold)
{
	int fds[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		close(fds[1]);
		_exit(read(fds[0], &c, 1) != 0);
	}
	close(fds[0]);
	*hold = fds[1];
	return pid;
}

static void
end_child(pid_t pid, int hold)
{
	close(hold);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

/* One a process, on whichever connection, also after all were closed. */
Test(peer_process, once_in_its_life)
{
	struct peer_process *p, *q;
	struct err e;
	pid_t pid;
	int hold;

	pid = start_child(&hold);
	p = peer_process_enter(ps, pid, 2);
	q = peer_process_enter(ps, pid, 2);
	cr_assert_eq(peer_process_once(p, &e), 0, "%s", e.msg);
	cr_expect_eq(peer_process_once(q, &e), -1);
	cr_expect_eq(e.code, ERR_PROTO);
	peer_process_leave(&p);
	peer_process_leave(&q);
	event_base_loop(base, EVLOOP_NONBLOCK);
	p = peer_process_enter(ps, pid, 2);
	cr_expect_eq(peer_process_once(p, &e), -1);
	peer_process_leave(&p);
	end_child(pid, hold);
	/* Whoever has that number now is somebody else. */
	event_base_loop(base, EVLOOP_ONCE);
	p = peer_process_enter(ps, getpid(), 2);
	cr_expect_eq(peer_process_once(p, &e), 0);
	peer_process_leave(&p);
	p = peer_process_enter(ps, pid, 1);
	cr_expect_eq(peer_process_once(p, &e), 0);
	peer_process_leave(&p);
}

/* It ends before the end of its connection is seen. */
Test(peer_process, ends_before_it_leaves)
{
	struct peer_process *p;
	struct err e;
	pid_t pid;
	int hold;

	pid = start_child(&hold);
	p = peer_process_enter(ps, pid, 1);
	cr_assert_eq(peer_process_once(p, &e), 0);
	end_child(pid, hold);
	cr_expect_null(peer_process_enter(ps, pid, 1));
	cr_expect_eq(peer_process_once(p, &e), -1);
	peer_process_leave(&p);
	p = peer_process_enter(ps, pid, 1);
	cr_expect_eq(peer_process_once(p, &e), 0, "somebody else");
	peer_process_leave(&p);
}

/* Its number is used again before its end is seen. */
Test(peer_process, another_of_that_number)
{
	struct peer_process *p;
	struct err e;
	pid_t pid;
	int hold;

	pid = start_child(&hold);
	p = peer_process_enter(ps, pid, 1);
	cr_assert_eq(peer_process_once(p, &e), 0);
	peer_process_leave(&p);
	end_child(pid, hold);
	p = peer_process_enter(ps, pid, 1);
	cr_expect_eq(peer_process_once(p, &e), -1);
	event_base_loop(base, EVLOOP_ONCE);
	cr_expect_eq(peer_process_once(p, &e), 0, "somebody else");
	peer_process_leave(&p);
}

Test(peer_process, what_is_kept_is_freed_at_the_end)
{
	struct peer_process *p = peer_process_enter(ps, getpid(), 1);
	struct err e;

	cr_assert_eq(peer_process_once(p, &e), 0);
	peer_process_leave(&p);
}
