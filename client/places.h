#ifndef CLIENT_PLACES_H
#define CLIENT_PLACES_H

struct err;

/*
 * The user's files, in folders of holdfast that are made if need be, mode
 * 0700.  The path belongs to the caller.
 */

/* $XDG_CONFIG_HOME/holdfast/name or ~/.config/holdfast/name. */
char *places_config(const char *name, struct err *e);
/* $XDG_RUNTIME_DIR/holdfast/name; NULL without an error set (e->code is
 * ERR_OK) if the user has no such folder. */
char *places_runtime(const char *name, struct err *e);

#endif
