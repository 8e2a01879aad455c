#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include <stddef.h>

struct err;

/*
 * Sealing of a process: capabilities, no-new-privileges, resource limits,
 * Landlock, seccomp.  The system calls and limits of each profile are data in
 * sandbox_profiles.c.
 *
 * A call outside of the profile fails with EPERM; those that only an attack
 * makes (ptrace, mount, bpf, ...) kill the process.  To see what a profile
 * lacks, start with HOLDFAST_SANDBOX in the environment:
 *
 *   trap   denied calls still fail, but are named on stderr
 *   log    denied calls are allowed and logged by the kernel (audit)
 */
enum sandbox_profile {
	SANDBOX_MASTER, /* filters stay over exec: includes its children's */
	SANDBOX_WORKER,
	SANDBOX_AUTH, /* includes the hasher's */
	SANDBOX_HASHER,
	SANDBOX_VALIDATOR, /* includes the checker's and jobs' */
	SANDBOX_CHECKER,
	SANDBOX_JOB,
	SANDBOX_PROFILE_COUNT
};

/* Rights below a path, for Landlock. */
#define SANDBOX_READ 0x1 /* read files, list folders */
#define SANDBOX_WRITE                                                    \
	0x2               /* write, make, rename, link and remove files, \
			     folders and sockets */
#define SANDBOX_EXEC 0x4  /* read and execute files */
#define SANDBOX_MAYBE 0x8 /* fine if the path is not there */

struct sandbox_path {
	const char *path; /* used if fd is -1 */
	int fd;           /* a folder or file, stays the caller's */
	unsigned int rights;
};

#define SANDBOX_F_REQUIRE 0x1 /* fail where the kernel lacks Landlock */
#define SANDBOX_F_STARTER                                                     \
	0x2                       /* a root process that still starts others: \
				     keeps what these need to drop theirs */
#define SANDBOX_F_NO_LANDLOCK 0x4 /* for the same: no path rules at all */

/*
 * Seals the calling process for good; before the first thread.  Without
 * SANDBOX_F_REQUIRE a kernel without Landlock is a warning in the log.
 * Everything that needs more must be done: descriptors, tzset(), the library
 * set-up.  -1: end with PROC_EXIT_SANDBOX.
 */
int sandbox_enter(enum sandbox_profile profile,
    const struct sandbox_path *paths, size_t npaths, unsigned int flags,
    struct err *e);

/* The kernel's Landlock version, 0 if none. */
int sandbox_landlock_abi(void);
const char *sandbox_profile_name(enum sandbox_profile profile);

/* What a program needs to be started at all (loader, libraries, time zone
 * data); add to the paths of a process that starts programs. */
extern const struct sandbox_path sandbox_system_paths[];
extern const size_t sandbox_system_npaths;

#endif
