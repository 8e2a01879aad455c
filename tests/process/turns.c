/*
 * Loaded into a validator under test and its jobs (LD_PRELOAD): their wall
 * clock, by which they also date the use of a file, and a gate in a garbage
 * collection, which stops wherever the test wants, with what it has just
 * looked at.  Both by a page that the test maps, too (turns.py).
 */
#define _GNU_SOURCE

#include <sys/resource.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fault_page.h"

#define ENV_PAGE "HOLDFAST_TURNS"
#define ENV_GATE "HOLDFAST_TURNS_GATE" /* in a job: it has the gate */
#define ENV_MAX 64

struct page {
	_Atomic int64_t shift; /* seconds that the clock is ahead */
	_Atomic int64_t disk;  /* that the disk's clock is ahead of that */
	atomic_uint deaf;      /* the disk keeps no access time that is set */
	atomic_uint armed;     /* the next job gets the gate */
	atomic_uint open;      /* so many calls may return */
	atomic_uint come;      /* so many were made */
};

static struct page none, *page = &none;
static int gate;
static int (*real_execve)(const char *, char *const[], char *const[]);
static char job_env[3][512];

__attribute__((constructor)) static void
turns_init(void)
{
	void *p = fault_page(ENV_PAGE, sizeof(none));

	if (p == NULL)
		return;
	page = p;
	gate = getenv(ENV_GATE) != NULL;
	real_execve = REAL(execve);
	snprintf(job_env[0], sizeof(job_env[0]), "LD_PRELOAD=%s",
	    getenv("LD_PRELOAD"));
	snprintf(job_env[1], sizeof(job_env[1]), ENV_PAGE "=%s",
	    getenv(ENV_PAGE));
	snprintf(job_env[2], sizeof(job_env[2]), ENV_GATE "=1");
}

/* --- the clock --- */

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rv;

	rv = REAL(clock_gettime)(clock, ts);
	if (rv == 0 && clock == CLOCK_REALTIME)
		ts->tv_sec += atomic_load(&page->shift);
	return rv;
}

static struct timespec
disk_time(struct timespec ts)
{
	if (ts.tv_nsec != UTIME_NOW)
		return ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += atomic_load(&page->disk);
	return ts;
}

int
futimens(int fd, const struct timespec times[2])
{
	const struct timespec ours[2] = {disk_time(times[0]),
	    disk_time(times[1])};

	return atomic_load(&page->deaf) != 0 ? 0 : REAL(futimens)(fd, ours);
}

int
utimensat(int fd, const char *path, const struct timespec times[2], int flags)
{
	const struct timespec ours[2] = {disk_time(times[0]),
	    disk_time(times[1])};

	return REAL(utimensat)(fd, path, ours, flags);
}

/* --- the gate --- */

/* Between looking and going by it: here races are.  A folder of chunks says
 * nothing before they are looked at. */
static int
is_chunk_folder(const char *path)
{
	return strspn(path, "0123456789abcdef") == 4 && path[4] == '\0';
}

static void
pass_gate(void)
{
	const struct timespec some = {.tv_nsec = 100000};
	unsigned int n;

	if (!gate)
		return;
	n = atomic_fetch_add(&page->come, 1);
	while (atomic_load(&page->open) <= n)
		nanosleep(&some, NULL);
}

int
openat(int fd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	int rv;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	rv = REAL(openat)(fd, path, flags, mode);
	if (rv != -1 && !is_chunk_folder(path))
		pass_gate();
	return rv;
}

int
fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	int rv;

	rv = REAL(fstatat)(fd, path, st, flags);
	if (rv == 0)
		pass_gate();
	return rv;
}

int
fstat(int fd, struct stat *st)
{
	int rv;

	rv = REAL(fstat)(fd, st);
	if (rv == 0)
		pass_gate();
	return rv;
}

/* --- into the job --- */

/* In the child of a fork, where nothing may wait for another thread. */
int
execve(const char *path, char *const argv[], char *const envp[])
{
	const char *base = strrchr(path, '/');
	char *env[ENV_MAX] = {job_env[0], job_env[1]};
	int n;

	if (base == NULL || strcmp(base, "/holdfast-job") != 0)
		return real_execve(path, argv, envp);
	for (n = 2; n < ENV_MAX - 2 && *envp != NULL; n++)
		env[n] = *envp++;
	if (atomic_exchange(&page->armed, 0) != 0)
		env[n] = job_env[2];
	return real_execve(path, argv, env);
}

/* A job that gives way to all others would hold up the test. */
int
setpriority(__priority_which_t which, id_t who, int value)
{
	(void)which;
	(void)who;
	(void)value;
	return 0;
}
