#ifndef SERVER_AUTH_ACCESS_H
#define SERVER_AUTH_ACCESS_H

/*
 * Numbers of the message ACCESS_CALL, shared by auth and its workers; the
 * table is access_ops.def.
 */
enum access_op {
#define ACCESS_OP(NAME, id, handler, open) ACCESS_##NAME = (id),
#include "server/auth/access_ops.def"
#undef ACCESS_OP
};

#define ACCESS_F_TOKENS 0x1u /* USERS: with their API tokens */

#endif
