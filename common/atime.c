/*
 * Can the times of chunks be trusted (atime.h)?  Runs in the validator's store
 * threads, and in holdfast-admin, as root in a folder that another user may
 * write to: it works on a file that it has made itself and holds open.
 */
#include "config.h"

#include "common/atime.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"

#define PROBE_NAME ".atime-check"
#define PROBE_MODE 0600
/* Some keep only even seconds, which is fine, some only days. */
#define LONG_AGO_S 1000000000

/*
 * Without a name before anything else is done.  Where there is no room for a
 * file the folder itself has to do: then garbage is to be collected above all.
 */
static int
open_probe(int dirfd, struct err *e)
{
	int fd;

	/* Of one that was killed. */
	(void)unlinkat(dirfd, PROBE_NAME, 0);
	fd = openat(dirfd, PROBE_NAME,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, PROBE_MODE);
	if (fd != -1) {
		(void)unlinkat(dirfd, PROBE_NAME, 0);
		return fd;
	}
	if (errno == ENOSPC || errno == EDQUOT)
		return io_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, e);
	return err_errno(e, errno, "cannot make a file among the chunks");
}

/* Sets the access time; is_out: what it is then, in seconds. */
static int
set_atime(int fd, struct timespec atime, int64_t *is_out, struct err *e)
{
	const struct timespec times[2] = {atime, {.tv_nsec = UTIME_OMIT}};
	struct stat st;

	if (futimens(fd, times) == -1 || fstat(fd, &st) == -1)
		return err_errno(e, errno,
		    "cannot set an access time among the chunks");
	*is_out = st.st_atim.tv_sec;
	return 0;
}

static int
check(int fd, int64_t max_skew_s, struct err *e)
{
	const struct timespec now = {.tv_nsec = UTIME_NOW};
	int64_t before, after, is, skew;

	if (set_atime(fd, (struct timespec){.tv_sec = LONG_AGO_S}, &is, e) ==
	    -1)
		return -1;
	if (is != LONG_AGO_S)
		return err_set(e, ERR_UNSUPPORTED,
		    "its file system does not keep access times that are set "
		    "(utimensat): chunks in use cannot be told from garbage");
	before = io_realtime_s();
	if (set_atime(fd, now, &is, e) == -1)
		return -1;
	after = io_realtime_s();
	skew = is < before ? is - before : is > after ? is - after : 0;
	if (llabs(skew) > max_skew_s)
		return err_set(e, ERR_UNSUPPORTED,
		    "the clock of its disk is %lld s %s this host's, allowed "
		    "are %lld s: set both by the same time server",
		    llabs(skew), skew < 0 ? "behind" : "ahead of",
		    (long long)max_skew_s);
	return 0;
}

int
atime_check(int dirfd, int64_t max_skew_s, struct err *e)
{
	int fd = open_probe(dirfd, e), rv = -1;

	if (fd != -1)
		rv = check(fd, max_skew_s, e);
	io_close(&fd);
	return rv;
}

/* Seconds between the wall clock and one that nobody sets. */
static int64_t
clock_offset(void)
{
	return io_realtime_s() - (int64_t)(io_boottime_ms() / 1000);
}

struct atime_cutoff
atime_cutoff_now(int64_t time, int64_t skew_max_s)
{
	return (struct atime_cutoff){
	    .time = time,
	    .skew_max_s = skew_max_s,
	    .clock_start = clock_offset(),
	};
}

int
atime_cutoff_check(const struct atime_cutoff *c, struct err *e)
{
	if (c->clock_start - clock_offset() > c->skew_max_s)
		return err_set(e, ERR_ABORTED,
		    "the clock was set back while the collection ran");
	return 0;
}
