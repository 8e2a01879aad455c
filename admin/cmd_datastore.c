/*
 * holdfast-admin datastore: makes datastores and tells the validator.  A
 * datastore is configured by one file, datastores.d/NAME.conf, which is
 * written and removed whole.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/adopt.h"
#include "admin/layout.h"
#include "admin/nested.h"
#include "admin/show.h"
#include "common/err.h"
#include "common/format/names.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/sbuf.h"

#define CONF_MODE 0644
#define CONF_FOLDER_MODE 0755
#define CONF_FILE_MAX 65536
#define OWNER_DEFAULT "holdfast-validator"
#define OWNER_ORIGINAL "backup"
#define VALIDATOR_UNIT "holdfast-validator.service"

static const struct table_col cols[] = {
    {"name", "name", TABLE_STR},
    {"state", "state", TABLE_STR},
    {"total", "total", TABLE_SIZE},
    {"used", "used", TABLE_SIZE},
    {"avail", "available", TABLE_SIZE},
    {"estimated-full-date", "full on", TABLE_TIME},
    {"sessions", "sessions", TABLE_INT},
    {"path", "path", TABLE_STR},
    {"comment", "comment", TABLE_STR},
    {"reason", "reason", TABLE_STR},
    {NULL, NULL, TABLE_STR},
};

int
admin_datastore_list(void *values, int nargs, char **args, struct err *e)
{
	(void)nargs;
	(void)args;
	return admin_show_list(values, CTL_VALIDATOR, "datastore-list", NULL,
	    "datastores", cols, e);
}

int
admin_datastore_clear(void *values, int nargs, char **args, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	(void)nargs;
	ctl_arg(a, "name", args[0]);
	return admin_do(values, CTL_VALIDATOR, "datastore-clear", a, e);
}

/* Single quotes, since libconfuse expands variables in double ones. */
static int
put_setting(struct sbuf *b, const char *key, const char *value, struct err *e)
{
	const char *c;

	sbuf_add_fmt(b, "\t%s = '", key);
	for (c = value; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(e, ERR_PARAM,
			    "%s must not contain control characters", key);
		if (*c == '\'' || *c == '\\')
			sbuf_add_char(b, '\\');
		sbuf_add_char(b, *c);
	}
	sbuf_add_str(b, "'\n");
	return 0;
}

static int
make_conf(struct sbuf *b, const char *name, const char *path,
    const char *comment, struct err *e)
{
	sbuf_add_fmt(b, "datastore '%s' {\n", name);
	if (put_setting(b, "path", path, e) == -1)
		return -1;
	if (comment != NULL && put_setting(b, "comment", comment, e) == -1)
		return -1;
	sbuf_add_str(b, "}\n");
	if (b->overflow)
		return err_set(e, ERR_LIMIT, "path or comment is too long");
	return 0;
}

/* The folder datastores.d, made if need be. */
static int
open_conf_folder(const struct admin_opts *o, struct err *e)
{
	const char *dir = o->config_dir != NULL ? o->config_dir : SYSCONFDIR;
	char *path = xasprintf("%s/datastores.d", dir);
	int fd = -1;

	if (mkdir(path, CONF_FOLDER_MODE) == -1 && errno != EEXIST)
		err_errno(e, errno, "cannot make %s", path);
	else
		fd = io_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, e);
	free(path);
	return fd;
}

static int
find_owner(const struct admin_opts *o, const char *def, uid_t *uid, gid_t *gid,
    struct err *e)
{
	const char *name = o->owner;

	if (name == NULL && geteuid() != 0) {
		*uid = geteuid();
		*gid = getegid();
		return 0;
	}
	return proc_user(name != NULL ? name : def, uid, gid, e);
}

static void
show_progress(int percent)
{
	fprintf(stderr, "\rmaking folders: %d%%%s", percent,
	    percent == 100 ? "\n" : "");
}

static int
run_systemctl(struct err *e)
{
	char *argv[] = {"systemctl", "try-restart", VALIDATOR_UNIT, NULL};
	struct proc_spawn s = {.path = "/usr/bin/systemctl", .argv = argv};
	int status;
	pid_t pid = proc_spawn(&s, e);

	if (pid == -1)
		return -1;
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return err_errno(e, errno, "cannot wait for systemctl");
	if (status != 0)
		return err_set(e, ERR_SYS, "systemctl failed");
	return 0;
}

/*
 * The validator opens its datastores when it starts (its sandbox is fixed
 * then).  One that systemd runs is restarted here, which no running backup
 * notices; any other one by whoever runs it.
 */
static int
restart_validator(const struct admin_opts *o, struct err *e)
{
	struct json *reply = NULL;
	struct err why;

	if (o->no_restart)
		return 0;
	if (ctl_call(o->run_dir, CTL_VALIDATOR, "status", NULL, &reply, &why) ==
	    -1)
		return 0;
	json_free(&reply);
	if (o->run_dir == NULL && access("/run/systemd/system", F_OK) == 0) {
		if (run_systemctl(e) == -1)
			return err_wrap(e, "cannot restart the validator");
		return 0;
	}
	fputs("Restart holdfast-validator for this to take effect.\n", stderr);
	return 0;
}

/* Makes a datastore in a folder, or takes one over. */
typedef int prepare_fn(const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e);

static int
create(const struct admin_opts *o, int confs, const char *name,
    const char *path, prepare_fn *prepare, struct err *e)
{
	char *file = xasprintf("%s.conf", name);
	struct sbuf b;
	uid_t uid;
	gid_t gid;
	int rv = -1;

	sbuf_init(&b, CONF_FILE_MAX);
	if (make_conf(&b, name, path, o->comment, e) == -1 ||
	    find_owner(o, OWNER_DEFAULT, &uid, &gid, e) == -1)
		goto out;
	if (faccessat(confs, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		err_set(e, ERR_EXISTS, "datastore '%s' exists already", name);
		goto out;
	}
	if (nested_check_known(o, path, e) == -1 ||
	    prepare(path, uid, gid,
		isatty(STDERR_FILENO) ? show_progress : NULL, e) == -1)
		goto out;
	rv = io_write_file_atomic(confs, file, b.data, b.len, CONF_MODE,
	    IO_F_FSYNC | IO_F_NOREPLACE, e);
out:
	sbuf_fini(&b);
	free(file);
	return rv;
}

static int
add(const struct admin_opts *o, char **args, prepare_fn *prepare, struct err *e)
{
	int confs, rv;

	if (!datastore_name_valid(args[0]))
		return err_set(e, ERR_PARAM,
		    "'%s' is not a name for a datastore: 3 to 32 letters, "
		    "digits, '_', '-' or '.'",
		    args[0]);
	confs = open_conf_folder(o, e);
	if (confs == -1)
		return -1;
	rv = create(o, confs, args[0], args[1], prepare, e);
	io_close(&confs);
	return rv == -1 ? -1 : restart_validator(o, e);
}

int
admin_datastore_create(void *values, int nargs, char **args, struct err *e)
{
	(void)nargs;
	return add(values, args, layout_create, e);
}

int
admin_datastore_adopt(void *values, int nargs, char **args, struct err *e)
{
	(void)nargs;
	return add(values, args, layout_adopt, e);
}

/* One that does not run reads it when it starts. */
static int
reload(const struct admin_opts *o, struct err *e)
{
	struct err why;

	if (admin_do(o, CTL_VALIDATOR, "reload", NULL, &why) == 0 ||
	    ctl_is_down(&why))
		return 0;
	*e = why;
	return err_wrap(e, "written, but not in effect");
}

/* --- maintenance -------------------------------------------------------- */

static bool
is_maintenance(const char *line, size_t len)
{
	static const char key[] = "maintenance";
	size_t skip = strspn(line, " \t");

	return skip + sizeof(key) <= len &&
	    strncmp(line + skip, key, sizeof(key) - 1) == 0;
}

/* As we write them: nothing behind the brace. */
static bool
opens_section(const char *line, size_t len)
{
	const char *brace = memchr(line, '{', len);

	return brace != NULL && len > 10 &&
	    strncmp(line, "datastore ", 10) == 0 &&
	    strspn(brace + 1, " \t\n") >= (size_t)(line + len - brace - 1);
}

/* The file with other lines about maintenance, behind the one that opens the
 * section; -1 if it is none of ours. */
static int
edit_maintenance(const char *text, const char *mode, const char *message,
    struct sbuf *b, struct err *e)
{
	unsigned int sections = 0;
	size_t len;

	for (; *text != '\0'; text += len) {
		len = strcspn(text, "\n");
		len += text[len] == '\n';
		if (sections > 0 && is_maintenance(text, len))
			continue;
		sbuf_add(b, text, len);
		if (!opens_section(text, len))
			continue;
		sections++;
		if (strcmp(mode, "none") != 0 &&
		    (put_setting(b, "maintenance", mode, e) == -1 ||
			put_setting(b, "maintenance-message",
			    message != NULL ? message : "", e) == -1))
			return -1;
	}
	if (sections != 1 || b->overflow)
		return err_set(e, ERR_UNSUPPORTED,
		    "the datastore's file was written by hand: change it there, "
		    "then reload the validator");
	return 0;
}

static int
write_maintenance(int confs, const char *name, const char *mode,
    const char *message, struct err *e)
{
	char *file = xasprintf("%s.conf", name), *text = NULL;
	struct sbuf b;
	size_t len;
	int rv = -1;

	sbuf_init(&b, CONF_FILE_MAX);
	if (io_read_file(confs, file, CONF_FILE_MAX, &text, &len, e) == -1) {
		if (e->code == ERR_NOT_FOUND)
			err_set(e, ERR_NOT_FOUND, "no such datastore '%s'",
			    name);
	} else if (edit_maintenance(text, mode, message, &b, e) == 0) {
		rv = io_write_file_atomic(confs, file, b.data, b.len, CONF_MODE,
		    IO_F_FSYNC, e);
	}
	sbuf_fini(&b);
	free(text);
	free(file);
	return rv;
}

int
admin_datastore_maintenance(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	int confs, rv;

	(void)nargs;
	if (!datastore_name_valid(args[0]))
		return err_set(e, ERR_PARAM, "no such datastore '%s'", args[0]);
	if (strcmp(args[1], "none") != 0 && strcmp(args[1], "read-only") != 0 &&
	    strcmp(args[1], "offline") != 0)
		return err_set(e, ERR_PARAM,
		    "'%s' is none of: none, read-only, offline", args[1]);
	if ((confs = open_conf_folder(o, e)) == -1)
		return -1;
	rv = write_maintenance(confs, args[0], args[1], o->message, e);
	io_close(&confs);
	return rv == -1 ? -1 : reload(o, e);
}

/* --- the end -------------------------------------------------------------- */

/*
 * Has the validator let go of it; *path_out is its folder, the caller's, NULL
 * if no validator has it: it does not run, or was not restarted since.  One
 * that does not answer, or only that it ends, may have it.
 */
static int
close_datastore(const struct admin_opts *o, const char *name, char **path_out,
    struct err *e)
{
	struct ctl_args *a = ctl_args_new();
	struct json *reply = NULL;
	const char *path;
	int rv;

	*path_out = NULL;
	ctl_arg(a, "name", name);
	rv = ctl_call(o->run_dir, CTL_VALIDATOR, "datastore-close", a, &reply,
	    e);
	ctl_args_free(a);
	if (rv == -1)
		return ctl_is_down(e) || e->code == ERR_NOT_FOUND ? 0 : -1;
	if ((path = json_get_str(reply, "path", e)) == NULL)
		rv = -1;
	else
		*path_out = xstrdup(path);
	json_free(&reply);
	return rv;
}

/* Also finds out whether it could be done. */
static int
remove_conf(const struct admin_opts *o, const char *name, bool only_look,
    struct err *e)
{
	char *file = xasprintf("%s.conf", name);
	int confs = open_conf_folder(o, e), rv = -1;

	if (confs != -1)
		rv = only_look ? faccessat(confs, file, F_OK, 0)
			       : unlinkat(confs, file, 0);
	if (confs != -1 && rv == -1)
		err_errno(e, errno, "cannot remove datastores.d/%s", file);
	io_close(&confs);
	free(file);
	return rv;
}

/* While it is closed the rest may fail, and be done again. */
static int
remove_datastore(const struct admin_opts *o, const char *name,
    int (*between)(const struct admin_opts *o, const char *name,
	const char *path, struct err *e),
    struct err *e)
{
	char *path = NULL;
	int rv = -1;

	if (!datastore_name_valid(name))
		return err_set(e, ERR_PARAM, "no such datastore '%s'", name);
	if (remove_conf(o, name, true, e) == 0 &&
	    close_datastore(o, name, &path, e) == 0 &&
	    (between == NULL || between(o, name, path, e) == 0) &&
	    remove_conf(o, name, false, e) == 0)
		rv = reload(o, e);
	free(path);
	return rv;
}

int
admin_datastore_remove(void *values, int nargs, char **args, struct err *e)
{
	(void)nargs;
	return remove_datastore(values, args[0], NULL, e);
}

static int
hand_back(const struct admin_opts *o, const char *name, const char *path,
    struct err *e)
{
	uid_t uid;
	gid_t gid;

	if (path == NULL)
		return err_set(e, ERR_NOT_FOUND,
		    "the validator that has '%s' does not run: name its folder, "
		    "after \"datastore remove\"",
		    name);
	if (find_owner(o, OWNER_ORIGINAL, &uid, &gid, e) == -1)
		return -1;
	return layout_release(path, uid, gid,
	    isatty(STDERR_FILENO) ? show_progress : NULL, e);
}

/* A folder is one that is in nobody's configuration any more. */
int
admin_datastore_release(void *values, int nargs, char **args, struct err *e)
{
	(void)nargs;
	if (args[0][0] == '/')
		return hand_back(values, NULL, args[0], e);
	return remove_datastore(values, args[0], hand_back, e);
}
