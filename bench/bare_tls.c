/*
 * The bare cost of a TLS handshake: one process that accepts, shakes hands
 * with the key of its own certificate and does nothing else.  What
 * bench/sessions compares the server with.  Prints its port; one client after
 * the other, until it is ended.
 *
 *   bare_tls CERTIFICATE KEY
 */
#include "config.h"

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "bench/bare.h"

static SSL_CTX *
context(const char *certificate, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL ||
	    SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		errx(1, "cannot use %s and %s", certificate, key);
	/* As the server; and unread tickets would reset the connection. */
	SSL_CTX_set_num_tickets(ctx, 0);
	return ctx;
}

/* Until the client closes. */
static void
serve(SSL_CTX *ctx, int fd)
{
	SSL *ssl = SSL_new(ctx);
	char byte;

	if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1)
		SSL_read(ssl, &byte, 1);
	SSL_free(ssl);
	close(fd);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr;
	SSL_CTX *ctx;
	int fd, client;

	if (argc != 3)
		errx(2, "usage: bare_tls CERTIFICATE KEY");
	signal(SIGPIPE, SIG_IGN);
	ctx = context(argv[1], argv[2]);
	fd = bare_listen(&addr);
	printf("%u\n", ntohs(addr.sin_port));
	fflush(stdout);
	while ((client = accept(fd, NULL, NULL)) != -1)
		serve(ctx, client);
	err(1, "cannot accept");
}
