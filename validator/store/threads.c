/*
 * The thread pool of one store: the only place in the validator where code
 * may wait for a disk.  Flows take turns by class; a finished job goes back
 * to the loop by an eventfd.
 */
#include "config.h"

#include "validator/store/threads.h"

#include <event2/event.h>

#include <sys/eventfd.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"

TAILQ_HEAD(flow_list, store_flow);

struct pool_class {
	struct store_pool *pool;
	struct flow_list ready; /* flows with a job that may run now */
	pthread_cond_t work;
	pthread_t *threads;
	unsigned int max_threads;
	unsigned int nthreads;
	unsigned int idle; /* waiting for work */
	unsigned int queued;
	unsigned int running;
};

struct store_pool {
	pthread_mutex_t lock; /* all below, and the private parts of flows */
	struct pool_class classes[STORE_CLASS_COUNT];
	struct store_job_list done;
	int stopping;
	int event_fd;
	struct event *ev_done;
};

static void deliver(struct store_pool *p);

static void
lock(struct store_pool *p)
{
	pthread_mutex_lock(&p->lock);
}

static void
unlock(struct store_pool *p)
{
	pthread_mutex_unlock(&p->lock);
}

/* Puts the flow into its class's turn if it has a job that may run. */
static void
flow_offer(struct store_flow *f)
{
	struct pool_class *c = &f->pool->classes[f->cls];

	if (f->ready || TAILQ_EMPTY(&f->queue) ||
	    (f->limit != 0 && f->running_count >= f->limit))
		return;
	f->ready = true;
	TAILQ_INSERT_TAIL(&c->ready, f, link);
	pthread_cond_signal(&c->work);
}

/* The next job of the class, its flow moved to the end of the turn. */
static struct store_job *
class_take(struct pool_class *c)
{
	struct store_flow *f = TAILQ_FIRST(&c->ready);
	struct store_job *job;

	TAILQ_REMOVE(&c->ready, f, link);
	f->ready = false;
	job = TAILQ_FIRST(&f->queue);
	if (c->pool->stopping)
		atomic_store(&job->cancelled, true);
	TAILQ_REMOVE(&f->queue, job, link);
	TAILQ_INSERT_TAIL(&f->running, job, link);
	f->running_count++;
	c->queued--;
	c->running++;
	flow_offer(f);
	return job;
}

static void
job_finished(struct pool_class *c, struct store_job *job)
{
	struct store_pool *p = c->pool;
	struct store_flow *f = job->flow;
	uint64_t one = 1;

	TAILQ_REMOVE(&f->running, job, link);
	c->running--;
	f->running_count--;
	if (job->again && !atomic_load(&job->cancelled)) {
		job->again = false;
		TAILQ_INSERT_TAIL(&f->queue, job, link);
		c->queued++;
	} else {
		TAILQ_INSERT_TAIL(&p->done, job, link);
		if (write(p->event_fd, &one, sizeof(one)) == -1 &&
		    errno != EAGAIN)
			fatal_sys("store", "eventfd");
	}
	flow_offer(f);
}

static void *
thread_main(void *arg)
{
	struct pool_class *c = arg;
	struct store_pool *p = c->pool;
	struct store_job *job;

	lock(p);
	for (;;) {
		c->idle++;
		while (TAILQ_EMPTY(&c->ready) && !p->stopping)
			pthread_cond_wait(&c->work, &p->lock);
		c->idle--;
		if (TAILQ_EMPTY(&c->ready))
			break;
		job = class_take(c);
		unlock(p);
		if (!atomic_load(&job->cancelled))
			job->run(job);
		lock(p);
		job_finished(c, job);
	}
	unlock(p);
	return NULL;
}

/* One more thread if work waits and all are busy; signals stay the loop's. */
static void
class_grow(struct pool_class *c)
{
	sigset_t all, old;
	int rc;

	if (c->nthreads == c->max_threads || c->queued <= c->idle)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&c->threads[c->nthreads], NULL, thread_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		c->nthreads++;
	else if (c->nthreads == 0)
		fatal("store", "cannot start a thread: error %d", rc);
}

static void
on_done(int fd, short what, void *arg)
{
	struct store_pool *p = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) == -1 && errno != EAGAIN)
		fatal_sys("store", "eventfd");
	deliver(p);
}

static void
deliver(struct store_pool *p)
{
	struct store_job_list done = TAILQ_HEAD_INITIALIZER(done);
	struct store_job *job;

	lock(p);
	TAILQ_CONCAT(&done, &p->done, link);
	unlock(p);
	while ((job = TAILQ_FIRST(&done)) != NULL) {
		TAILQ_REMOVE(&done, job, link);
		job->flow->pending--;
		job->done(job);
	}
}

static void
class_init(struct store_pool *p, enum store_class cls, unsigned int wanted)
{
	static const unsigned int defaults[STORE_CLASS_COUNT] = {
	    [STORE_CLASS_STAT] = STORE_STAT_THREADS,
	    [STORE_CLASS_IO] = STORE_IO_THREADS,
	    [STORE_CLASS_SYNC] = STORE_SYNC_THREADS,
	};
	struct pool_class *c = &p->classes[cls];

	c->pool = p;
	c->max_threads = wanted != 0 ? wanted : defaults[cls];
	c->threads = xcalloc(c->max_threads, sizeof(*c->threads));
	TAILQ_INIT(&c->ready);
	pthread_cond_init(&c->work, NULL);
}

struct store_pool *
store_pool_new(struct event_base *base, const struct store_pool_opts *opts,
    struct err *e)
{
	struct store_pool *p = xcalloc(1, sizeof(*p));
	int cls;

	pthread_mutex_init(&p->lock, NULL);
	TAILQ_INIT(&p->done);
	for (cls = 0; cls < STORE_CLASS_COUNT; cls++)
		class_init(p, (enum store_class)cls,
		    opts != NULL ? opts->threads[cls] : 0);
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event_fd == -1) {
		err_errno(e, errno, "eventfd");
		goto fail;
	}
	p->ev_done =
	    event_new(base, p->event_fd, EV_READ | EV_PERSIST, on_done, p);
	if (p->ev_done == NULL || event_add(p->ev_done, NULL) == -1) {
		err_set(e, ERR_NOMEM, "cannot make an event");
		goto fail;
	}
	return p;
fail:
	store_pool_free(&p);
	return NULL;
}

void
store_pool_free(struct store_pool **pp)
{
	struct store_pool *p = *pp;
	struct pool_class *c;
	unsigned int i;
	int cls;

	if (p == NULL)
		return;
	*pp = NULL;
	lock(p);
	p->stopping = 1;
	for (cls = 0; cls < STORE_CLASS_COUNT; cls++)
		pthread_cond_broadcast(&p->classes[cls].work);
	unlock(p);
	for (cls = 0; cls < STORE_CLASS_COUNT; cls++) {
		c = &p->classes[cls];
		for (i = 0; i < c->nthreads; i++)
			pthread_join(c->threads[i], NULL);
		c->nthreads = 0;
	}
	/* A done() may submit once more; see store_job_submit(). */
	while (!TAILQ_EMPTY(&p->done))
		deliver(p);
	for (cls = 0; cls < STORE_CLASS_COUNT; cls++) {
		free(p->classes[cls].threads);
		pthread_cond_destroy(&p->classes[cls].work);
	}
	if (p->ev_done != NULL)
		event_free(p->ev_done);
	if (p->event_fd != -1)
		close(p->event_fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void
store_flow_init(struct store_flow *f, struct store_pool *pool,
    enum store_class cls, unsigned int limit)
{
	*f = (struct store_flow){.pool = pool, .cls = cls, .limit = limit};
	TAILQ_INIT(&f->queue);
	TAILQ_INIT(&f->running);
}

bool
store_flow_is_idle(const struct store_flow *f)
{
	return f->pending == 0;
}

void
store_flow_cancel(struct store_flow *f)
{
	struct store_job *job;

	lock(f->pool);
	TAILQ_FOREACH(job, &f->queue, link)
		atomic_store(&job->cancelled, true);
	TAILQ_FOREACH(job, &f->running, link)
		atomic_store(&job->cancelled, true);
	unlock(f->pool);
}

void
store_job_submit(struct store_flow *f, struct store_job *job)
{
	struct store_pool *p = f->pool;
	struct pool_class *c = &p->classes[f->cls];

	job->flow = f;
	job->again = false;
	atomic_store(&job->cancelled, false);
	f->pending++;
	lock(p);
	if (p->stopping) {
		atomic_store(&job->cancelled, true);
		TAILQ_INSERT_TAIL(&p->done, job, link);
	} else {
		TAILQ_INSERT_TAIL(&f->queue, job, link);
		c->queued++;
		flow_offer(f);
		class_grow(c);
	}
	unlock(p);
}

bool
store_job_is_cancelled(const struct store_job *job)
{
	return atomic_load(&job->cancelled);
}

unsigned int
store_pool_load(struct store_pool *pool, enum store_class cls)
{
	unsigned int n;

	lock(pool);
	n = pool->classes[cls].queued + pool->classes[cls].running;
	unlock(pool);
	return n;
}
