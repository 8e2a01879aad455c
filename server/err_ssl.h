#ifndef SERVER_ERR_SSL_H
#define SERVER_ERR_SSL_H

struct err;

/* ERR_CRYPTO with OpenSSL's oldest queued error behind the text; empties the
 * queue.  Returns -1; e may be NULL. */
int err_ssl(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
