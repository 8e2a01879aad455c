/*
 * Named steps of jobs, at which a test can hold them (option debug-hold-job).
 * Runs in the validator's loop; without that option a step costs nothing.
 */
#include "config.h"

#include "validator/jobs/jobs_int.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <event2/event.h>

#include "common/log.h"
#include "common/mem.h"
#include "validator/validator.h"

#define STEP_POLL_MS 20

static bool
step_is_held(const struct validator *v, const char *name)
{
	struct stat st;
	char *path;
	int rv;

	if (v->conf.debug_hold_job[0] == '\0')
		return false;
	path = xasprintf("%s.%s", v->conf.debug_hold_job, name);
	rv = stat(path, &st);
	free(path);
	return rv == 0;
}

static void
step_wait(struct job_step *s)
{
	static const struct timeval tv = {0, STEP_POLL_MS * 1000};

	event_add(s->timer, &tv);
}

static void
step_on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct job_step *s = ctx;
	struct running_job *r = s->job;

	(void)fd;
	(void)what;
	if (running_job_is_open(r) &&
	    step_is_held(running_job_validator(r), s->name)) {
		step_wait(s);
		return;
	}
	log_info("job", "goes on step=%s", s->name);
	job_step_fini(s);
	s->go_on(s->arg);
	running_job_unhold(r);
}

void
job_step_fini(struct job_step *s)
{
	if (s->timer != NULL)
		event_free(s->timer);
	s->timer = NULL;
}

void
running_job_step(struct running_job *r, const char *name,
    void (*go_on)(void *arg), void *arg)
{
	struct validator *v = running_job_validator(r);
	struct job_step *s = running_job_step_of(r);

	if (!step_is_held(v, name)) {
		go_on(arg);
		return;
	}
	log_info("job", "held step=%s", name);
	*s = (struct job_step){r, name, go_on, arg, NULL};
	s->timer = evtimer_new(v->base, step_on_timer, s);
	if (s->timer == NULL)
		fatal("job", "no event");
	running_job_hold(r);
	step_wait(s);
}
