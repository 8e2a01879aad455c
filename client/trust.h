#ifndef CLIENT_TRUST_H
#define CLIENT_TRUST_H

struct err;
struct tls;

/*
 * Whether the server is the right one.  In this order: the fingerprint that
 * was given (and then nothing else counts); the system's authorities; the
 * fingerprint remembered for this server; the person at the terminal, whose
 * yes is remembered.
 */
int trust_check(const struct tls *t, const char *server,
    const char *fingerprint, struct err *e);

/* Parts, for tests.  A fingerprint as users type it, in either case; -1 if
 * it is none.  The remembered ones are in a file of lines "server
 * fingerprint". */
int trust_parse_fingerprint(const char *text, char *out, struct err *e);
/* 1 found, 0 not, -1. */
int trust_recall(const char *path, const char *server, char *out,
    struct err *e);
int trust_remember(const char *path, const char *server,
    const char *fingerprint, struct err *e);

#endif
