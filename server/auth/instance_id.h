#ifndef SERVER_AUTH_INSTANCE_ID_H
#define SERVER_AUTH_INSTANCE_ID_H

struct err;

/*
 * Which installation this is (wire-protocol 2.5): clients tell from it that
 * two names are one server.  It outlives certificates and keys, and moves
 * with the state folder.
 */
#define INSTANCE_ID_LEN 32 /* hexadecimal digits */

/* From dir/instance.id, which is made if it is not there. */
int instance_id_load(const char *dir, char out[INSTANCE_ID_LEN + 1],
    struct err *e);

#endif
