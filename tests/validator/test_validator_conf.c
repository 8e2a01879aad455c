/* validator.conf and datastores.d: defaults, order, mistakes, what a reload
 * may change. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/path.h"
#include "validator/validator_conf.h"

static char dir[64], path[256];

static void
put(const char *name, const char *text)
{
	char file[256];
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	f = fopen(file, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static void
set_up(void)
{
	char sub[128];

	snprintf(dir, sizeof(dir), "/tmp/test_vconf.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/datastores.d", dir);
	cr_assert_eq(mkdir(sub, 0700), 0);
	snprintf(path, sizeof(path), "%s/validator.conf", dir);
	put("validator.conf", "");
}

static void
tear_down(void)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

	path_remove_tree(fd, dir + strlen("/tmp/"), NULL);
	close(fd);
}

TestSuite(validator_conf, .init = set_up, .fini = tear_down);

static struct validator_conf
load(void)
{
	struct validator_conf c;
	struct err e;

	cr_assert_eq(validator_conf_load(&c, path, &e), 0, "%s", e.msg);
	return c;
}

static void
fails(const char *word)
{
	struct validator_conf c;
	struct err e;

	cr_assert_eq(validator_conf_load(&c, path, &e), -1);
	cr_assert_not_null(strstr(e.msg, word), "%s", e.msg);
	cr_assert_null(c.stores);
	cr_assert_null(c.run_dir);
}

Test(validator_conf, defaults)
{
	struct validator_conf c = load();

	cr_assert_eq(c.nstores, 0);
	cr_assert_eq(c.resume_time, 60000);
	cr_assert_eq(c.arena_size, 64u << 20);
	cr_assert_str_eq(c.debug_kill_at, "");
	cr_assert_str_eq(c.user, "holdfast-validator");
	validator_conf_free(&c);
}

Test(validator_conf, stores_of_all_files_by_name)
{
	struct validator_conf c;

	put("validator.conf", "datastore \"mmm\" { path = \"/m\" }\n");
	put("datastores.d/1.conf", "datastore \"zzz\" { path = \"/z\" }\n");
	put("datastores.d/2.conf",
	    "datastore \"aaa\" { path = \"/a\"\n"
	    "on-missing = abort-when-referenced\nrecent-verify = 2h }\n");
	put("datastores.d/.hidden.conf", "nonsense");
	put("datastores.d/3.conf.bak", "nonsense");
	c = load();
	cr_assert_eq(c.nstores, 3);
	cr_assert_str_eq(c.stores[0]->title, "aaa");
	cr_assert_str_eq(c.stores[1]->title, "mmm");
	cr_assert_str_eq(c.stores[2]->title, "zzz");
	cr_assert_eq(c.stores[0]->on_missing, ON_MISSING_ABORT_WHEN_REFERENCED);
	cr_assert_eq(c.stores[0]->recent_verify, 7200000);
	cr_assert_eq(c.stores[1]->on_missing, ON_MISSING_ABORT);
	cr_assert_eq(c.stores[1]->recent_verify, 0, "always check");
	cr_assert_eq(validator_conf_store(&c, "zzz"), c.stores[2]);
	cr_assert_null(validator_conf_store(&c, "bbb"));
	validator_conf_free(&c);
}

Test(validator_conf, no_folder_is_fine)
{
	char sub[128];
	struct validator_conf c;

	snprintf(sub, sizeof(sub), "%s/datastores.d", dir);
	rmdir(sub);
	c = load();
	validator_conf_free(&c);
}

Test(validator_conf, mistakes)
{
	put("datastores.d/a.conf", "datastore \"aaa\" { }\n");
	fails("path");
	put("datastores.d/a.conf", "datastore \"aaa\" { path = \"a\" }\n");
	fails("absolute");
	put("datastores.d/a.conf", "datastore \"../a\" { path = \"/a\" }\n");
	fails("name");
	put("datastores.d/a.conf", "run-dir = \"/x\"\n");
	fails("run-dir");
	put("datastores.d/a.conf", "datastore \"aaa\" { path = \"/a\" }\n");
	put("datastores.d/b.conf", "datastore \"aaa\" { path = \"/b\" }\n");
	fails("two files");
	put("datastores.d/b.conf", "");
	put("validator.conf", "resume-time = soon\n");
	fails("resume-time");
}

Test(validator_conf, schedules)
{
	const struct datastore_conf *d;
	const struct verify_job_conf *v;
	const struct prune_job_conf *p;
	struct validator_conf c;

	put("datastores.d/a.conf",
	    "datastore \"aaa\" { path = \"/a\"\n"
	    "gc-schedule = \"daily\"\n"
	    "verify-job \"w\" { schedule = \"sat 02:30\"\n"
	    "outdated-after = 30 }\n"
	    "prune-job \"one\" { schedule = \"*:0/15\"\nns = \"a/b\"\n"
	    "max-depth = 1\nkeep-last = 3\nkeep-yearly = 9 }\n"
	    "prune-job \"two\" { schedule = \"monthly\" } }\n");
	c = load();
	d = validator_conf_store(&c, "aaa");
	cr_assert_not_null(d);
	cr_expect_str_eq(d->gc_schedule, "daily");
	cr_assert_eq(d->verify_jobs.n, 1);
	v = d->verify_jobs.v;
	cr_expect_str_eq(v->title, "w");
	cr_expect_str_eq(v->schedule, "sat 02:30");
	cr_expect(v->ignore_verified && v->outdated_after == 30);
	cr_expect(v->max_depth == 7 && v->ns[0] == '\0');
	cr_assert_eq(d->prune_jobs.n, 2);
	p = d->prune_jobs.v;
	cr_expect_str_eq(p[0].ns, "a/b");
	cr_expect(p[0].max_depth == 1 && p[0].keep.last == 3 &&
	    p[0].keep.yearly == 9 && p[0].keep.daily == 0);
	cr_expect_str_eq(p[1].title, "two");
	validator_conf_free(&c);
}

static void
job_fails(const char *text, const char *says)
{
	char conf[512];

	snprintf(conf, sizeof(conf),
	    "datastore \"aaa\" { path = \"/a\"\n%s }\n", text);
	put("datastores.d/a.conf", conf);
	fails(says);
}

Test(validator_conf, mistakes_in_schedules)
{
	job_fails("gc-schedule = \"dayly\"", "'dayly'");
	job_fails("gc-schedule = \"25:00\"", "'25'");
	job_fails("verify-job \"w\" { }", "schedule");
	job_fails("verify-job \"w\" { schedule = \"mon..fri 2:60\" }", "'60'");
	job_fails("prune-job \"../w\" { schedule = \"daily\" }", "name");
	job_fails("prune-job \"w\" { schedule = \"daily\"\nns = \"..\" }",
	    "ns");
	job_fails("prune-job \"w\" { schedule = \"daily\"\n"
		  "max-depth = 8 }",
	    "max-depth");
	job_fails("prune-job \"w\" { schedule = \"daily\" }\n"
		  "prune-job \"w\" { schedule = \"daily\" }",
	    "w");
}

Test(validator_conf, what_a_reload_may_change)
{
	struct validator_conf a, b;

	put("validator.conf", "resume-time = 10s\n");
	put("datastores.d/a.conf", "datastore \"aaa\" { path = \"/a\" }\n");
	a = load();
	put("validator.conf", "resume-time = 20s\n");
	put("datastores.d/a.conf",
	    "datastore \"aaa\" { path = \"/a\"\nmaintenance = offline\n"
	    "prune-job \"p\" { schedule = \"daily\" } }\n");
	b = load();
	cr_assert_null(validator_conf_changed(&a, &b));
	validator_conf_free(&b);
	put("datastores.d/a.conf", "datastore \"aaa\" { path = \"/b\" }\n");
	b = load();
	cr_assert_str_eq(validator_conf_changed(&a, &b), "path");
	validator_conf_free(&b);
	put("datastores.d/b.conf", "datastore \"bbb\" { path = \"/b\" }\n");
	b = load();
	cr_assert_str_eq(validator_conf_changed(&a, &b), "datastore");
	validator_conf_free(&b);
	put("validator.conf", "run-dir = \"/elsewhere\"\n");
	b = load();
	cr_assert_str_eq(validator_conf_changed(&a, &b), "run-dir");
	validator_conf_free(&b);
	validator_conf_free(&a);
}
