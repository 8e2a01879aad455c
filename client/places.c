/*
 * Where holdfast keeps what it remembers for its user.
 */
#include "config.h"

#include "client/places.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/mem.h"

#define PLACE_MODE 0700

static int
make_folder(const char *path, struct err *e)
{
	if (mkdir(path, PLACE_MODE) == -1 && errno != EEXIST)
		return err_errno(e, errno, "cannot make %s", path);
	return 0;
}

/* base/holdfast/name, with both folders made. */
static char *
in_folder(const char *base, const char *name, struct err *e)
{
	char *folder = xasprintf("%s/holdfast", base), *path = NULL;

	if (make_folder(base, e) == 0 && make_folder(folder, e) == 0)
		path = xasprintf("%s/%s", folder, name);
	free(folder);
	return path;
}

static const char *
home(void)
{
	const char *dir = getenv("HOME");
	const struct passwd *pw;

	if (dir != NULL && dir[0] == '/')
		return dir;
	pw = getpwuid(getuid());
	return pw != NULL ? pw->pw_dir : NULL;
}

char *
places_config(const char *name, struct err *e)
{
	const char *base = getenv("XDG_CONFIG_HOME"), *dir;
	char *config, *path;

	if (base != NULL && base[0] == '/')
		return in_folder(base, name, e);
	dir = home();
	if (dir == NULL) {
		err_set(e, ERR_NOT_FOUND, "there is no home folder: set HOME");
		return NULL;
	}
	config = xasprintf("%s/.config", dir);
	path = in_folder(config, name, e);
	free(config);
	return path;
}

char *
places_runtime(const char *name, struct err *e)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	err_clear(e);
	/* Tickets lie there: only a folder that is ours alone will do. */
	if (base == NULL || base[0] != '/' || stat(base, &st) == -1 ||
	    st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return NULL;
	return in_folder(base, name, e);
}
