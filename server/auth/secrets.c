/*
 * Memory and files of auth's keys.  Runs in auth; the folder is its own, mode
 * 0700.
 */
#include "config.h"

#include "server/auth/secrets.h"

#include <sys/mman.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"

#define TICKET_KEY_FILE "ticket.key"
#define SECRETS_MAP_LEN 4096

_Static_assert(sizeof(struct secrets) <= SECRETS_MAP_LEN, "one page");

struct secrets *
secrets_new(int *locked_out)
{
	void *p = mmap(NULL, SECRETS_MAP_LEN, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fatal_sys("auth", "no memory for keys");
	*locked_out = mlock(p, SECRETS_MAP_LEN) == 0;
	(void)madvise(p, SECRETS_MAP_LEN, MADV_DONTDUMP);
	return p;
}

void
secrets_free(struct secrets **s)
{
	if (*s == NULL)
		return;
	mem_wipe(*s, SECRETS_MAP_LEN);
	munmap(*s, SECRETS_MAP_LEN);
	*s = NULL;
}

void
secrets_mac(const uint8_t key[SECRET_LEN], const void *data, unsigned int len,
    uint8_t mac[SECRET_LEN])
{
	unsigned int mac_len;

	if (HMAC(EVP_sha256(), key, SECRET_LEN, data, len, mac, &mac_len) ==
	    NULL)
		fatal("auth", "HMAC failed");
}

/* One key in the file, one for each use derived from it. */
static void
secrets_derive(struct secrets *s, const uint8_t key[SECRET_LEN])
{
	secrets_mac(key, "ticket", 6, s->ticket);
	secrets_mac(key, "csrf", 4, s->csrf);
}

int
secrets_load_ticket(struct secrets *s, const char *dir, struct err *e)
{
	uint8_t fresh[SECRET_LEN];
	char *key = NULL;
	struct err why;
	size_t len;
	int fd, rv = -1;

	fd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -1)
		return -1;
	if (io_read_file(fd, TICKET_KEY_FILE, SECRET_LEN, &key, &len, &why) ==
	    0) {
		if (len != SECRET_LEN) {
			err_set(e, ERR_CORRUPT, "%s/%s is not %d bytes long",
			    dir, TICKET_KEY_FILE, SECRET_LEN);
			goto out;
		}
		secrets_derive(s, (const uint8_t *)key);
	} else if (why.code == ERR_NOT_FOUND) {
		io_random(fresh, sizeof(fresh));
		if (io_write_file_atomic(fd, TICKET_KEY_FILE, fresh,
			sizeof(fresh), 0600, IO_F_FSYNC, e) == -1)
			goto out;
		secrets_derive(s, fresh);
	} else {
		err_set(e, why.code, "%s/%s: %s", dir, TICKET_KEY_FILE,
		    why.msg);
		goto out;
	}
	rv = 0;
out:
	if (key != NULL)
		mem_wipe_free(key, len);
	mem_wipe(fresh, sizeof(fresh));
	io_close(&fd);
	return rv;
}
