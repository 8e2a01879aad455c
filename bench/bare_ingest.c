/*
 * The bare cost of taking in chunks: TLS receive, SHA-256, CRC-32 and a file
 * for each chunk, in one process and with nothing else.  What bench/ingest
 * compares the server with.  Prints the receiver's CPU seconds.
 *
 *   bare_ingest FOLDER MIB CERTIFICATE   (PEM with its key)
 */
#include "config.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <isa-l/crc.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "bench/bare.h"
#include "common/format/digest.h"
#include "common/mem.h"
#include "common/str.h"

#define CHUNK (4u << 20)
#define DISTINCT 16 /* chunks that the sender makes; each copy is changed */

static void
send_chunks(int fd, uint64_t count)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	uint8_t *data = xmalloc((size_t)CHUNK * DISTINCT), *p;
	uint64_t i;

	if (RAND_bytes(data, (int)(CHUNK * DISTINCT)) != 1 ||
	    SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
		errx(1, "cannot connect");
	for (i = 0; i < count; i++) {
		p = data + (i % DISTINCT) * CHUNK;
		p[i % CHUNK]++;
		if (SSL_write(ssl, p, CHUNK) != (int)CHUNK)
			errx(1, "cannot send");
	}
	free(data);
	_exit(0);
}

static void
store_chunk(int dir, const struct digest *d, const uint8_t *data, uint32_t crc)
{
	char name[DIGEST_HEX_LEN + 1], temp[DIGEST_HEX_LEN + 8];
	uint8_t head[12] = {0};
	int fd;

	digest_to_hex(d, name);
	snprintf(temp, sizeof(temp), "%s.tmp", name);
	head[8] = (uint8_t)crc;
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd == -1 || write(fd, head, sizeof(head)) != sizeof(head) ||
	    write(fd, data, CHUNK) != (ssize_t)CHUNK || close(fd) == -1 ||
	    renameat(dir, temp, dir, name) == -1)
		err(1, "cannot write a chunk");
}

static void
receive_chunks(int fd, int dir, const char *pem, uint64_t count)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct digest_ctx *hash = digest_ctx_new();
	uint8_t *data = xmalloc(CHUNK);
	struct digest d;
	SSL *ssl;
	size_t len;
	uint64_t i;
	int n;

	if (SSL_CTX_use_certificate_file(ctx, pem, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) != 1)
		errx(1, "cannot read %s", pem);
	/* As the server; and unread tickets would reset the connection. */
	SSL_CTX_set_num_tickets(ctx, 0);
	ssl = SSL_new(ctx);
	if (SSL_set_fd(ssl, fd) != 1 || SSL_accept(ssl) != 1)
		errx(1, "cannot accept");
	for (i = 0; i < count; i++) {
		for (len = 0; len < CHUNK; len += (size_t)n)
			if ((n = SSL_read(ssl, data + len,
				 (int)(CHUNK - len))) <= 0)
				errx(1, "cannot receive");
		digest_of(hash, data, CHUNK, &d);
		store_chunk(dir, &d, data, crc32_gzip_refl(0, data, CHUNK));
	}
	if (syncfs(dir) == -1)
		err(1, "syncfs");
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	digest_ctx_free(hash);
	free(data);
}

/* Two connected sockets over loopback, as a client and the server have. */
static void
tcp_pair(int fds[2])
{
	struct sockaddr_in addr;
	int fd = bare_listen(&addr);

	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (fds[1] == -1 ||
	    connect(fds[1], (struct sockaddr *)&addr, sizeof(addr)) == -1)
		err(1, "cannot connect");
	fds[0] = accept(fd, NULL, NULL);
	if (fds[0] == -1)
		err(1, "cannot accept");
	close(fd);
}

int
main(int argc, char **argv)
{
	struct rusage u;
	uint64_t mib, count;
	int fds[2], dir;
	pid_t pid;

	if (argc != 4 || str_to_u64(argv[2], 4, 1 << 20, &mib) == -1)
		errx(2, "usage: bare_ingest FOLDER MIB CERTIFICATE");
	count = mib / 4;
	dir = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (dir == -1)
		err(1, "%s", argv[1]);
	tcp_pair(fds);
	pid = fork();
	if (pid == -1)
		err(1, "fork");
	if (pid == 0) {
		close(fds[0]);
		send_chunks(fds[1], count);
	}
	close(fds[1]);
	receive_chunks(fds[0], dir, argv[3], count);
	waitpid(pid, NULL, 0);
	getrusage(RUSAGE_SELF, &u);
	printf("%.3f\n",
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	return 0;
}
