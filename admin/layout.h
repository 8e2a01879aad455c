#ifndef ADMIN_LAYOUT_H
#define ADMIN_LAYOUT_H

#include <sys/types.h>

struct err;

/*
 * A new, empty datastore on disk (datastore-format 1.1, 1.7, 1.9): the
 * folder, .chunks with its 65536 folders, .lock.  path is absolute; the
 * folder is made if it is missing, its parent must exist.  ERR_EXISTS if
 * there is anything in it but dot files and lost+found, or if it lies in
 * another datastore.  On failure nothing that was made here is left.
 * progress is called now and then with a percentage; or NULL.
 */
int layout_create(const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e);
/* A datastore inside another one would be swept by the outer one:
 * ERR_EXISTS. */
int layout_check_not_nested(const char *path, struct err *e);

#endif
