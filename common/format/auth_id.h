#ifndef COMMON_FORMAT_AUTH_ID_H
#define COMMON_FORMAT_AUTH_ID_H

/*
 * Users ("name@realm") and API tokens ("name@realm!token"), as they stand in
 * owner files, UPIDs and logins (wire-protocol Appendix A).
 */

#include <stdbool.h>
#include <stddef.h>

#define AUTH_ID_MIN 3
#define AUTH_ID_MAX 64
#define REALM_MIN 2
#define REALM_MAX 32
#define TOKEN_NAME_MIN 3

struct err;

struct auth_id {
	char user[AUTH_ID_MAX + 1];
	char realm[REALM_MAX + 1];
	char token[AUTH_ID_MAX + 1]; /* "" for a user */
};

/* UTF-8 without white space, colon, slash, control character; 1 byte at
 * least. */
bool user_name_valid(const char *s);
bool realm_valid(const char *s);
bool token_name_valid(const char *s);

/* A user or a token; ERR_PARAM. */
int auth_id_parse(struct auth_id *out, const char *s, struct err *e);
/* What an owner file holds (datastore-format 1.5): its first line, without
 * white space at the end; ERR_CORRUPT. */
int auth_id_parse_owner(struct auth_id *out, const char *text, size_t len,
    struct err *e);
/* A user only. */
int user_id_parse(struct auth_id *out, const char *s, struct err *e);
void auth_id_to_str(const struct auth_id *a, char out[AUTH_ID_MAX + 1]);
/* Without the token: "name@realm". */
void auth_id_user_to_str(const struct auth_id *a, char out[AUTH_ID_MAX + 1]);
bool auth_id_is_token(const struct auth_id *a);
bool auth_id_equal(const struct auth_id *a, const struct auth_id *b);
/* May actor act on what owner owns: the same, or owner is a token of the
 * user actor (datastore-format 1.5). */
bool auth_id_owns(const struct auth_id *owner, const struct auth_id *actor);

#endif
