#ifndef SERVER_AUTH_PASSWORD_HASH_H
#define SERVER_AUTH_PASSWORD_HASH_H

#include <stddef.h>

#include "common/ipc_fields.h"

/*
 * Password hashes by libcrypt: new ones are yescrypt, old ones may be anything
 * that it knows.  Slow by purpose and hungry for memory, so only
 * holdfast-hasher calls these.  Passwords need not end in a NUL.
 */

/* 0 or -1. */
int password_hash_make(const void *password, size_t len,
    char out[IPC_HASH_MAX + 1]);
/* 1 if the password fits. */
int password_hash_fits(const void *password, size_t len, const char *hash);

#endif
