#ifndef COMMON_SANDBOX_INT_H
#define COMMON_SANDBOX_INT_H

#include <stddef.h>
#include <stdint.h>

#include "common/sandbox.h"

/*
 * The tables of sandbox_profiles.c.  A call is allowed if one of its rows
 * matches; a row matches if (argument & mask) == value for each of its
 * conditions.  Masks are 32 bits wide for int arguments: the kernel ignores
 * the upper half, so the filter must, too.
 */
struct sandbox_if {
	uint64_t mask; /* 0 ends the conditions */
	uint64_t value;
	uint8_t arg;
};

struct sandbox_call {
	const char *name; /* NULL ends the set */
	struct sandbox_if when[2];
};

#define SANDBOX_SETS_MAX 16

/* A limit that is already lower stays. */
struct sandbox_limit {
	int resource; /* RLIMIT_*; -1 ends the list */
	uint64_t max;
};

struct sandbox_profile_def {
	const char *name;
	const struct sandbox_call *sets[SANDBOX_SETS_MAX]; /* NULL ends them */
	const struct sandbox_limit *limits;                /* NULL: none */
};

extern const struct sandbox_profile_def sandbox_profiles[SANDBOX_PROFILE_COUNT];
/* Calls that kill unless a set of the profile names them. */
extern const char *const sandbox_deadly[];

/* sandbox_landlock.c; the kernel has Landlock. */
int sandbox_landlock_enter(const struct sandbox_path *paths, size_t npaths,
    struct err *e);

#endif
