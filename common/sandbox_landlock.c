/*
 * Landlock by its system calls: which paths a process may touch, no TCP of
 * its own, and no signal or abstract socket out of its domain.  Takes what
 * the kernel of this machine can do.
 */
#include "config.h"

#include "common/sandbox_int.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"

/* Later than the kernel headers of Debian 12. */
#define ACCESS_FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define ACCESS_FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define ACCESS_NET_TCP_ANY 3ull          /* ABI 4: bind, connect */
#define SCOPE_ANY 3ull                   /* ABI 6: abstract sockets, signals */

struct ruleset_attr {
	uint64_t fs;
	uint64_t net;   /* ABI 4 */
	uint64_t scope; /* ABI 6 */
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                           \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |   \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |   \
	    LANDLOCK_ACCESS_FS_REFER | ACCESS_FS_TRUNCATE)
/* The kernel opens what it executes for reading. */
#define FS_EXEC (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE)
/* The rights that a rule on something other than a folder may name. */
#define FS_OF_FILES                                                  \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | \
	    LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_FS_TRUNCATE |     \
	    ACCESS_FS_IOCTL_DEV)

int
sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

/* Everything that this ABI can deny. */
static struct ruleset_attr
attr_of_abi(int abi, size_t *size_out)
{
	struct ruleset_attr attr = {.fs = (1ull << 13) - 1};

	if (abi >= 2)
		attr.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		attr.fs |= ACCESS_FS_TRUNCATE;
	if (abi >= 4)
		attr.net = ACCESS_NET_TCP_ANY;
	if (abi >= 5)
		attr.fs |= ACCESS_FS_IOCTL_DEV;
	if (abi >= 6)
		attr.scope = SCOPE_ANY;
	*size_out = abi >= 6 ? sizeof(attr)
	    : abi >= 4       ? offsetof(struct ruleset_attr, scope)
			     : offsetof(struct ruleset_attr, net);
	return attr;
}

static int
rule_add(int ruleset, const struct sandbox_path *p, uint64_t handled,
    struct err *e)
{
	struct landlock_path_beneath_attr attr = {0};
	struct stat st;
	int fd = p->fd, rv = -1;

	if (fd == -1)
		fd = open(p->path, O_PATH | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT && (p->rights & SANDBOX_MAYBE))
		return 0;
	if (fd == -1 || fstat(fd, &st) == -1) {
		err_errno(e, errno, "sandbox path %s", p->path);
		goto out;
	}
	if (p->rights & SANDBOX_READ)
		attr.allowed_access |= FS_READ;
	if (p->rights & SANDBOX_WRITE)
		attr.allowed_access |= FS_WRITE;
	if (p->rights & SANDBOX_EXEC)
		attr.allowed_access |= FS_EXEC;
	attr.allowed_access &= handled;
	if (!S_ISDIR(st.st_mode))
		attr.allowed_access &= FS_OF_FILES;
	attr.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&attr, 0) == -1) {
		err_errno(e, errno, "sandbox rule for %s",
		    p->path != NULL ? p->path : "a descriptor");
		goto out;
	}
	rv = 0;
out:
	if (fd != p->fd)
		io_close(&fd);
	return rv;
}

int
sandbox_landlock_enter(const struct sandbox_path *paths, size_t npaths,
    struct err *e)
{
	struct ruleset_attr attr;
	size_t i, size;
	int ruleset, rv = -1;

	attr = attr_of_abi(sandbox_landlock_abi(), &size);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset == -1)
		return err_errno(e, errno, "cannot make a Landlock ruleset");
	for (i = 0; i < npaths; i++)
		if (rule_add(ruleset, &paths[i], attr.fs, e) == -1)
			goto out;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1) {
		err_errno(e, errno, "cannot enter the Landlock domain");
		goto out;
	}
	rv = 0;
out:
	io_close(&ruleset);
	return rv;
}
