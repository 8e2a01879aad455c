/*
 * holdfast-job: long work on a datastore, one process each.  Runs under the
 * validator's uid, sealed before it looks into the store: it may read below
 * the datastore's folder, change nothing, start nothing and open no socket.
 * It distrusts every file there.
 */
#include "config.h"

#include <signal.h>
#include <sys/resource.h>

#include "common/log.h"
#include "common/proc.h"
#include "common/sandbox.h"
#include "validator/jobs/job_int.h"

#define JOB_FILES_MAX 1024
#define JOB_NICE 10

static int
job_seal(struct err *e)
{
	const struct sandbox_path paths[] = {
	    {.fd = PROC_FD_EXTRA, .rights = SANDBOX_READ},
	    {.fd = PROC_FD_CHUNKS, .rights = SANDBOX_READ},
	};

	/* Backups come first. */
	setpriority(PRIO_PROCESS, 0, JOB_NICE);
	if (proc_limit(RLIMIT_NOFILE, JOB_FILES_MAX, e) == -1 ||
	    proc_harden(SIGKILL, e) == -1)
		return -1;
	return sandbox_enter(SANDBOX_JOB, paths,
	    sizeof(paths) / sizeof(paths[0]), 0, e);
}

int
main(int argc, char **argv)
{
	struct job *j;
	struct err e;
	int code;

	proc_started_by("holdfast-validator", "holdfast-job", argc, argv);
	log_init("holdfast-job", LOG_F_INHERIT);
	proc_signals_init();
	if (proc_close_from(PROC_FD_CHUNKS + 1, &e) == -1)
		fatal_e("job", &e, "cannot close other files");
	if (job_seal(&e) == -1) {
		log_err_e("job", &e, "cannot seal the process");
		return PROC_EXIT_SANDBOX;
	}
	if ((j = job_new(&e)) == NULL)
		fatal_e("job", &e, "cannot start");
	code = job_run(j);
	job_free(&j);
	return code;
}
