/* A datastore for tests (fixture.h). */
#include "config.h"

#include "tests/store/fixture.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/io.h"
#include "common/path.h"
#include "validator/store/layout.h"

struct fixture fx;

static void
must(int rv, const struct err *e, const char *what)
{
	cr_assert_neq(rv, -1, "%s: %s", what, e->msg);
}

static void
open_store(void)
{
	struct store_opts o = {.name = "test",
	    .path = fx.path,
	    .state_fd = fx.state_fd};
	struct err e = {0};

	must(store_open(&fx.store, &o, &e), &e, "store_open");
}

void
fixture_init(void)
{
	const char *tmp = getenv("TMPDIR");
	char path[128];

	snprintf(fx.dir, sizeof(fx.dir), "%.40s/hf-store-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	cr_assert_not_null(mkdtemp(fx.dir));
	snprintf(fx.path, sizeof(fx.path), "%s/store", fx.dir);
	snprintf(path, sizeof(path), "%s/state", fx.dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	fx.state_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_neq(fx.state_fd, -1);
	cr_assert_eq(mkdir(fx.path, 0755), 0);
	snprintf(path, sizeof(path), "%s/.chunks", fx.path);
	cr_assert_eq(mkdir(path, 0750), 0);
	open_store();
}

void
fixture_fini(void)
{
	store_close(&fx.store, true);
	close(fx.state_fd);
	/* path.c takes only plain names. */
	if (chdir(fx.dir) == 0 && chdir("..") == 0)
		path_remove_tree(AT_FDCWD, strrchr(fx.dir, '/') + 1, NULL);
}

/* The boot id in the record, behind magic, three flags and four times. */
#define BOOT_POS (4 + 1 + 1 + 1 + 8 * 4)

void
fixture_reopen(bool clean, bool reboot)
{
	int fd;

	if (clean)
		cr_assert_eq(store_sync(fx.store, NULL), 0);
	store_close(&fx.store, clean);
	if (reboot) {
		fd = openat(fx.state_fd, "test.store", O_RDWR);
		cr_assert_neq(fd, -1);
		cr_assert_eq(pwrite(fd, "00000000", 8, BOOT_POS), 8);
		close(fd);
	}
	open_store();
}

struct digest
fixture_digest(uint32_t i)
{
	struct digest d = {{0}};
	char name[16];

	d.b[0] = (uint8_t)(i * 37);
	d.b[1] = (uint8_t)(i >> 3);
	memcpy(&d.b[28], &i, sizeof(i));
	d.b[27] = 1; /* never all zero */
	snprintf(name, sizeof(name), "%02x%02x", d.b[0], d.b[1]);
	mkdirat(fx.store->chunks_fd, name, 0750);
	return d;
}

void
fixture_chunk_path(const struct digest *d, char out[200])
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];

	digest_chunk_path(d, path);
	snprintf(out, 200, ".chunks/%s", path);
}

void
fixture_write(const char *name, const void *data, size_t len)
{
	int fd =
	    openat(fx.store->root_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	cr_assert_neq(fd, -1, "%s", name);
	cr_assert_eq(io_write_full(fd, data, len, NULL), 0);
	close(fd);
}

bool
fixture_exists(const char *name)
{
	return faccessat(fx.store->root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) ==
	    0;
}

int64_t
fixture_ctime(const char *name)
{
	struct stat st;

	cr_assert_eq(fstatat(fx.store->root_fd, name, &st, AT_SYMLINK_NOFOLLOW),
	    0);
	return st.st_ctim.tv_sec;
}

uint8_t *
fixture_plain(const char *text, size_t *len_out)
{
	size_t len = BLOB_HEADER_LEN + strlen(text);
	uint8_t *b = malloc(len);

	cr_assert_not_null(b);
	memcpy(b + BLOB_HEADER_LEN, text, strlen(text));
	blob_put_header(b, len, BLOB_PLAIN);
	*len_out = len;
	return b;
}

uint8_t *
fixture_encrypted(bool compressed, size_t payload, uint8_t fill,
    size_t *len_out)
{
	size_t len = BLOB_ENCRYPTED_HEADER_LEN + payload;
	uint8_t *b = malloc(len);

	cr_assert_not_null(b);
	memset(b, fill, len);
	blob_put_header(b, len,
	    compressed ? BLOB_ENCRYPTED_ZSTD : BLOB_ENCRYPTED);
	*len_out = len;
	return b;
}

struct backup_ns
fixture_ns(const char *name)
{
	struct backup_ns ns;

	cr_assert_eq(ns_parse(&ns, name, NULL), 0);
	return ns;
}

struct backup_snapshot
fixture_snap(const char *text)
{
	struct backup_snapshot s;

	cr_assert_eq(snapshot_parse(&s, text, NULL), 0, "%s", text);
	return s;
}

void
fixture_make_snapshot(const char *ns, const char *snap, const char *owner)
{
	struct backup_ns n = fixture_ns(ns);
	struct backup_snapshot s = fixture_snap(snap);
	char path[NAMESPACE_PATH_MAX + 1], dir[1024], group[GROUP_STR_MAX + 1],
	    name[1200];

	ns_path(&n, path);
	group_to_str(&s.group, group);
	snprintf(dir, sizeof(dir), "%s%s%s", path, *path != '\0' ? "/" : "",
	    snap);
	cr_assert_eq(path_mkdirs(fx.store->root_fd, dir, 0755, NULL), 0);
	snprintf(name, sizeof(name), "%s/" MANIFEST_NAME, dir);
	fixture_write(name, "manifest", 8);
	snprintf(name, sizeof(name), "%s/root.pxar.didx", dir);
	fixture_write(name, "index", 5);
	snprintf(name, sizeof(name), "%s%s%s/owner", path,
	    *path != '\0' ? "/" : "", group);
	snprintf(dir, sizeof(dir), "%s\n", owner);
	fixture_write(name, dir, strlen(dir));
}
