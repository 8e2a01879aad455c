#ifndef SERVER_TLS_INT_H
#define SERVER_TLS_INT_H

/* Between tls_ctx.c and tls.c. */

#include <openssl/ssl.h>

struct signer;

struct tls_ctx {
	SSL_CTX *ssl;
	struct signer *signer; /* borrowed */
};

#endif
