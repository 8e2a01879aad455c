/*
 * holdfast-checker: judges bytes that a client made.  Runs under the
 * validator's uid, one process for each session that uploads or for one
 * operation, sealed before the first such byte: no file, no socket, no
 * program.  It distrusts everything in the arena and in stored files, and
 * copies before it looks; the numbers in messages are the validator's own.
 */
#include "config.h"

#include "validator/checker_work.h"

#include <unistd.h>

#include <event2/event.h>

#include "common/ipc.h"
#include "common/log.h"
#include "common/msg.h"
#include "common/proc.h"
#include "common/sandbox.h"

static void
checker_closed(void *ctx, const struct err *why)
{
	struct event_base *base = ctx;

	if (why->code != ERR_ABORTED)
		log_err_e("checker", why, "closed the validator's socket");
	event_base_loopbreak(base);
}

static int
checker_seal(struct err *e)
{
	if (proc_harden(0, e) == -1)
		return -1;
	return sandbox_enter(SANDBOX_CHECKER, NULL, 0, 0, e);
}

static void
checker_parent_gone(void *ctx)
{
	(void)ctx;
	_exit(PROC_EXIT_PARENT);
}

int
main(int argc, char **argv)
{
	struct event_base *base;
	struct checker_work *work;
	struct event *dead;
	struct err e;

	proc_started_by("holdfast-validator", "holdfast-checker", argc, argv);
	log_init("holdfast-checker", LOG_F_INHERIT);
	proc_signals_init();
	if (proc_close_from(PROC_FD_MAIN + 1, &e) == -1)
		fatal_e("checker", &e, "cannot close other files");
	if ((base = event_base_new()) == NULL)
		fatal("checker", "no event base");
	if ((dead = proc_watch_parent(base, PROC_FD_DEAD, checker_parent_gone,
		 NULL, &e)) == NULL)
		fatal_e("checker", &e, "cannot watch the validator");
	work = checker_work_new(base, PROC_FD_MAIN, checker_closed, base, &e);
	if (work == NULL)
		fatal_e("checker", &e, "cannot use the validator's socket");
	if (checker_seal(&e) == -1) {
		log_err_e("checker", &e, "cannot seal the process");
		return PROC_EXIT_SANDBOX;
	}
	if (proc_status_send(PROC_STATE_READY, 0, &e) == -1)
		fatal_e("checker", &e, "cannot say that we are ready");
	event_base_dispatch(base);
	checker_work_free(&work);
	event_free(dead);
	event_base_free(base);
	return PROC_EXIT_OK;
}
