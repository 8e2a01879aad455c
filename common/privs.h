#ifndef COMMON_PRIVS_H
#define COMMON_PRIVS_H

#include <stdint.h>

/* Privileges as bits (wire-protocol 6.2); the table is privs.def. */
enum {
#define PRIV_DEF(name, bit, text) PRIV_##name = 1 << (bit),
#include "common/privs.def"
#undef PRIV_DEF
};

#define PRIV_ALL 0xfffffu

/* Any of these makes a namespace or store visible (3.2, 6.4). */
#define PRIV_DATASTORE_SEE                                                    \
	(PRIV_DATASTORE_AUDIT | PRIV_DATASTORE_MODIFY | PRIV_DATASTORE_READ | \
	    PRIV_DATASTORE_BACKUP)

/* "Datastore.Audit|Datastore.Read" into buf; returns buf. */
const char *privs_text(uint32_t privs, char *buf, unsigned int len);

/* The privilege mask of a role, or 0 and *known_out = 0 for an unknown
 * name.  NoAccess is known and 0. */
uint32_t privs_of_role(const char *role, int *known_out);
/* The n-th role: its name, and what it is for if text_out is not NULL; NULL
 * past the last. */
const char *privs_role_name(unsigned int n, const char **text_out);
/* Name of the privilege of that bit, NULL if there is none. */
const char *privs_bit_name(unsigned int bit);

#endif
