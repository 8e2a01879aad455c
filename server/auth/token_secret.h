#ifndef SERVER_AUTH_TOKEN_SECRET_H
#define SERVER_AUTH_TOKEN_SECRET_H

#include <stddef.h>

struct account_token;

/*
 * Secrets of API tokens: UUIDs that we make ourselves, 122 random bits.  They
 * are sent with every request, so checking one must be cheap, and it may be: a
 * slow password hash protects what people choose and others can guess, which
 * this is not.  Stored is SHA-256 over a salt and the secret.
 */
#define TOKEN_SECRET_LEN 36

/* A new secret, and its salt and digest in k. */
void token_secret_make(struct account_token *k,
    char secret_out[TOKEN_SECRET_LEN + 1]);
/* 1 if it is the token's secret; the time tells nothing but the length. */
int token_secret_fits(const struct account_token *k, const void *secret,
    size_t len);

#endif
