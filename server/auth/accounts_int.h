#ifndef SERVER_AUTH_ACCOUNTS_INT_H
#define SERVER_AUTH_ACCOUNTS_INT_H

/* For the files of accounts only. */

struct err;
struct lmdb;

struct accounts {
	struct lmdb *db;
	unsigned int users;
	unsigned int tokens;
	unsigned int acl;
};

#endif
